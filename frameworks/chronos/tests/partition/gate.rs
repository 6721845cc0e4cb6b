//! What lies between two processes: everything passes, or nothing does and
//! neither is told; what was under way arrives when it is mended, as TCP has it.

use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// A way to one address, by another. It ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) address: SocketAddr,
    is_open: watch::Sender<bool>,
    _passing: JoinSet<()>,
}

impl Gate {
    pub(crate) async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (is_open, watched) = watch::channel(true);
        let mut passing = JoinSet::new();
        passing.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((connection, _)) = listener.accept().await {
                connections.spawn(pass(connection, target, watched.clone()));
                while connections.try_join_next().is_some() {}
            }
        });
        Self {
            address,
            is_open,
            _passing: passing,
        }
    }

    pub(crate) fn set_open(&self, is_open: bool) {
        self.is_open.send_replace(is_open);
    }
}

async fn pass(connection: TcpStream, target: SocketAddr, mut gate: watch::Receiver<bool>) {
    if gate.wait_for(|is_open| *is_open).await.is_err() {
        return;
    }
    let Ok(onward) = TcpStream::connect(target).await else {
        return;
    };
    let (from_here, to_here) = connection.into_split();
    let (from_there, to_there) = onward.into_split();
    tokio::join!(
        pump(from_here, to_there, gate.clone()),
        pump(from_there, to_here, gate),
    );
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut gate: watch::Receiver<bool>,
) {
    let mut piece = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut piece).await.unwrap_or(0);
        // The end of a connection does not get through either.
        if gate.wait_for(|is_open| *is_open).await.is_err() {
            return;
        }
        if read == 0 || to.write_all(&piece[..read]).await.is_err() {
            let _ = to.shutdown().await;
            return;
        }
    }
}
