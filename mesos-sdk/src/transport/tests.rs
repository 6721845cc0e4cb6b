use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use super::*;

/// Answers each connection with the scripted responses, one a request, then
/// closes it. Gives the address and the number of connections that were made.
fn serve(
    connections: Vec<Vec<&'static str>>,
) -> (HostAddress, std::thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let thread = std::thread::spawn(move || {
        let mut requests = Vec::new();
        for responses in connections {
            let (mut socket, _) = listener.accept().unwrap();
            for response in responses {
                let mut request = Vec::new();
                let mut byte = [0];
                while !request.ends_with(b"\r\n\r\n") {
                    if socket.read(&mut byte).unwrap() == 0 {
                        break;
                    }
                    request.push(byte[0]);
                }
                requests.push(String::from_utf8(request).unwrap());
                socket.write_all(response.as_bytes()).unwrap();
            }
        }
        requests
    });
    (HostAddress::http("127.0.0.1", port), thread)
}

const HELLO: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

fn transport() -> Transport {
    Transport::new(TransportConfig::default())
}

#[tokio::test]
async fn calls_share_a_connection() {
    let (server, thread) = serve(vec![vec![HELLO, HELLO]]);
    let transport = transport();
    for _ in 0..2 {
        let response = transport
            .get(&server, "/health", HeaderMap::new())
            .await
            .unwrap();
        assert_eq!(
            (response.status.as_u16(), response.text()),
            (200, "hello".into())
        );
    }
    let requests = thread.join().unwrap();
    assert_eq!(requests.len(), 2);
    assert!(
        requests[0].starts_with("GET /health HTTP/1.1\r\n"),
        "{}",
        requests[0]
    );
}

#[tokio::test]
async fn a_connection_that_was_closed_while_idle_is_replaced() {
    let (server, thread) = serve(vec![vec![HELLO], vec![HELLO]]);
    let transport = transport();
    for _ in 0..2 {
        transport.get(&server, "/", HeaderMap::new()).await.unwrap();
    }
    assert_eq!(thread.join().unwrap().len(), 2);
}

#[tokio::test]
async fn what_cannot_be_reached_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = HostAddress::http("127.0.0.1", listener.local_addr().unwrap().port());
    drop(listener);
    let error = transport()
        .get(&server, "/", HeaderMap::new())
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "cannot connect to {}: connection refused",
            server.authority()
        )
    );
    assert!(error.is_retryable() && error.is_unsent());
}

#[tokio::test]
async fn a_response_over_the_limit_is_refused() {
    let (server, _thread) = serve(vec![vec![HELLO]]);
    let transport = Transport::new(TransportConfig {
        max_response_bytes: 4,
        ..TransportConfig::default()
    });
    let error = transport
        .get(&server, "/", HeaderMap::new())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::TooLarge { limit: 4, .. }), "{error}");
}

#[tokio::test]
async fn a_silent_server_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = HostAddress::http("127.0.0.1", listener.local_addr().unwrap().port());
    let transport = Transport::new(TransportConfig {
        request_timeout: Duration::from_millis(50),
        ..TransportConfig::default()
    });
    let error = transport
        .get(&server, "/", HeaderMap::new())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
    assert!(!error.is_unsent());
}

#[tokio::test]
async fn a_stream_is_read_as_it_comes_and_ends() {
    let chunked =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n";
    let (server, _thread) = serve(vec![vec![chunked]]);
    let mut stream = transport()
        .open_stream(&server, "/", HeaderMap::new(), Bytes::new())
        .await
        .unwrap();
    let mut all = Vec::new();
    while let Some(chunk) = stream.body.chunk().await {
        all.extend_from_slice(&chunk.unwrap());
    }
    assert_eq!(all, b"onetwo");
}

#[tokio::test]
async fn a_unix_socket_reaches_whatever_server_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("agent.sock");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let thread = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut request = vec![0; 4096];
        let length = socket.read(&mut request).unwrap();
        socket.write_all(HELLO.as_bytes()).unwrap();
        String::from_utf8_lossy(&request[..length]).into_owned()
    });
    let transport = Transport::new(TransportConfig {
        unix_socket: Some(path),
        ..TransportConfig::default()
    });
    let server = HostAddress::http("agent.invalid", 5051);
    let response = transport
        .get(&server, "/health", HeaderMap::new())
        .await
        .unwrap();
    assert_eq!(response.text(), "hello");
    let request = thread.join().unwrap().to_lowercase();
    assert!(request.contains("host: agent.invalid:5051"), "{request}");
}

#[tokio::test]
async fn a_body_is_written_bit_by_bit_before_the_response() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = HostAddress::http("127.0.0.1", listener.local_addr().unwrap().port());
    let thread = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        let mut byte = [0];
        while !request.ends_with(b"\r\n0\r\n\r\n") {
            assert_ne!(socket.read(&mut byte).unwrap(), 0);
            request.push(byte[0]);
        }
        socket.write_all(HELLO.as_bytes()).unwrap();
        String::from_utf8(request).unwrap()
    });
    let (body, upload) = transport()
        .upload(&server, "/", HeaderMap::new())
        .await
        .unwrap();
    let writing = async move {
        assert!(body.send("one".into()).await);
        assert!(body.send("two".into()).await);
    };
    let ((), response) = tokio::join!(writing, upload.response());
    assert_eq!(response.unwrap().text(), "hello");
    let request = thread.join().unwrap();
    assert!(
        request.ends_with("3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"),
        "{request}"
    );
}
