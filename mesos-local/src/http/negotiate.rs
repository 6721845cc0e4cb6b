//! Content negotiation of the v1 API: which encoding a body has and which one
//! the client takes. Content types are compared exactly, as Mesos does
//! (`application/json; charset=utf-8` is refused).

use bytes::Bytes;
use http::{HeaderMap, HeaderName, StatusCode, header};
use mesos_proto::{json, wire};
use prost::{Message, Name};

use super::{Refusal, Response};

/// How messages of the v1 API are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Json,
    Protobuf,
}

impl Encoding {
    /// The media type.
    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Protobuf => "application/x-protobuf",
        }
    }

    /// Writes a message.
    pub(crate) fn encode<M: Message + Name + Default>(self, message: &M) -> Bytes {
        match self {
            Self::Json => json::to_vec_with_defaults(message).into(),
            Self::Protobuf => wire::encode(message),
        }
    }

    /// Reads a call.
    ///
    /// # Errors
    ///
    /// 400 in Mesos's words.
    pub(crate) fn decode<M: Message + Name + Default>(self, body: &Bytes) -> Result<M, Refusal> {
        match self {
            Self::Json => json::from_slice(body).map_err(|error| {
                Refusal::bad_request(match &error {
                    json::Error::Syntax { .. } => {
                        format!("Failed to parse body into JSON: {error}")
                    }
                    _ => format!("Failed to convert JSON into Call protobuf: {error}"),
                })
            }),
            Self::Protobuf => wire::decode(body.clone())
                .map_err(|_| Refusal::bad_request("Failed to parse body into Call protobuf")),
        }
    }

    /// 200 with a message.
    pub(crate) fn response<M: Message + Name + Default>(self, message: &M) -> Response {
        Response::content(StatusCode::OK, self.media_type(), self.encode(message))
    }
}

/// The encoding the client takes; JSON where it takes both.
///
/// # Errors
///
/// 406 when it takes neither.
pub(crate) fn accepted(headers: &HeaderMap) -> Result<Encoding, Refusal> {
    [Encoding::Json, Encoding::Protobuf]
        .into_iter()
        .find(|encoding| accepts_media_type(headers, encoding.media_type()))
        .ok_or_else(|| {
            Refusal::new(
                StatusCode::NOT_ACCEPTABLE,
                "Expecting 'Accept' to allow 'application/x-protobuf' or 'application/json'",
            )
        })
}

/// The media type of streams of records.
const RECORDIO: &str = "application/recordio";

/// Whether a request's body is a stream of records.
pub(crate) fn is_recordio(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|content_type| content_type.as_bytes() == RECORDIO.as_bytes())
}

/// How a stream of records is to be written: its media type, and the encoding
/// of each record.
///
/// # Errors
///
/// 406 when the client takes none that there is.
pub(crate) fn accepted_stream(headers: &HeaderMap) -> Result<(&'static str, Encoding), Refusal> {
    const MESSAGE_ACCEPT: HeaderName = HeaderName::from_static("message-accept");
    let refuse = |text: &str| Err(Refusal::new(StatusCode::NOT_ACCEPTABLE, text));
    if let Ok(encoding) = accepted(headers) {
        if headers.contains_key(MESSAGE_ACCEPT) {
            return refuse("Expecting 'Message-Accept' to be not set for non-streaming responses");
        }
        return Ok((encoding.media_type(), encoding));
    }
    if !accepts_media_type(headers, RECORDIO) {
        return refuse(
            "Expecting 'Accept' to allow application/json or application/x-protobuf or application/recordio",
        );
    }
    let takes = |encoding: &Encoding| {
        let candidates = [encoding.media_type(), "application/*", "*/*"];
        !headers.contains_key(MESSAGE_ACCEPT) || accepts(headers, &MESSAGE_ACCEPT, &candidates)
    };
    match [Encoding::Json, Encoding::Protobuf].into_iter().find(takes) {
        Some(encoding) => Ok((RECORDIO, encoding)),
        None => {
            refuse("Expecting 'Message-Accept' to allow application/json or application/x-protobuf")
        }
    }
}

/// The encoding of the records of a request.
///
/// # Errors
///
/// 400 when it is not said, 415 when it is neither.
pub(crate) fn message_encoding(headers: &HeaderMap) -> Result<Encoding, Refusal> {
    let Some(content_type) = headers.get("message-content-type") else {
        return Err(Refusal::bad_request(
            "Expecting 'Message-Content-Type' to be set for streaming requests",
        ));
    };
    [Encoding::Json, Encoding::Protobuf]
        .into_iter()
        .find(|encoding| encoding.media_type().as_bytes() == content_type.as_bytes())
        .ok_or_else(|| {
            Refusal::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "Expecting 'Message-Content-Type' of application/json or application/x-protobuf",
            )
        })
}

/// Reads a call in the encoding its `Content-Type` names.
///
/// # Errors
///
/// 400 and 415 in Mesos's words.
pub(crate) fn decode_call<M: Message + Name + Default>(
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<M, Refusal> {
    let bad_request = |text: String| Refusal::bad_request(text);
    let Some(content_type) = headers.get(header::CONTENT_TYPE) else {
        return Err(bad_request("Expecting 'Content-Type' to be present".into()));
    };
    match content_type.as_bytes() {
        b"application/json" => Encoding::Json.decode(body),
        b"application/x-protobuf" => Encoding::Protobuf.decode(body),
        _ => Err(Refusal::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "Expecting 'Content-Type' of application/json or application/x-protobuf",
        )),
    }
}

/// Whether the client takes compressed bodies.
pub(crate) fn accepts_gzip(headers: &HeaderMap) -> bool {
    headers.contains_key(header::ACCEPT_ENCODING)
        && accepts(headers, &header::ACCEPT_ENCODING, &["gzip", "*"])
}

fn accepts_media_type(headers: &HeaderMap, media_type: &str) -> bool {
    if !headers.contains_key(header::ACCEPT) {
        return true;
    }
    accepts(
        headers,
        &header::ACCEPT,
        &[media_type, "application/*", "*/*"],
    )
}

/// Looks the candidates up one after the other, the most specific first; the
/// first that is named decides, by whether its quality is above zero.
fn accepts(headers: &HeaderMap, name: &HeaderName, candidates: &[&str]) -> bool {
    let values: Vec<&str> = headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .collect();
    for candidate in candidates {
        for value in &values {
            let mut parts = value.split(';').map(str::trim);
            if !parts
                .next()
                .unwrap_or_default()
                .eq_ignore_ascii_case(candidate)
            {
                continue;
            }
            let quality = parts.find_map(|part| part.strip_prefix("q="));
            return quality.is_none_or(|quality| {
                quality
                    .trim()
                    .parse::<f64>()
                    .is_ok_and(|quality| quality > 0.0)
            });
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, value: Option<&str>) -> HeaderMap {
        value
            .map(|value| (name, value.parse().unwrap()))
            .into_iter()
            .collect()
    }

    /// Every header of the recorded scene `fault-http-negotiation`.
    #[test]
    fn chooses_the_encoding_as_the_capture_shows() {
        for (accept, expected) in [
            (None, Some(Encoding::Json)),
            (Some("*/*"), Some(Encoding::Json)),
            (Some("application/*"), Some(Encoding::Json)),
            (
                Some("text/html, application/json;q=0.5"),
                Some(Encoding::Json),
            ),
            (
                Some("application/json; charset=utf-8"),
                Some(Encoding::Json),
            ),
            (Some("APPLICATION/JSON"), Some(Encoding::Json)),
            (Some("application/x-protobuf"), Some(Encoding::Protobuf)),
            (
                Some("application/x-protobuf, application/json"),
                Some(Encoding::Json),
            ),
            (Some("application/json;q=0, */*"), Some(Encoding::Protobuf)),
            (Some("text/html"), None),
            (Some(""), None),
            (Some("application/recordio"), None),
        ] {
            let headers = headers(header::ACCEPT, accept);
            assert_eq!(accepted(&headers).ok(), expected, "{accept:?}");
        }
    }

    /// Every header of the recorded scene `fault-http-gzip`.
    #[test]
    fn compresses_as_the_capture_shows() {
        for (accept, expected) in [
            (None, false),
            (Some("gzip"), true),
            (Some("*"), true),
            (Some("br, gzip;q=0.5"), true),
            (Some("gzip;q=0"), false),
            (Some("deflate"), false),
            (Some("identity"), false),
        ] {
            let headers = headers(header::ACCEPT_ENCODING, accept);
            assert_eq!(accepts_gzip(&headers), expected, "{accept:?}");
        }
    }
}
