//! Names of images, checked before they become part of a request.

/// An image's name in two parts, as a registry is asked for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reference {
    pub(super) repository: String,
    /// A tag, or a digest with its algorithm.
    pub(super) version: String,
}

impl Reference {
    /// Takes a name apart; without a tag it is the one of `latest`.
    ///
    /// # Errors
    ///
    /// In the words of the engine.
    pub(super) fn parse(name: &str) -> Result<Self, String> {
        let (repository, version) = match name.split_once('@') {
            Some((repository, digest)) if is_digest(digest) => {
                (without_tag(repository).0, digest.to_owned())
            }
            Some(_) => return Err("invalid reference format".to_owned()),
            None => {
                let (repository, tag) = without_tag(name);
                (repository, tag.unwrap_or("latest").to_owned())
            }
        };
        let path = repository
            .split_once('/')
            .filter(|(host, _)| is_host(host))
            .map_or(repository, |(_, path)| path);
        if path.bytes().any(|byte| byte.is_ascii_uppercase()) {
            let library = if path == repository && !path.contains('/') {
                "library/"
            } else {
                ""
            };
            return Err(format!(
                "invalid reference format: repository name ({library}{path}) must be lowercase"
            ));
        }
        let is_tag = version.contains(':')
            || (!version.is_empty()
                && version.len() <= 128
                && !version.starts_with(['.', '-'])
                && version
                    .bytes()
                    .all(|byte| is_word(byte) || b".-".contains(&byte)));
        if !is_tag || !path.split('/').all(is_component) {
            return Err("invalid reference format".to_owned());
        }
        Ok(Self {
            repository: repository.to_owned(),
            version,
        })
    }

    /// The name as `docker pull` is given it.
    pub(super) fn full(name: &str) -> String {
        if name.contains('@') || without_tag(name).1.is_some() {
            name.to_owned()
        } else {
            format!("{name}:latest")
        }
    }
}

/// A colon in the last part of the path begins a tag; one before it a port.
fn without_tag(name: &str) -> (&str, Option<&str>) {
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
        _ => (name, None),
    }
}

fn is_host(part: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    let begins = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'[';
    (part == "localhost" || part.contains(['.', ':']))
        && part.as_bytes().first().is_some_and(begins)
        && part.bytes().all(is_plain)
}

fn is_digest(text: &str) -> bool {
    text.split_once(':').is_some_and(|(algorithm, hash)| {
        !algorithm.is_empty()
            && algorithm
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"+.-_".contains(&byte))
            && hash.len() >= 32
            && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Letters and digits, with single separators between them only.
fn is_component(part: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = part.as_bytes();
    bytes.first().copied().is_some_and(is_inner)
        && bytes.last().copied().is_some_and(is_inner)
        && bytes
            .iter()
            .all(|byte| is_inner(*byte) || b"._-".contains(byte))
        && !part.contains("..")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(name: &str) -> (String, String) {
        let Reference {
            repository,
            version,
        } = Reference::parse(name).unwrap();
        (repository, version)
    }

    #[test]
    fn a_name_is_a_repository_and_a_tag_or_digest() {
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(parts("bb"), pair("bb", "latest"));
        assert_eq!(parts("bb:1.2"), pair("bb", "1.2"));
        assert_eq!(parts("h:5000/a/b"), pair("h:5000/a/b", "latest"));
        assert_eq!(parts("H.example/a_b:T"), pair("H.example/a_b", "T"));
        let digest = format!("sha256:{}", "a1".repeat(32));
        assert_eq!(parts(&format!("a/b@{digest}")), pair("a/b", &digest));
        assert_eq!(Reference::full("h:5000/a"), "h:5000/a:latest");
        assert_eq!(Reference::full("a:b"), "a:b");
    }

    /// `invalid-name` of the scene `docker-image-missing`.
    #[test]
    fn what_is_no_name_is_refused_in_the_engines_words() {
        assert_eq!(
            Reference::parse("UPPER CASE").unwrap_err(),
            "invalid reference format: repository name (library/UPPER CASE) must be lowercase"
        );
        for wrong in [
            "", "a b", "../x", "a/../b", "a//b", "a:", "a:-b", "a?x=1", "a@b", "a:b\n", "-a",
        ] {
            assert_eq!(
                Reference::parse(wrong),
                Err("invalid reference format".into()),
                "{wrong}"
            );
        }
    }
}
