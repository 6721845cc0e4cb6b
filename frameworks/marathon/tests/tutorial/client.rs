//! Asks over HTTP, one connection a request.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(super) struct Client {
    server: SocketAddr,
}

impl Client {
    pub(super) fn new(server: SocketAddr) -> Self {
        Self { server }
    }

    pub(super) async fn get(&self, path: &str) -> (u16, Value) {
        let (status, body) = self.try_request("GET", path, None).await.unwrap();
        (status, read(&body))
    }

    pub(super) async fn request(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        self.raw(method, path, &body.to_string()).await
    }

    pub(super) async fn raw(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let (status, body) = self.try_request(method, path, Some(body)).await.unwrap();
        (status, read(&body))
    }

    pub(super) async fn try_request(
        &self,
        method: &str,
        path: &str,
        body: Option<&str>,
    ) -> std::io::Result<(u16, String)> {
        let (status, _, body) = self.exchange(method, path, "", body).await?;
        Ok((status, body))
    }

    /// The status, the head and the body. Headers are lines with their ends.
    pub(super) async fn exchange(
        &self,
        method: &str,
        path: &str,
        headers: &str,
        body: Option<&str>,
    ) -> std::io::Result<(u16, String, String)> {
        let mut stream = TcpStream::connect(self.server).await?;
        let body = body.unwrap_or_default();
        let request = format!(
            "{method} {path} HTTP/1.0\r\nHost: {}\r\nContent-Type: application/json\r\n\
             {headers}Content-Length: {}\r\n\r\n{body}",
            self.server,
            body.len()
        );
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        let broken = || std::io::Error::other("no status");
        Ok((status.ok_or_else(broken)?, head.to_owned(), body.to_owned()))
    }
}

fn read(body: &str) -> Value {
    serde_json::from_str(body).unwrap_or_else(|_| Value::String(body.to_owned()))
}
