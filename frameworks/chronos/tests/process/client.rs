//! Asks over HTTP, one connection a request.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long anything may take here, on machines that do other things.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Clone, Copy, Debug)]
pub(crate) struct Client {
    pub(crate) server: SocketAddr,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }
}

impl Client {
    pub(crate) async fn try_ask(
        &self,
        method: &str,
        path: &str,
        headers: &str,
        body: &str,
    ) -> std::io::Result<Answer> {
        let mut stream = TcpStream::connect(self.server).await?;
        let request = format!(
            "{method} {path} HTTP/1.0\r\nHost: {}\r\n{headers}Content-Length: {}\r\n\r\n{body}",
            self.server,
            body.len()
        );
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.split(' ').nth(1).and_then(|it| it.parse().ok());
        let broken = || std::io::Error::other("no status");
        Ok(Answer {
            status: status.ok_or_else(broken)?,
            head: head.to_ascii_lowercase(),
            body: body.to_owned(),
        })
    }

    pub(crate) async fn ask(&self, method: &str, path: &str, body: &str) -> Answer {
        let json = "Content-Type: application/json\r\n";
        self.try_ask(method, path, json, body).await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let answer = self.ask("GET", path, "").await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.json()
    }

    pub(crate) async fn done(&self, method: &str, path: &str, body: &Value) {
        let body = match body {
            Value::Null => String::new(),
            body => body.to_string(),
        };
        let answer = self.ask(method, path, &body).await;
        assert_eq!((answer.status, answer.body.as_str()), (204, ""), "{path}");
    }

    /// Waits until something that is read is as it should be.
    pub(crate) async fn until(
        &self,
        path: &str,
        what: &str,
        is_it: impl Fn(&Value) -> bool,
    ) -> Value {
        let waited = async {
            loop {
                let seen = self.get(path).await;
                if is_it(&seen) {
                    return seen;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        match tokio::time::timeout(PATIENCE, waited).await {
            Ok(seen) => seen,
            Err(_) => panic!(
                "{path} does not come to be {what}: {:#}",
                self.get(path).await
            ),
        }
    }
}
