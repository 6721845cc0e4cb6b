//! One accepted connection, split so that a stream can watch the client while
//! the server writes to it.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Notify;
use tokio::time::Sleep;
use tokio_rustls::server::TlsStream;

/// How much and how long a closing connection still reads, so that an answer
/// sent before the whole request came is not destroyed by a reset.
const LINGER_BYTES: usize = 1 << 20;
const LINGER: Duration = Duration::from_millis(500);

/// The server's half: what hyper reads from and writes to.
pub(super) struct Socket {
    reader: Peer,
    writer: Writer,
    patience: Patience,
}

/// Gives a client up that takes nothing of what is written to it.
struct Patience {
    timeout: Duration,
    /// Since the client takes nothing.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    /// What came of a write, or that it has waited for too long.
    fn with<T>(
        &mut self,
        written: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waiting = None;
            return written;
        }
        let timeout = self.timeout;
        let waiting = self
            .waiting
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        ready!(waiting.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

enum Writer {
    Plain(OwnedWriteHalf),
    Tls(WriteHalf<TlsStream<TcpStream>>),
}

#[derive(Debug)]
enum Reader {
    Plain(OwnedReadHalf),
    /// TLS cannot be looked into without reading: what was read to see whether
    /// the client is there waits here for the server.
    Tls(ReadHalf<TlsStream<TcpStream>>, Option<u8>),
}

/// The client at the other end, shared by the server and its streams.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    reader: Arc<Mutex<Reader>>,
    cut: Arc<Notify>,
}

/// Ends one connection from outside.
#[derive(Debug)]
pub(super) struct Scissors(Arc<Notify>);

impl Scissors {
    pub(super) fn cut(&self) {
        self.0.notify_one();
    }
}

pub(super) fn split(stream: TcpStream, write_timeout: Duration) -> (Socket, Peer) {
    let (reader, writer) = stream.into_split();
    join(Reader::Plain(reader), Writer::Plain(writer), write_timeout)
}

pub(super) fn split_tls(stream: TlsStream<TcpStream>, write_timeout: Duration) -> (Socket, Peer) {
    let (reader, writer) = tokio::io::split(stream);
    join(
        Reader::Tls(reader, None),
        Writer::Tls(writer),
        write_timeout,
    )
}

fn join(reader: Reader, writer: Writer, write_timeout: Duration) -> (Socket, Peer) {
    let peer = Peer {
        reader: Arc::new(Mutex::new(reader)),
        cut: Arc::new(Notify::new()),
    };
    let socket = Socket {
        reader: peer.clone(),
        writer,
        patience: Patience {
            timeout: write_timeout,
            waiting: None,
        },
    };
    (socket, peer)
}

impl Peer {
    fn reader(&self) -> MutexGuard<'_, Reader> {
        self.reader
            .lock()
            .expect("nothing panics while it holds a socket")
    }

    /// What ends the connection at once, whatever it is doing, without keeping
    /// it open until then.
    pub(super) fn scissors(&self) -> Scissors {
        Scissors(Arc::clone(&self.cut))
    }

    /// Waits until somebody cuts.
    pub(super) async fn wait_until_cut(&self) {
        self.cut.notified().await;
    }

    /// Ready once the client has closed its writing side or the connection is
    /// broken. Bytes that it sent meanwhile, a pipelined request, hide that:
    /// then the next write tells.
    pub(super) fn poll_gone(&self, context: &mut Context<'_>) -> Poll<()> {
        match ready!(self.reader().poll_peek(context)) {
            Ok(true) => Poll::Pending,
            Ok(false) | Err(_) => Poll::Ready(()),
        }
    }

    /// Reads away what the client still sends, for a moment.
    pub(super) async fn linger(&self) {
        let mut left = LINGER_BYTES;
        let mut buffer = vec![0; 16 << 10];
        let drain = std::future::poll_fn(|context| {
            loop {
                let mut chunk = ReadBuf::new(&mut buffer);
                let result = ready!(Pin::new(&mut *self.reader()).poll_read(context, &mut chunk));
                let count = chunk.filled().len();
                if result.is_err() || count == 0 || count >= left {
                    return Poll::Ready(());
                }
                left -= count;
            }
        });
        // Either way the connection is over.
        let _ = tokio::time::timeout(LINGER, drain).await;
    }
}

impl Reader {
    /// Whether there is something to read; `false` at the end.
    fn poll_peek(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut byte = [0];
        let mut buffer = ReadBuf::new(&mut byte);
        match self {
            Self::Plain(reader) => reader
                .poll_peek(context, &mut buffer)
                .map_ok(|count| count > 0),
            Self::Tls(_, Some(_)) => Poll::Ready(Ok(true)),
            Self::Tls(reader, peeked) => {
                ready!(Pin::new(reader).poll_read(context, &mut buffer))?;
                *peeked = buffer.filled().first().copied();
                Poll::Ready(Ok(peeked.is_some()))
            }
        }
    }
}

impl AsyncRead for Reader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(reader) => Pin::new(reader).poll_read(context, buffer),
            Self::Tls(reader, peeked) => {
                if buffer.remaining() > 0
                    && let Some(byte) = peeked.take()
                {
                    buffer.put_slice(&[byte]);
                    return Poll::Ready(Ok(()));
                }
                Pin::new(reader).poll_read(context, buffer)
            }
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.reader.reader()).poll_read(context, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = match &mut self.writer {
            Writer::Plain(writer) => Pin::new(writer).poll_write(context, bytes),
            Writer::Tls(writer) => Pin::new(writer).poll_write(context, bytes),
        };
        self.patience.with(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = match &mut self.writer {
            Writer::Plain(writer) => Pin::new(writer).poll_write_vectored(context, slices),
            Writer::Tls(writer) => Pin::new(writer).poll_write_vectored(context, slices),
        };
        self.patience.with(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.writer {
            Writer::Plain(writer) => writer.is_write_vectored(),
            Writer::Tls(writer) => writer.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let written = match &mut self.writer {
            Writer::Plain(writer) => Pin::new(writer).poll_flush(context),
            Writer::Tls(writer) => Pin::new(writer).poll_flush(context),
        };
        self.patience.with(written, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let written = match &mut self.writer {
            Writer::Plain(writer) => Pin::new(writer).poll_shutdown(context),
            Writer::Tls(writer) => Pin::new(writer).poll_shutdown(context),
        };
        self.patience.with(written, context)
    }
}
