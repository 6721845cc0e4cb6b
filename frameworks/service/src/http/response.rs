//! An answer.

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use ring::digest::{SHA256, digest};
use serde::Serialize;
use serde_json::{Value, json};

use super::Body;

/// An answer to a request.
#[derive(Debug)]
pub struct Response {
    /// How it went.
    pub status: StatusCode,
    /// The headers; the server adds those of the length and the encoding.
    pub headers: HeaderMap,
    /// The body.
    pub body: Body,
    /// Whether the client may keep it and ask whether it has changed.
    is_tagged: bool,
}

impl Response {
    /// An answer without a body.
    #[must_use]
    pub fn empty(status: StatusCode) -> Self {
        Self::of(status, Body::empty())
    }

    /// An answer with a body and no headers.
    #[must_use]
    pub fn of(status: StatusCode, body: Body) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            body,
            is_tagged: false,
        }
    }

    /// A body of a media type.
    #[must_use]
    pub fn content(status: StatusCode, media_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self::of(status, Body::full(body.into()))
            .with(header::CONTENT_TYPE, HeaderValue::from_static(media_type))
    }

    /// Plain text.
    #[must_use]
    pub fn text(status: StatusCode, text: impl Into<String>) -> Self {
        let text: String = text.into();
        Self::content(status, "text/plain; charset=utf-8", text)
    }

    /// A value as JSON, on one line.
    ///
    /// # Panics
    ///
    /// When the value cannot be written as JSON, such as a map with keys that
    /// are no strings.
    #[must_use]
    pub fn json(status: StatusCode, value: &(impl Serialize + ?Sized)) -> Self {
        let body = serde_json::to_vec(value).expect("what is answered can be written as JSON");
        Self::content(status, "application/json", body)
    }

    /// 200 with JSON.
    ///
    /// # Panics
    ///
    /// As [`json`](Self::json).
    #[must_use]
    pub fn ok(value: &(impl Serialize + ?Sized)) -> Self {
        Self::json(StatusCode::OK, value)
    }

    /// An error: `{"message": ..}`.
    #[must_use]
    pub fn error(status: StatusCode, message: &str) -> Self {
        Self::json(status, &json!({ "message": message }))
    }

    /// An error: `{"message": .., "details": ..}`.
    #[must_use]
    pub fn error_with(status: StatusCode, message: &str, details: &Value) -> Self {
        Self::json(status, &json!({ "message": message, "details": details }))
    }

    /// Elsewhere for this once: 302.
    #[must_use]
    pub fn redirect(location: &str) -> Self {
        let response = Self::empty(StatusCode::FOUND);
        match HeaderValue::try_from(location) {
            Ok(location) => response.with(header::LOCATION, location),
            Err(_) => Self::error(StatusCode::BAD_REQUEST, "no location can be made of this"),
        }
    }

    /// The same with one more header, or another value of it.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// The same with a header of text; control characters are left out.
    #[must_use]
    pub fn with_text(self, name: HeaderName, text: &str) -> Self {
        let text: String = text.chars().filter(|c| !c.is_control()).collect();
        match HeaderValue::from_bytes(text.as_bytes()) {
            Ok(value) => self.with(name, value),
            Err(_) => self,
        }
    }

    /// The same with an `ETag` made of its body: a client that sends it back
    /// with `If-None-Match` is answered 304 as long as the body stays the same.
    #[must_use]
    pub fn tagged(mut self) -> Self {
        self.is_tagged = true;
        self
    }

    /// Sets the tag, and leaves the body out for a client that has it.
    pub(super) fn compare_tag(&mut self, method: &Method, request: &HeaderMap) {
        let is_read = *method == Method::GET || *method == Method::HEAD;
        if !self.is_tagged || !is_read || self.status != StatusCode::OK {
            return;
        }
        let Some(body) = self.body.as_full() else {
            return;
        };
        let digest = digest(&SHA256, body);
        // Weak: the body may be sent compressed or not.
        let mut tag = String::from("W/\"");
        for byte in &digest.as_ref()[..16] {
            tag.push_str(&format!("{byte:02x}"));
        }
        tag.push('"');
        let sent = request.get_all(header::IF_NONE_MATCH).iter();
        let mut sent = sent
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(str::trim);
        let strong = &tag[2..];
        if sent.any(|sent| sent == "*" || sent == tag || sent == strong) {
            self.status = StatusCode::NOT_MODIFIED;
            self.body = Body::empty();
            self.headers.remove(header::CONTENT_TYPE);
        }
        let tag = HeaderValue::try_from(tag).expect("hexadecimal digits");
        self.headers.insert(header::ETAG, tag);
    }
}

/// What a handler may return.
pub trait IntoResponse {
    /// Makes an answer of it.
    fn into_response(self) -> Response;
}

impl IntoResponse for Response {
    fn into_response(self) -> Response {
        self
    }
}

impl<T: IntoResponse, E: IntoResponse> IntoResponse for Result<T, E> {
    fn into_response(self) -> Response {
        match self {
            Ok(value) => value.into_response(),
            Err(error) => error.into_response(),
        }
    }
}

impl IntoResponse for StatusCode {
    fn into_response(self) -> Response {
        Response::empty(self)
    }
}
