//! The server over real sockets: what the captures show of libprocess, and the
//! limits that it lacks.

use std::io::Write as _;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::stream::{EventSender, SendError, event_stream};
use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

/// Echoes bodies; `/stream` opens a stream and hands its sender to the test.
#[derive(Clone)]
struct Echo {
    streams: mpsc::UnboundedSender<(EventSender, tokio::sync::oneshot::Receiver<()>)>,
}

impl Handler for Echo {
    async fn handle(&self, request: Request) -> Response {
        if request.path == "/stream" {
            let (ended, end) = tokio::sync::oneshot::channel();
            let (sender, body) = event_stream(request.peer, 1 << 20, move || {
                let _ = ended.send(());
            });
            self.streams.send((sender, end)).unwrap();
            let mut response = Response::empty(StatusCode::OK);
            response.body = body;
            return response;
        }
        if request.path == "/large" {
            // More than the kernel keeps for a client that does not read.
            return Response::content(StatusCode::OK, "text/plain", vec![b'x'; 64 << 20]);
        }
        if request.path == "/no-such" {
            return Response::not_found();
        }
        if request.method == Method::DELETE {
            return Response::method_not_allowed("POST", &request.method);
        }
        Response::json(request.body)
    }
}

struct Server {
    address: SocketAddr,
    control: ServerControl,
    streams: mpsc::UnboundedReceiver<(EventSender, tokio::sync::oneshot::Receiver<()>)>,
}

async fn start(limits: Limits) -> Server {
    start_with(limits, None).await
}

async fn start_with(limits: Limits, identity: Option<Identity>) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let control = ServerControl::new();
    let (sender, streams) = mpsc::unbounded_channel();
    tokio::spawn(serve(
        listener,
        Echo { streams: sender },
        limits,
        identity,
        control.clone(),
    ));
    Server {
        address,
        control,
        streams,
    }
}

/// Sends bytes, closes the writing side when asked, and reads to the end.
async fn exchange(address: SocketAddr, bytes: &[u8], half_close: bool) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    if half_close {
        stream.shutdown().await.unwrap();
    }
    let mut answer = Vec::new();
    // A server that refuses may reset the connection after its answer.
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer))
        .await
        .expect("an answer in time");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn answers_a_client_that_closed_its_writing_side() {
    let server = start(Limits::default()).await;
    let request = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi";
    let answer = exchange(server.address, request, true).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("Content-Length: 2\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nhi"), "{answer}");
}

#[tokio::test]
async fn keeps_connections_and_answers_pipelined_requests_in_order() {
    let server = start(Limits::default()).await;
    let request = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n1\
                    POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1\r\n\r\n2";
    let answer = exchange(server.address, request, false).await;
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 2, "{answer}");
    assert!(answer.ends_with("\r\n\r\n2"), "{answer}");
}

#[tokio::test]
async fn reads_chunked_and_compressed_bodies() {
    let server = start(Limits::default()).await;
    let chunked = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
                    Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    assert!(
        exchange(server.address, chunked, false)
            .await
            .ends_with("\r\n\r\nabcde")
    );

    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(b"packed").unwrap();
    let packed = packed.finish().unwrap();
    let mut request = format!(
        "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Encoding: gzip\r\n\
         Content-Length: {}\r\n\r\n",
        packed.len()
    )
    .into_bytes();
    request.extend(&packed);
    assert!(
        exchange(server.address, &request, false)
            .await
            .ends_with("\r\n\r\npacked")
    );

    let broken = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
                   Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope";
    let answer = exchange(server.address, broken, false).await;
    assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
    assert!(answer.ends_with("failed to decode body"), "{answer}");
}

#[tokio::test]
async fn compresses_only_large_bodies_and_only_when_asked() {
    let server = start(Limits::default()).await;
    for (length, encoding, expected) in [
        (2000, "gzip", true),
        (2000, "br", false),
        (20, "gzip", false),
    ] {
        let body = "x".repeat(length);
        let request = format!(
            "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAccept-Encoding: {encoding}\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        );
        let answer = exchange(server.address, request.as_bytes(), false).await;
        assert_eq!(
            answer.contains("Content-Encoding: gzip"),
            expected,
            "{answer}"
        );
    }
}

#[tokio::test]
async fn refuses_bodies_beyond_the_limit() {
    let limits = Limits {
        max_body_bytes: 10,
        ..Limits::default()
    };
    let server = start(limits).await;
    let announced = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\n01234567890";
    let chunked = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\
                    8\r\n01234567\r\n8\r\n01234567\r\n0\r\n\r\n";
    for request in [&announced[..], &chunked[..]] {
        let answer = exchange(server.address, request, true).await;
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    }
}

#[tokio::test]
async fn refuses_compressed_bodies_that_explode() {
    let limits = Limits {
        max_body_bytes: 10_000,
        ..Limits::default()
    };
    let server = start(limits).await;
    let level = flate2::Compression::default();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
    encoder.write_all(&[0; 100_000]).unwrap();
    let body = encoder.finish().unwrap();
    assert!(body.len() < 1000);
    let head = format!(
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let request = [head.as_bytes(), &body].concat();
    let answer = exchange(server.address, &request, true).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[tokio::test]
async fn refuses_headers_beyond_the_limit_with_431() {
    let server = start(Limits::default()).await;
    let request = format!(
        "GET /health HTTP/1.1\r\nHost: x\r\nX-Long: {}\r\n\r\n",
        "x".repeat(100_000)
    );
    let answer = exchange(server.address, request.as_bytes(), false).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    // Short ones, but too many of them.
    let many = "X: y\r\n".repeat(1025);
    let request = format!("GET /health HTTP/1.1\r\nHost: x\r\n{many}\r\n");
    let answer = exchange(server.address, request.as_bytes(), false).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

/// Whatever a client leaves unsaid, its connection ends.
#[tokio::test]
async fn gives_clients_up_that_do_not_go_on() {
    let limits = Limits {
        idle_timeout: Duration::from_secs(1),
        body_timeout: Duration::from_millis(50),
        ..Limits::default()
    };
    let server = start(limits).await;
    let unfinished = [
        &b""[..],
        b"GET / HTTP/1.1\r\nHost",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nshort",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    ];
    let answers = unfinished.map(|start| exchange(server.address, start, false));
    for answer in futures::future::join_all(answers).await {
        assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    // One that has been answered may be silent for as long as any other.
    let whole = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    let answer = exchange(server.address, whole, false).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
}

const LAST: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

#[tokio::test]
async fn a_connection_too_many_waits_for_another_to_end() {
    let limits = Limits {
        max_connections: 2,
        ..Limits::default()
    };
    let mut server = start(limits).await;
    let mut first = TcpStream::connect(server.address).await.unwrap();
    first.write_all(SUBSCRIBE).await.unwrap();
    let _first = server.streams.recv().await.unwrap();
    let mut second = TcpStream::connect(server.address).await.unwrap();
    second.write_all(SUBSCRIBE).await.unwrap();
    let _second = server.streams.recv().await.unwrap();
    let mut third = TcpStream::connect(server.address).await.unwrap();
    third.write_all(SUBSCRIBE).await.unwrap();
    let early = tokio::time::timeout(Duration::from_millis(50), server.streams.recv()).await;
    assert!(early.is_err(), "the third is served beside two");
    drop(first);
    let served = tokio::time::timeout(PATIENCE, server.streams.recv()).await;
    assert!(served.is_ok(), "the third is not served after the first");
}

#[tokio::test]
async fn cuts_a_client_that_takes_nothing_of_its_answer() {
    let limits = Limits {
        max_connections: 1,
        write_timeout: Duration::from_millis(50),
        ..Limits::default()
    };
    let server = start(limits).await;
    let mut greedy = TcpStream::connect(server.address).await.unwrap();
    let request = b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n";
    greedy.write_all(request).await.unwrap();
    // There is no room for another client before that.
    let answer = exchange(server.address, LAST, false).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    // One that reads gets it all.
    let server = start(Limits::default()).await;
    let request = b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answer = exchange(server.address, request, false).await;
    assert!(answer.len() > 64 << 20, "{}", answer.len());
}

#[tokio::test]
async fn gives_clients_up_that_do_not_agree_on_tls() {
    let limits = Limits {
        max_connections: 1,
        handshake_timeout: Duration::from_millis(50),
        ..Limits::default()
    };
    let file = |name: &str| {
        let directory = env!("CARGO_MANIFEST_DIR");
        format!("{directory}/tests/security/{name}.pem")
    };
    let (certificate, key) = (file("certificate"), file("key"));
    let identity = Identity::read(certificate.as_ref(), key.as_ref()).unwrap();
    let server = start_with(limits, Some(identity)).await;
    for _ in 0..2 {
        let answer = exchange(server.address, b"", false).await;
        assert_eq!(answer, "");
    }
}

#[tokio::test]
async fn survives_what_is_no_http() {
    let server = start(Limits::default()).await;
    for nonsense in [
        &b"hello\r\n\r\n"[..],
        b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00",
        b"",
        b"GET /health HTTP/1.1\r\nHost: lo",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nshort",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    ] {
        let answer = exchange(server.address, nonsense, true).await;
        assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    let request = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answer = exchange(server.address, request, false).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
}

#[tokio::test]
async fn words_refusals_as_libprocess_does() {
    let server = start(Limits::default()).await;
    let request = b"GET /no-such HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answer = exchange(server.address, request, false).await;
    assert!(answer.starts_with("HTTP/1.1 404 Not Found\r\n"), "{answer}");
    assert!(
        answer.contains("Content-Type: text/plain; charset=utf-8\r\n"),
        "{answer}"
    );
    assert!(answer.ends_with("\r\n\r\n404 Not Found."), "{answer}");
    let request = b"DELETE / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answer = exchange(server.address, request, false).await;
    assert!(answer.contains("Allow: POST\r\n"), "{answer}");
    assert!(
        answer.ends_with(
            "405 Method Not Allowed. Expecting one of { 'POST' }, but received 'DELETE'."
        ),
        "{answer}"
    );
}

const SUBSCRIBE: &[u8] = b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n";

async fn read_until(stream: &mut TcpStream, text: &str) {
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains(text) {
        let count = tokio::time::timeout(PATIENCE, stream.read_buf(&mut seen))
            .await
            .expect("bytes in time")
            .unwrap();
        assert!(count > 0, "ended before {text}");
    }
}

#[tokio::test]
async fn streams_records_and_ends_when_the_sender_is_dropped() {
    let mut server = start(Limits::default()).await;
    let mut client = TcpStream::connect(server.address).await.unwrap();
    client.write_all(SUBSCRIBE).await.unwrap();
    let (sender, end) = server.streams.recv().await.unwrap();
    sender.send(Bytes::from_static(b"one record")).unwrap();
    read_until(&mut client, "one record").await;
    drop(sender);
    read_until(&mut client, "0\r\n\r\n").await;
    end.await.unwrap();
}

#[tokio::test]
async fn notices_at_once_that_a_client_left_or_closed_its_writing_side() {
    let mut server = start(Limits::default()).await;
    for half in [false, true] {
        let mut client = TcpStream::connect(server.address).await.unwrap();
        client.write_all(SUBSCRIBE).await.unwrap();
        let (sender, end) = server.streams.recv().await.unwrap();
        sender.send(Bytes::from_static(b"hello")).unwrap();
        read_until(&mut client, "hello").await;
        let client = if half {
            client.shutdown().await.unwrap();
            Some(client)
        } else {
            drop(client);
            None
        };
        tokio::time::timeout(PATIENCE, end)
            .await
            .expect("noticed")
            .unwrap();
        drop((client, sender));
    }
}

#[tokio::test]
async fn cuts_a_reader_that_stops_at_the_bound() {
    let mut server = start(Limits::default()).await;
    let mut client = TcpStream::connect(server.address).await.unwrap();
    client.write_all(SUBSCRIBE).await.unwrap();
    let (sender, end) = server.streams.recv().await.unwrap();
    let record = Bytes::from(vec![b'x'; 64 << 10]);
    let mut sent = 0;
    let refusal = loop {
        match sender.send(record.clone()) {
            Ok(()) => sent += record.len(),
            Err(refusal) => break refusal,
        }
        assert!(sent < 64 << 20, "never refused");
        tokio::task::yield_now().await;
    };
    assert_eq!(refusal, SendError::TooSlow);
    tokio::time::timeout(PATIENCE, end)
        .await
        .expect("cut")
        .unwrap();
    assert_eq!(sender.send(record), Err(SendError::Gone));
}

#[tokio::test]
async fn cuts_connections_when_told_and_stops_listening_when_told() {
    let mut server = start(Limits::default()).await;
    let mut client = TcpStream::connect(server.address).await.unwrap();
    client.write_all(SUBSCRIBE).await.unwrap();
    let (_sender, end) = server.streams.recv().await.unwrap();
    server.control.cut_connections();
    tokio::time::timeout(PATIENCE, end)
        .await
        .expect("cut")
        .unwrap();

    let request = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answer = exchange(server.address, request, false).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");

    server.control.stop();
    tokio::time::timeout(PATIENCE, async {
        while TcpStream::connect(server.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("stopped");
}
