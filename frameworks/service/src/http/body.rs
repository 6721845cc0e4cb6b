//! Bodies: requests read within limits, responses in one piece or as a stream.

use std::fmt;
use std::io::{Read as _, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use futures::{Stream, StreamExt as _};
use http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper::body::{Frame, Incoming, SizeHint};

use super::Response;

/// Nothing shorter is compressed.
const MIN_COMPRESSED_BYTES: usize = 1024;
/// What is longer is compressed on a thread of its own.
const LONG_BYTES: usize = 128 << 10;

/// The body of a response. Small, as responses are passed around as errors, too.
pub struct Body(Box<Kind>);

enum Kind {
    Full(Bytes),
    Stream(Pin<Box<dyn Stream<Item = Result<Bytes, Cut>> + Send>>),
}

/// A stream ended before its end.
#[derive(Debug, thiserror::Error)]
#[error("the body was cut off")]
pub struct Cut;

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Kind::Full(bytes) => write!(f, "Body({} bytes)", bytes.len()),
            Kind::Stream(_) => f.write_str("Body(stream)"),
        }
    }
}

impl Body {
    /// No body.
    #[must_use]
    pub fn empty() -> Self {
        Self::full(Bytes::new())
    }

    /// A body in one piece.
    #[must_use]
    pub fn full(bytes: Bytes) -> Self {
        Self(Box::new(Kind::Full(bytes)))
    }

    /// A body that is written as it comes.
    #[must_use]
    pub fn stream(pieces: impl Stream<Item = Bytes> + Send + 'static) -> Self {
        Self(Box::new(Kind::Stream(Box::pin(pieces.map(Ok)))))
    }

    /// The same of something that can break off: then the connection is closed,
    /// so that the client knows.
    #[must_use]
    pub fn fallible_stream<E>(
        pieces: impl Stream<Item = Result<Bytes, E>> + Send + 'static,
    ) -> Self {
        let pieces = pieces.map(|piece| piece.map_err(|_| Cut));
        Self(Box::new(Kind::Stream(Box::pin(pieces))))
    }

    /// The bytes, unless it is a stream.
    #[must_use]
    pub fn as_full(&self) -> Option<&Bytes> {
        match &*self.0 {
            Kind::Full(bytes) => Some(bytes),
            Kind::Stream(_) => None,
        }
    }

    /// Compresses a body that is worth it; a stream never.
    pub(super) async fn compress(&mut self) -> bool {
        let Some(bytes) = self.as_full().cloned() else {
            return false;
        };
        if bytes.len() < MIN_COMPRESSED_BYTES {
            return false;
        }
        let compressed = if bytes.len() < LONG_BYTES {
            Ok(pack(&bytes))
        } else {
            tokio::task::spawn_blocking(move || pack(&bytes)).await
        };
        match compressed {
            Ok(compressed) => {
                *self.0 = Kind::Full(compressed);
                true
            }
            Err(_) => false,
        }
    }
}

fn pack(bytes: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder
        .write_all(bytes)
        .and_then(|()| encoder.finish())
        .expect("writing to memory does not fail")
        .into()
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        match &mut *self.0 {
            Kind::Full(bytes) if bytes.is_empty() => Poll::Ready(None),
            Kind::Full(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Kind::Stream(pieces) => pieces
                .poll_next_unpin(context)
                .map(|piece| Some(piece?.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.as_full().is_some_and(Bytes::is_empty)
    }

    fn size_hint(&self) -> SizeHint {
        match self.as_full() {
            Some(bytes) => SizeHint::with_exact(bytes.len() as u64),
            None => SizeHint::default(),
        }
    }
}

/// Why a body was not read.
pub(super) enum Refused {
    /// Close without an answer: the request never fully came.
    Incomplete,
    /// Answer so.
    Answer(Box<Response>),
}

fn too_large(limit: usize) -> Refused {
    let text = format!("The request body is larger than {limit} bytes");
    let answer = Response::error(StatusCode::PAYLOAD_TOO_LARGE, &text);
    Refused::Answer(Box::new(answer))
}

/// What is still read of a body that nobody wants, so that the answer is not
/// destroyed by a reset of the connection.
const DISCARDED_BYTES: usize = 1 << 20;
const DISCARD_TIMEOUT: Duration = Duration::from_millis(500);

/// Reads away what a client sends, for a moment.
pub(super) async fn discard(mut incoming: Incoming) {
    let discarding = async {
        let mut left = DISCARDED_BYTES;
        while let Some(Ok(frame)) = incoming.frame().await {
            let length = frame.data_ref().map_or(0, Bytes::len);
            let Some(rest) = left.checked_sub(length) else {
                return;
            };
            left = rest;
        }
    };
    // Either way it is answered now.
    let _ = tokio::time::timeout(DISCARD_TIMEOUT, discarding).await;
}

/// Reads a request's body, chunked or not, and unpacks it when it is gzip.
pub(super) async fn read(
    mut incoming: Incoming,
    headers: &HeaderMap,
    limit: usize,
    timeout: Duration,
) -> Result<Bytes, Refused> {
    let announced = hyper::body::Body::size_hint(&incoming).lower();
    if announced > limit as u64 {
        discard(incoming).await;
        return Err(too_large(limit));
    }
    let mut body = BytesMut::new();
    loop {
        let frame = match tokio::time::timeout(timeout, incoming.frame()).await {
            Ok(Some(Ok(frame))) => frame,
            Ok(None) => break,
            Ok(Some(Err(_))) | Err(_) => return Err(Refused::Incomplete),
        };
        let Ok(data) = frame.into_data() else {
            continue; // trailers
        };
        if body.len() + data.len() > limit {
            discard(incoming).await;
            return Err(too_large(limit));
        }
        body.extend_from_slice(&data);
    }
    let encoding = headers.get(header::CONTENT_ENCODING);
    match encoding.map(http::HeaderValue::as_bytes) {
        Some(b"gzip") => unpack(&body, limit),
        _ => Ok(body.freeze()),
    }
}

fn unpack(body: &[u8], limit: usize) -> Result<Bytes, Refused> {
    let mut plain = Vec::new();
    let mut decoder = MultiGzDecoder::new(body).take(limit as u64 + 1);
    if decoder.read_to_end(&mut plain).is_err() {
        let answer = Response::error(StatusCode::BAD_REQUEST, "The request body is not gzip");
        return Err(Refused::Answer(Box::new(answer)));
    }
    if plain.len() > limit {
        return Err(too_large(limit));
    }
    Ok(plain.into())
}
