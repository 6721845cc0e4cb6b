//! Asks over HTTP, one connection a request.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::Asked;

pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// An answer.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// How it went.
    pub status: u16,
    /// What the body is.
    pub media_type: Option<String>,
    /// The body; of a stream of events, nothing.
    pub body: String,
}

pub(super) async fn ask(server: SocketAddr, asked: &Asked) -> io::Result<Answer> {
    tokio::time::timeout(PATIENCE, ask_patiently(server, asked))
        .await
        .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "no answer in a minute"))?
}

async fn ask_patiently(server: SocketAddr, asked: &Asked) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(server).await?;
    // HTTP/1.0: the body ends with the connection.
    let mut head = format!(
        "{} {} HTTP/1.0\r\nHost: {server}\r\n",
        asked.method, asked.target
    );
    for (name, value) in &asked.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let body = asked.body.as_deref().unwrap_or_default();
    head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    let mut received = Vec::new();
    let end = loop {
        if let Some(end) = received.windows(4).position(|it| it == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut received).await? == 0 {
            return Err(io::Error::other("the connection ended before an answer"));
        }
    };
    let head = String::from_utf8_lossy(&received[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let status = status.ok_or_else(|| io::Error::other("no status"))?;
    let media_type = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-type"))
        .map(|(_, value)| value.trim().to_owned());
    let mut answer = Answer {
        status,
        media_type,
        body: String::new(),
    };
    let is_stream = answer.media_type.as_deref() == Some("text/event-stream");
    if !is_stream {
        stream.read_to_end(&mut received).await?;
        answer.body = String::from_utf8_lossy(&received[end + 4..]).into_owned();
    }
    Ok(answer)
}
