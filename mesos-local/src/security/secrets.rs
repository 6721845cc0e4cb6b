//! Principals and their secrets, in the two forms of Mesos's files.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use mesos_sdk::credentials::Credentials;
use serde::Deserialize;

/// A file of credentials is not larger than this.
const LARGEST_FILE: u64 = 1 << 20;

/// Principals and their secrets. `Debug` shows the principals only.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secrets(BTreeMap<String, String>);

/// Text that holds no credentials.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretsError {
    /// The file cannot be read.
    #[error("cannot read credentials from {path}")]
    File {
        /// Which file.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// It is neither of the two forms.
    #[error("no credentials: {reason}")]
    Form {
        /// What is wrong.
        reason: String,
    },
}

#[derive(Deserialize)]
struct One {
    principal: String,
    secret: String,
}

impl Secrets {
    /// Reads a file in one of the forms of [`parse`](Self::parse).
    ///
    /// # Errors
    ///
    /// When it cannot be read, or is in neither form.
    pub fn read(path: &Path) -> Result<Self, SecretsError> {
        let mut text = String::new();
        std::fs::File::open(path)
            .and_then(|file| file.take(LARGEST_FILE).read_to_string(&mut text))
            .map_err(|source| SecretsError::File {
                path: path.display().to_string(),
                source,
            })?;
        Self::parse(&text)
    }

    /// Reads JSON, `{"credentials": [{"principal": .., "secret": ..}]}` or one
    /// such pair alone, or lines of a principal, white space and its secret.
    ///
    /// # Errors
    ///
    /// When it is neither.
    pub fn parse(text: &str) -> Result<Self, SecretsError> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Json {
            Many { credentials: Vec<One> },
            One(One),
        }
        let wrong = |reason: String| SecretsError::Form { reason };
        let pairs: Vec<One> = if text.trim_start().starts_with('{') {
            // The error of the parser would quote secrets.
            let json: Json = serde_json::from_str(text)
                .map_err(|_| wrong("the JSON is not as Mesos's credentials are".to_owned()))?;
            match json {
                Json::Many { credentials } => credentials,
                Json::One(one) => vec![one],
            }
        } else {
            let lines = text.lines().enumerate();
            lines
                .filter(|(_, line)| !line.trim().is_empty())
                .map(|(index, line)| {
                    let words: Vec<&str> = line.split_whitespace().collect();
                    match words.as_slice() {
                        [principal, secret] => Ok(One {
                            principal: (*principal).to_owned(),
                            secret: (*secret).to_owned(),
                        }),
                        _ => Err(wrong(format!(
                            "line {} is not a principal and a secret",
                            index + 1
                        ))),
                    }
                })
                .collect::<Result<_, _>>()?
        };
        Ok(pairs
            .into_iter()
            .map(|one| (one.principal, one.secret))
            .collect())
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first of them, as a client shows it.
    pub(crate) fn as_client(&self) -> Option<Credentials> {
        let (principal, secret) = self.0.first_key_value()?;
        Credentials::basic(principal, secret).ok()
    }

    /// Who a request's `Authorization: Basic` proves to be. The scheme's name
    /// is compared exactly, as libprocess does.
    pub(crate) fn authenticate(&self, headers: &HeaderMap) -> Option<String> {
        let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
        let decoded = STANDARD.decode(value.strip_prefix("Basic ")?).ok()?;
        let text = String::from_utf8(decoded).ok()?;
        let (principal, secret) = text.split_once(':')?;
        let known = self.0.get(principal)?;
        is_same(known.as_bytes(), secret.as_bytes()).then(|| principal.to_owned())
    }
}

/// Compares in a time that does not tell how much is the same.
pub(super) fn is_same(one: &[u8], other: &[u8]) -> bool {
    let differences = one
        .iter()
        .zip(other)
        .fold(0, |differences, (one, other)| differences | (one ^ other));
    one.len() == other.len() && std::hint::black_box(differences) == 0
}

impl FromIterator<(String, String)> for Secrets {
    /// From principals and their secrets.
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(secrets: &Secrets, header: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, header.parse().unwrap());
        secrets.authenticate(&headers)
    }

    #[test]
    fn reads_both_forms() {
        let lines = Secrets::parse("alice a-secret\n\n bob\tb-secret \n").unwrap();
        let json = Secrets::parse(
            r#"{"credentials": [{"principal": "alice", "secret": "a-secret"},
                                {"principal": "bob", "secret": "b-secret"}]}"#,
        );
        assert_eq!(lines, json.unwrap());
        let one = Secrets::parse(r#"{"principal": "alice", "secret": "a-secret"}"#).unwrap();
        assert!(one.as_client().is_some());
        for wrong in ["alice", "alice a secret", "{}", r#"{"alice": "a-secret"}"#] {
            let error = Secrets::parse(wrong).unwrap_err().to_string();
            assert!(!error.contains("secret\""), "{error}");
        }
    }

    /// Every header of the recorded scene `auth-master-operator`.
    #[test]
    fn knows_principals_as_the_capture_shows() {
        let secrets = Secrets::parse("alice a-secret\nbob b-secret").unwrap();
        let alice = Some("alice".to_owned());
        assert_eq!(who(&secrets, "Basic YWxpY2U6YS1zZWNyZXQ="), alice);
        for refused in [
            "Basic YWxpY2U6d3Jvbmc=",
            "Basic Y2Fyb2w6Yw==",
            "Bearer abc",
            "Basic !!!",
            "Basic YWxpY2U=",
            "basic YWxpY2U6YS1zZWNyZXQ=",
        ] {
            assert_eq!(who(&secrets, refused), None, "{refused}");
        }
        assert_eq!(secrets.authenticate(&HeaderMap::new()), None);
    }

    #[test]
    fn secrets_are_not_shown() {
        let secrets = Secrets::parse("alice a-secret").unwrap();
        assert_eq!(format!("{secrets:?}"), r#"{"alice"}"#);
    }
}
