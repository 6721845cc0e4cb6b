//! Bodies of requests: whole ones, and those that are written bit by bit while
//! the server reads.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;

use super::{Error, Response};

/// Chunks that wait for the connection; who writes more waits too.
const CHUNKS_WAITING: usize = 8;

#[derive(Debug)]
pub(super) enum RequestBody {
    Whole(Full<Bytes>),
    /// `None` is the end.
    Written(mpsc::Receiver<Option<Bytes>>),
}

impl RequestBody {
    pub(super) fn whole(body: Bytes) -> Self {
        Self::Whole(Full::new(body))
    }

    pub(super) fn written() -> (BodySender, Self) {
        let (sender, receiver) = mpsc::channel(CHUNKS_WAITING);
        (BodySender(sender), Self::Written(receiver))
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Whole(body) => Pin::new(body).poll_frame(context),
            Self::Written(chunks) => chunks
                .poll_recv(context)
                .map(|chunk| chunk.flatten().map(|chunk| Ok(Frame::data(chunk)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_end_stream(),
            Self::Written(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::Written(_) => SizeHint::default(),
        }
    }
}

/// Writes the body of a request. Dropping the last clone ends the body.
#[derive(Debug, Clone)]
pub struct BodySender(mpsc::Sender<Option<Bytes>>);

impl BodySender {
    /// Writes a chunk, when there is room for it. `false` when the server does
    /// not read any further: then the response says why.
    pub async fn send(&self, chunk: Bytes) -> bool {
        // An empty chunk would end the body on the wire.
        chunk.is_empty() || self.0.send(Some(chunk)).await.is_ok()
    }

    /// Ends the body, for all clones.
    pub async fn end(&self) {
        // When the server reads no further, it has ended already.
        let _ = self.0.send(None).await;
    }
}

/// A request that is being written. It makes progress while it is waited for.
#[must_use = "the request is sent while its response is waited for"]
pub struct Upload(BoxFuture<'static, Result<Response, Error>>);

impl Upload {
    pub(super) fn new(
        response: impl Future<Output = Result<Response, Error>> + Send + 'static,
    ) -> Self {
        Self(response.boxed())
    }

    /// The response.
    ///
    /// # Errors
    ///
    /// When the connection breaks.
    pub async fn response(self) -> Result<Response, Error> {
        self.0.await
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload").finish_non_exhaustive()
    }
}
