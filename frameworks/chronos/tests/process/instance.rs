//! A Chronos in a process of its own.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::client::{Client, PATIENCE};

/// It ends with the test, by SIGKILL.
pub(crate) struct Instance {
    process: Child,
    pub(crate) client: Client,
}

impl Instance {
    pub(crate) async fn start(arguments: &[&str]) -> Self {
        let program = env!("CARGO_BIN_EXE_chronos");
        let listen = ["--http-address", "127.0.0.1", "--http-port", "0"];
        let mut process = Command::new(program)
            .args(listen)
            .args(["--hostname", "127.0.0.1"])
            .args(arguments)
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let listens = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if let Some(address) = line.strip_prefix("chronos: listens on ") {
                    return address.parse().unwrap();
                }
                eprintln!("{line}");
            }
            panic!("it ends before it listens");
        };
        let server = tokio::time::timeout(PATIENCE, listens).await.unwrap();
        // What it says is read, so that it can go on to say something.
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                eprintln!("{line}");
            }
        });
        let instance = Self {
            process,
            client: Client { server },
        };
        instance.answers().await;
        instance
    }

    /// Waits until somebody leads.
    async fn answers(&self) {
        let waited = async {
            loop {
                let answer = self.client.try_ask("GET", "/ping", "", "").await;
                if answer.is_ok_and(|answer| matches!(answer.status, 200 | 401)) {
                    return;
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waited).await.unwrap();
    }

    /// Waits until it ends by itself, and gives its exit status.
    pub(crate) async fn ended(mut self) -> Option<i32> {
        let ended = tokio::time::timeout(PATIENCE, self.process.wait()).await;
        ended.unwrap().unwrap().code()
    }

    /// SIGKILL, and nothing after it.
    pub(crate) async fn kill(mut self) {
        self.process.kill().await.unwrap();
    }
}
