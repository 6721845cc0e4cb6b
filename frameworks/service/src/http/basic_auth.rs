//! Who may ask: one user with one password, by HTTP Basic.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use ring::digest::{Digest, SHA256, digest};

use super::Response;

/// A user and a password that clients have to show. Neither `Debug` nor any log
/// shows the password.
#[derive(Clone)]
pub struct BasicCredentials {
    user: String,
    /// Of `user:password`: equal digests take equally long to compare, whatever
    /// was sent.
    expected: Digest,
    realm: String,
}

/// Text that is not `user:password`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("credentials have the form user:password")]
#[non_exhaustive]
pub struct BasicCredentialsError;

impl FromStr for BasicCredentials {
    type Err = BasicCredentialsError;

    fn from_str(text: &str) -> Result<Self, BasicCredentialsError> {
        let (user, password) = text.split_once(':').ok_or(BasicCredentialsError)?;
        if user.is_empty() || password.is_empty() {
            return Err(BasicCredentialsError);
        }
        Ok(Self {
            user: user.to_owned(),
            expected: digest(&SHA256, text.as_bytes()),
            realm: "Mesosphere".to_owned(),
        })
    }
}

impl BasicCredentials {
    /// The same with another realm than `Mesosphere`, which clients show to
    /// their users.
    #[must_use]
    pub fn with_realm(mut self, realm: &str) -> Self {
        let is_quotable = |c: &char| !c.is_control() && !matches!(c, '"' | '\\');
        self.realm = realm.chars().filter(is_quotable).collect();
        self
    }

    /// The user who asks.
    ///
    /// # Errors
    ///
    /// The answer, when it is nobody who may.
    pub(super) fn user(&self, headers: &HeaderMap) -> Result<&str, Box<Response>> {
        let shown = headers.get(header::AUTHORIZATION).and_then(shown);
        if shown.is_some_and(|shown| digest(&SHA256, &shown).as_ref() == self.expected.as_ref()) {
            return Ok(&self.user);
        }
        let challenge = format!("Basic realm=\"{}\"", self.realm);
        let challenge = HeaderValue::try_from(challenge);
        let challenge = challenge.unwrap_or(HeaderValue::from_static("Basic"));
        let answer = Response::error(StatusCode::UNAUTHORIZED, "invalid username or password");
        Err(Box::new(answer.with(header::WWW_AUTHENTICATE, challenge)))
    }
}

impl fmt::Debug for BasicCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BasicCredentials")
            .field("user", &self.user)
            .field("realm", &self.realm)
            .finish_non_exhaustive()
    }
}

fn shown(value: &HeaderValue) -> Option<Vec<u8>> {
    let (scheme, rest) = value.to_str().ok()?.split_once(' ')?;
    let is_basic = scheme.eq_ignore_ascii_case("basic");
    is_basic
        .then(|| STANDARD.decode(rest.trim()).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_password_is_let_in() {
        let credentials: BasicCredentials = "alice:won:der".parse().unwrap();
        let asks = |text: Option<&str>| {
            let value = text.map(|text| (header::AUTHORIZATION, text.parse().unwrap()));
            let headers: HeaderMap = value.into_iter().collect();
            credentials.user(&headers).map(str::to_owned)
        };
        let basic = |text: &str| format!("basic {}", STANDARD.encode(text));
        assert_eq!(asks(Some(&basic("alice:won:der"))).unwrap(), "alice");
        for wrong in [None, Some("Bearer x"), Some("Basic"), Some("Basic ???")] {
            let answer = asks(wrong).unwrap_err();
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
            let challenge = &answer.headers[header::WWW_AUTHENTICATE];
            assert_eq!(challenge, "Basic realm=\"Mesosphere\"");
        }
        for wrong in ["alice:wonder", "bob:won:der", "alice:", "alice"] {
            asks(Some(&basic(wrong))).unwrap_err();
        }
        assert!(!format!("{credentials:?}").contains("der"));
        for text in ["", "alice", ":x", "x:"] {
            assert!(text.parse::<BasicCredentials>().is_err(), "{text}");
        }
    }
}
