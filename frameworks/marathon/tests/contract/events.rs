//! `/v2/events`.

use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::server::Server;

/// A reader of events of these kinds.
async fn listen(server: &Server, kinds: &[&str]) -> BufReader<TcpStream> {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let query: Vec<String> = kinds.iter().map(|it| format!("event_type={it}")).collect();
    let request = format!(
        "GET /v2/events?{} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n",
        query.join("&")
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    BufReader::new(stream)
}

/// Reads until a line says this.
async fn hears(reader: &mut BufReader<TcpStream>, text: &str) -> String {
    let heard = async {
        loop {
            let mut line = String::new();
            let count = reader.read_line(&mut line).await.unwrap();
            assert!(count > 0, "the stream has ended without {text}");
            if line.contains(text) {
                return line;
            }
        }
    };
    let heard = tokio::time::timeout(Duration::from_secs(60), heard).await;
    heard.unwrap_or_else(|_| panic!("nothing says {text}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_hear_of_each_other_as_they_go() {
    let server = Server::start("").await;
    let mut stays = listen(&server, &["event_stream_detached"]).await;
    hears(&mut stays, "event: event_stream_attached").await;
    let mut goes = listen(&server, &[]).await;
    hears(&mut goes, "event: event_stream_attached").await;
    drop(goes);
    hears(&mut stays, "event: event_stream_detached").await;
    let data = hears(&mut stays, "data: ").await;
    assert!(data.contains("\"remoteAddress\":\"127.0.0.1\""), "{data}");
}
