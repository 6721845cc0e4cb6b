//! `http_server PORT`: answers 200 for `/` and 404 for everything else on the
//! loopback address, as soon as it is started. Tasks of the scenes run it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;

fn main() -> std::io::Result<()> {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok());
    let Some(port) = port else {
        eprintln!("usage: http_server PORT");
        std::process::exit(2);
    };
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    for client in listener.incoming() {
        let mut client = client?;
        let mut lines = BufReader::new(&client).lines();
        // A TCP check closes without a request.
        let Some(Ok(request)) = lines.next() else {
            continue;
        };
        while lines
            .next()
            .is_some_and(|line| line.is_ok_and(|l| !l.is_empty()))
        {}
        let status = match request.split(' ').nth(1) {
            Some("/") => "200 OK",
            _ => "404 Not Found",
        };
        // Whoever has gone needs no answer.
        let _ = write!(
            client,
            "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
    }
    Ok(())
}
