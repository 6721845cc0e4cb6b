//! What an executor shows to prove that it is the one that was started: a JSON
//! web token with its ids, signed by the agent (RFC 7519 with HS256, claims as
//! `src/slave/slave.cpp` makes them).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use ring::hmac;
use ring::rand::SystemRandom;
use serde::{Deserialize, Serialize};

/// The one header that is written and read.
const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

/// Whose token it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    /// The container.
    pub(crate) cid: String,
    /// The executor.
    pub(crate) eid: String,
    /// The framework.
    pub(crate) fid: String,
}

/// Signs the tokens of executors and knows them again.
#[derive(Clone)]
pub struct TokenKey(hmac::Key);

impl TokenKey {
    /// A key from secret bytes.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// A key that nobody knows.
    ///
    /// # Errors
    ///
    /// When the system has no random bytes.
    pub fn random() -> std::io::Result<Self> {
        hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())
            .map(Self)
            .map_err(|_| std::io::Error::other("the system has no random bytes"))
    }

    /// A token for an executor.
    pub(crate) fn issue(&self, claims: &Claims) -> String {
        let claims = serde_json::to_vec(claims).expect("strings can be written");
        let mut token = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(HEADER),
            URL_SAFE_NO_PAD.encode(claims)
        );
        let signature = hmac::sign(&self.0, token.as_bytes());
        token.push('.');
        token.push_str(&URL_SAFE_NO_PAD.encode(signature));
        token
    }

    /// Whose token a request shows, if it is one of ours.
    pub(crate) fn authenticate(&self, headers: &HeaderMap) -> Option<Claims> {
        let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
        self.verify(value.strip_prefix("Bearer ")?)
    }

    fn verify(&self, token: &str) -> Option<Claims> {
        let (signed, signature) = token.rsplit_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        hmac::verify(&self.0, signed.as_bytes(), &signature).ok()?;
        let (header, claims) = signed.split_once('.')?;
        // Whoever has the key writes no other header.
        (URL_SAFE_NO_PAD.decode(header).ok()? == HEADER.as_bytes()).then_some(())?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("TokenKey").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(executor: &str) -> Claims {
        Claims {
            cid: "c".to_owned(),
            eid: executor.to_owned(),
            fid: "f".to_owned(),
        }
    }

    #[test]
    fn a_token_is_known_again_and_no_other() {
        let key = TokenKey::new(b"a key");
        let token = key.issue(&claims("e"));
        assert_eq!(key.verify(&token), Some(claims("e")));
        assert_eq!(TokenKey::new(b"another").verify(&token), None);
        let other = key.issue(&claims("other"));
        let (body, _) = other.rsplit_once('.').unwrap();
        let (_, signature) = token.rsplit_once('.').unwrap();
        for wrong in [
            format!("{body}.{signature}"),
            format!("{token}A"),
            token.replace('.', ""),
            String::new(),
            "..".to_owned(),
        ] {
            assert_eq!(key.verify(&wrong), None, "{wrong}");
        }
        let unsigned = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
        let (_, body) = body.split_once('.').unwrap();
        assert_eq!(key.verify(&format!("{unsigned}.{body}.")), None);
    }

    /// The example of RFC 7515, A.1, has this signature under its key.
    #[test]
    fn signs_as_the_standard_says() {
        let secret = URL_SAFE_NO_PAD
            .decode("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow")
            .unwrap();
        let key = TokenKey::new(&secret);
        let signed = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let signature = hmac::sign(&key.0, signed.as_bytes());
        assert_eq!(
            URL_SAFE_NO_PAD.encode(signature),
            "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
        );
    }
}
