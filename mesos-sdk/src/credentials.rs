//! Who we say we are to a master or an agent that asks
//! (`docs/authentication.md`).

use std::fmt;
use std::io::Read as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;

/// A credentials file is not larger than this.
const LARGEST_FILE: u64 = 64 * 1024;

/// Credentials. Neither `Debug` nor any log shows the secret.
#[derive(Clone)]
pub struct Credentials {
    principal: Option<String>,
    header: HeaderValue,
}

/// Credentials that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialsError {
    /// The file cannot be read.
    #[error("cannot read credentials from {path}: {reason}")]
    File {
        /// Which file.
        path: String,
        /// What went wrong.
        reason: String,
    },
    /// The text cannot be sent in a header.
    #[error("{what} holds characters that cannot be sent in a header")]
    Characters {
        /// Which part.
        what: &'static str,
    },
}

impl Credentials {
    /// HTTP Basic: a principal and its secret.
    ///
    /// # Errors
    ///
    /// When the principal holds a colon, or either a control character.
    pub fn basic(principal: &str, secret: &str) -> Result<Self, CredentialsError> {
        if principal.contains(|c: char| c == ':' || c.is_control()) {
            return Err(CredentialsError::Characters { what: "principal" });
        }
        let text = format!("Basic {}", STANDARD.encode(format!("{principal}:{secret}")));
        Ok(Self {
            principal: Some(principal.to_owned()),
            header: header(&text, "secret")?,
        })
    }

    /// HTTP Basic with the secret in a file: the secret alone, a line
    /// `principal secret`, or JSON `{"principal": .., "secret": ..}` as Mesos's
    /// own tools read it. Space around the secret does not count.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or holds another principal's secret only.
    pub fn basic_from_file(principal: &str, path: &Path) -> Result<Self, CredentialsError> {
        let wrong = |reason: String| CredentialsError::File {
            path: path.display().to_string(),
            reason,
        };
        let mut text = String::new();
        std::fs::File::open(path)
            .and_then(|file| file.take(LARGEST_FILE).read_to_string(&mut text))
            .map_err(|error| wrong(error.to_string()))?;
        let secret =
            secret_of(principal, text.trim()).map_err(|reason| wrong(reason.to_owned()))?;
        Self::basic(principal, &secret)
    }

    /// A token that somebody issued.
    ///
    /// # Errors
    ///
    /// When the token cannot be sent in a header.
    pub fn bearer(token: &str) -> Result<Self, CredentialsError> {
        Ok(Self {
            principal: None,
            header: header(&format!("Bearer {}", token.trim()), "token")?,
        })
    }

    /// The principal, where it is known.
    #[must_use]
    pub fn principal(&self) -> Option<&str> {
        self.principal.as_deref()
    }

    /// The value of the `Authorization` header, marked as sensitive.
    #[must_use]
    pub fn authorization(&self) -> HeaderValue {
        self.header.clone()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("principal", &self.principal)
            .finish_non_exhaustive()
    }
}

fn header(text: &str, what: &'static str) -> Result<HeaderValue, CredentialsError> {
    let mut value =
        HeaderValue::from_str(text).map_err(|_| CredentialsError::Characters { what })?;
    value.set_sensitive(true);
    Ok(value)
}

fn secret_of(principal: &str, text: &str) -> Result<String, &'static str> {
    #[derive(serde::Deserialize)]
    struct One {
        principal: String,
        secret: String,
    }
    if text.is_empty() {
        return Err("it is empty");
    }
    if text.starts_with('{') {
        let one: One = serde_json::from_str(text)
            .map_err(|_| "it is no JSON object with `principal` and `secret`")?;
        if one.principal != principal {
            return Err("it holds the secret of another principal");
        }
        return Ok(one.secret);
    }
    for line in text.lines() {
        if let Some((name, secret)) = line.trim().split_once(char::is_whitespace)
            && name == principal
        {
            return Ok(secret.trim().to_owned());
        }
    }
    if text.contains(char::is_whitespace) {
        return Err("it holds the secret of another principal");
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let credentials = Credentials::basic("alice", "wonder").unwrap();
        assert!(format!("{credentials:?}").contains("alice"));
        assert!(!format!("{credentials:?} {:?}", credentials.authorization()).contains("d29u"));
        assert_eq!(
            credentials.authorization().to_str().unwrap(),
            "Basic YWxpY2U6d29uZGVy"
        );
    }

    #[test]
    fn a_file_has_one_of_three_forms() {
        assert_eq!(secret_of("a", "s3cret"), Ok("s3cret".into()));
        assert_eq!(secret_of("b", "a one\nb two"), Ok("two".into()));
        assert_eq!(
            secret_of("a", r#"{"principal":"a","secret":"x y"}"#),
            Ok("x y".into())
        );
        assert!(secret_of("c", "a one\nb two").is_err());
        assert!(secret_of("c", r#"{"principal":"a","secret":"x"}"#).is_err());
        assert!(secret_of("c", "").is_err());
    }
}
