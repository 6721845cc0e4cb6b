//! The parameters behind the question mark.

use percent_encoding::percent_decode_str;

/// Parameters in the order in which they were sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    raw: String,
    pairs: Vec<(String, String)>,
}

impl Query {
    /// Reads what follows the question mark. What is no UTF-8 after decoding is
    /// replaced by U+FFFD.
    #[must_use]
    pub fn new(raw: &str) -> Self {
        let pairs = raw
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                (decode(name), decode(value))
            })
            .collect();
        Self {
            raw: raw.to_owned(),
            pairs,
        }
    }

    /// As it was sent, still percent-encoded.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.raw
    }

    /// The first value of a parameter; empty where it has none.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.pairs.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// All values of a parameter that may be repeated.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let named = self.pairs.iter().filter(move |(key, _)| key == name);
        named.map(|(_, value)| value.as_str())
    }

    /// Whether a switch is on: it is there, and not `false` or `0`. `default`
    /// where it is not there.
    #[must_use]
    pub fn is_on(&self, name: &str, default: bool) -> bool {
        match self.get(name) {
            Some(value) => !value.eq_ignore_ascii_case("false") && value != "0",
            None => default,
        }
    }
}

fn decode(text: &str) -> String {
    let text = text.replace('+', " ");
    percent_decode_str(&text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded() {
        let query = Query::new("embed=apps.tasks&embed=app%2Ecounts&force&id=a+b%20c&&x=");
        let embeds: Vec<_> = query.all("embed").collect();
        assert_eq!(embeds, ["apps.tasks", "app.counts"]);
        assert_eq!(query.get("id"), Some("a b c"));
        assert_eq!(query.get("x"), Some(""));
        assert_eq!(query.get("y"), None);
        assert!(query.is_on("force", false));
        assert!(!query.is_on("y", false));
        assert!(query.is_on("y", true));
        let off = Query::new("force=False&scale=0");
        assert!(!off.is_on("force", true) && !off.is_on("scale", true));
    }
}
