//! The program, started by a test.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::client::Client;

/// How long a condition may take to come true.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// The program with a command line.
pub(crate) fn program(line: &str) -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_marathon"));
    program
        .args(line.split_whitespace())
        .env_remove("RUST_LOG")
        .stdin(Stdio::null());
    program
}

/// A process that ends with the test.
pub(crate) struct Instance {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) client: Client,
    /// What it says on its standard error, as it comes.
    said: std::sync::Arc<std::sync::Mutex<Vec<String>>>,
}

impl Drop for Instance {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            println!("--- {} said:", self.address);
            self.said().iter().for_each(|line| println!("{line}"));
        }
    }
}

impl Instance {
    /// Starts it on some port of this machine, and waits until it says which.
    pub(crate) fn start(line: &str) -> Self {
        Self::start_with(line, &[])
    }

    /// The same with more in its environment.
    pub(crate) fn start_with(line: &str, environment: &[(&str, &str)]) -> Self {
        let line = format!("--http_address 127.0.0.1 --http_port 0 --hostname 127.0.0.1 {line}");
        let mut program = program(&line);
        program.envs(environment.iter().copied());
        let mut child = program.stderr(Stdio::piped()).spawn().unwrap();
        let said = std::sync::Arc::<std::sync::Mutex<Vec<String>>>::default();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (tell, told) = std::sync::mpsc::channel();
        let heard = std::sync::Arc::clone(&said);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if let Some((_, address)) = line.split_once("marathon: http://") {
                    let _ = tell.send(address.parse::<SocketAddr>());
                }
                heard.lock().unwrap().push(line);
            }
        });
        let address = told.recv_timeout(PATIENCE);
        let Ok(Ok(address)) = address else {
            let _ = child.kill();
            panic!("it does not start: {:?}", said.lock().unwrap());
        };
        Self {
            child,
            address,
            client: Client::new(address),
            said,
        }
    }

    pub(crate) fn said(&self) -> Vec<String> {
        self.said.lock().unwrap().clone()
    }

    pub(crate) fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        nix::sys::signal::kill(pid, signal).unwrap();
    }

    /// Ends it without a farewell.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits until it has ended.
    pub(crate) async fn end(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(begun.elapsed() < PATIENCE, "{:?}", self.said());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// What it answers, once it answers with 200.
    pub(crate) async fn get(&self, path: &str) -> Value {
        let is_any = |_: &Value| true;
        self.until(path, "there", is_any).await
    }

    /// Waits until an answer is as it should be. While nobody leads there is none.
    pub(crate) async fn until(
        &self,
        path: &str,
        what: &str,
        is_it: impl Fn(&Value) -> bool,
    ) -> Value {
        let begun = Instant::now();
        loop {
            let answer = self.client.try_request("GET", path, None).await;
            if let Ok((200, body)) = &answer {
                let value = serde_json::from_str(body);
                let value = value.unwrap_or_else(|_| Value::String(body.clone()));
                if is_it(&value) {
                    return value;
                }
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "{path} is not {what}: {answer:?}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
