//! Bodies: requests read within limits, responses in one piece or as a stream.

use std::io::{Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::{Frame, Incoming, SizeHint};
use tokio::io::{AsyncRead, ReadBuf};

use super::stream::{Cut, EventBody};
use super::{Limits, Response};

/// libprocess compresses nothing shorter.
const MIN_COMPRESSED_BYTES: usize = 1024;

/// How much of a file is read at once.
const FILE_CHUNK_BYTES: u64 = 64 << 10;

/// The body of a response.
#[derive(Debug)]
pub(crate) struct Body(Kind);

#[derive(Debug)]
enum Kind {
    Full(Bytes),
    Events(EventBody),
    File { file: tokio::fs::File, left: u64 },
}

impl Body {
    pub(crate) fn full(bytes: Bytes) -> Self {
        Self(Kind::Full(bytes))
    }

    /// As many bytes of a file, read as the client takes them.
    pub(crate) fn file(file: std::fs::File, bytes: u64) -> Self {
        Self(Kind::File {
            file: tokio::fs::File::from_std(file),
            left: bytes,
        })
    }

    pub(super) fn events(events: EventBody) -> Self {
        Self(Kind::Events(events))
    }

    /// The length, unless it is a stream.
    pub(super) fn full_len(&self) -> Option<usize> {
        match &self.0 {
            Kind::Full(bytes) => Some(bytes.len()),
            Kind::File { left, .. } => usize::try_from(*left).ok(),
            Kind::Events(_) => None,
        }
    }

    /// Compresses a large body in place; a stream never.
    pub(super) fn compress(&mut self) -> bool {
        let Kind::Full(bytes) = &self.0 else {
            return false;
        };
        if bytes.len() < MIN_COMPRESSED_BYTES {
            return false;
        }
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        let compressed = encoder
            .write_all(bytes)
            .and_then(|()| encoder.finish())
            .expect("writing to memory does not fail");
        self.0 = Kind::Full(compressed.into());
        true
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        match &mut self.0 {
            Kind::Full(bytes) if bytes.is_empty() => Poll::Ready(None),
            Kind::Full(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Kind::Events(events) => events.poll_frame(context),
            Kind::File { left: 0, .. } => Poll::Ready(None),
            Kind::File { file, left } => {
                let most = (*left).min(FILE_CHUNK_BYTES);
                let mut chunk = vec![0; usize::try_from(most).unwrap_or_default()];
                let mut buffer = ReadBuf::new(&mut chunk);
                let read = ready!(Pin::new(file).poll_read(context, &mut buffer));
                let filled = buffer.filled().len();
                // A file that has shrunk cannot give what was promised.
                if read.is_err() || filled == 0 {
                    return Poll::Ready(Some(Err(Cut)));
                }
                *left -= filled as u64;
                chunk.truncate(filled);
                Poll::Ready(Some(Ok(Frame::data(chunk.into()))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Full(bytes) => bytes.is_empty(),
            Kind::File { left, .. } => *left == 0,
            Kind::Events(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::File { left, .. } => SizeHint::with_exact(*left),
            Kind::Events(_) => SizeHint::default(),
        }
    }
}

/// The body of a request that is a stream of records, read as it comes.
#[derive(Debug)]
pub(crate) struct RequestStream {
    incoming: Incoming,
    timeout: Duration,
}

impl RequestStream {
    pub(super) fn new(incoming: Incoming, timeout: Duration) -> Self {
        Self { incoming, timeout }
    }

    /// The next piece; `None` when the client has ended, or says nothing for
    /// too long.
    pub(crate) async fn chunk(&mut self) -> Option<Bytes> {
        loop {
            let frame = tokio::time::timeout(self.timeout, self.incoming.frame());
            let frame = frame.await.ok()??.ok()?;
            if let Ok(data) = frame.into_data() {
                return Some(data);
            }
        }
    }
}

/// The client ended, or paused for too long, in the middle of its body.
#[derive(Debug, thiserror::Error)]
#[error("the request's body did not arrive in full")]
pub(super) struct Incomplete;

/// Why a body was not read.
pub(super) enum Refused {
    /// Close without an answer.
    Incomplete(Incomplete),
    /// Answer so.
    Answer(Box<Response>),
}

impl Refused {
    fn answer(status: StatusCode, text: impl Into<String>) -> Self {
        Self::Answer(Box::new(Response::text(status, text)))
    }

    fn too_large(limit: usize) -> Self {
        Self::answer(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("The request body is larger than {limit} bytes"),
        )
    }
}

/// Reads a request's body, chunked or not, and unpacks it when it is gzip.
pub(super) async fn read(
    incoming: Incoming,
    headers: &HeaderMap,
    limits: &Limits,
) -> Result<Bytes, Refused> {
    let limit = limits.max_body_bytes;
    let announced = hyper::body::Body::size_hint(&incoming).lower();
    if announced > limit as u64 {
        return Err(Refused::too_large(limit));
    }
    let body = collect(incoming, limits).await?;
    let is_gzip = headers
        .get(header::CONTENT_ENCODING)
        .is_some_and(|encoding| encoding.as_bytes() == b"gzip");
    if is_gzip {
        unpack(&body, limit)
    } else {
        Ok(body)
    }
}

async fn collect(mut incoming: Incoming, limits: &Limits) -> Result<Bytes, Refused> {
    // Most bodies are one frame, which is passed on without a copy.
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    loop {
        let frame = match tokio::time::timeout(limits.body_timeout, incoming.frame()).await {
            Ok(Some(Ok(frame))) => frame,
            Ok(None) => break,
            Ok(Some(Err(_))) | Err(_) => return Err(Refused::Incomplete(Incomplete)),
        };
        let Ok(data) = frame.into_data() else {
            continue; // trailers
        };
        if first.len() + rest.len() + data.len() > limits.max_body_bytes {
            return Err(Refused::too_large(limits.max_body_bytes));
        }
        if first.is_empty() {
            first = data;
        } else {
            rest.extend_from_slice(&data);
        }
    }
    if rest.is_empty() {
        return Ok(first);
    }
    let mut whole = BytesMut::with_capacity(first.len() + rest.len());
    whole.extend_from_slice(&first);
    whole.extend_from_slice(&rest);
    Ok(whole.freeze())
}

fn unpack(body: &[u8], limit: usize) -> Result<Bytes, Refused> {
    let mut plain = Vec::new();
    let mut decoder = MultiGzDecoder::new(body).take(limit as u64 + 1);
    if decoder.read_to_end(&mut plain).is_err() {
        return Err(Refused::answer(
            StatusCode::INTERNAL_SERVER_ERROR,
            "failed to decode body",
        ));
    }
    if plain.len() > limit {
        return Err(Refused::too_large(limit));
    }
    Ok(plain.into())
}
