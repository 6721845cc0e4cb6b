//! Names of apps, pods and groups: paths such as `/shop/cart/db`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An absolute path that names an app, a pod or a group. The root group is `/`.
///
/// Paths order as their segments do, so that what is in a group follows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathId {
    segments: Vec<String>,
}

/// A path that names nothing, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{path}' is no path: its segments are of lower-case letters, digits, dashes and dots, \
     and begin and end with a letter or digit"
)]
#[non_exhaustive]
pub struct InvalidPath {
    /// The path as it was given.
    pub path: String,
}

/// The longest path that is taken, in characters.
const MAX_LENGTH: usize = 1024;

impl PathId {
    /// The root group, `/`.
    #[must_use]
    pub fn root() -> Self {
        Self {
            segments: Vec::new(),
        }
    }

    /// Reads a path that may be relative to `base` and may hold `..`.
    ///
    /// # Errors
    ///
    /// When a segment is none.
    pub fn parse(path: &str, base: &Self) -> Result<Self, InvalidPath> {
        let invalid = || InvalidPath {
            path: path.chars().take(MAX_LENGTH).collect(),
        };
        if path.len() > MAX_LENGTH {
            return Err(invalid());
        }
        let mut segments = if path.starts_with('/') {
            Vec::new()
        } else {
            base.segments.clone()
        };
        for segment in path.split('/').filter(|segment| !segment.is_empty()) {
            match segment {
                ".." => {
                    segments.pop();
                }
                _ if is_segment(segment) => segments.push(segment.to_owned()),
                _ => return Err(invalid()),
            }
        }
        Ok(Self { segments })
    }

    /// Whether this is `/`.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.segments.is_empty()
    }

    /// The group this is in; the root is in itself.
    #[must_use]
    pub fn parent(&self) -> Self {
        let mut parent = self.clone();
        parent.segments.pop();
        parent
    }

    /// What comes after the last slash; of the root, nothing.
    #[must_use]
    pub fn name(&self) -> &str {
        self.segments.last().map_or("", String::as_str)
    }

    /// The segments from the root on.
    #[must_use]
    pub fn segments(&self) -> &[String] {
        &self.segments
    }

    /// The groups that hold this, from its own up to the root.
    pub fn ancestors(&self) -> impl Iterator<Item = Self> {
        (0..self.segments.len()).rev().map(|length| Self {
            segments: self.segments[..length].to_vec(),
        })
    }

    /// The group right below the root that this is in, or is.
    #[must_use]
    pub fn top_level(&self) -> Option<&str> {
        self.segments.first().map(String::as_str)
    }

    /// Whether this is `group` or in it, however deep.
    #[must_use]
    pub fn is_in(&self, group: &Self) -> bool {
        self.segments.starts_with(&group.segments)
    }

    /// This, further down by one segment.
    ///
    /// # Errors
    ///
    /// When the segment is none.
    pub fn child(&self, segment: &str) -> Result<Self, InvalidPath> {
        if !is_segment(segment) {
            return Err(InvalidPath {
                path: segment.to_owned(),
            });
        }
        let mut segments = self.segments.clone();
        segments.push(segment.to_owned());
        Ok(Self { segments })
    }

    /// As tasks and service discovery are named: `/a/b/c` is `c.b.a`.
    #[must_use]
    pub fn to_dotted(&self) -> String {
        let mut segments = self.segments.clone();
        segments.reverse();
        segments.join(".")
    }

    /// As ids of instances begin: `/a/b/c` is `a_b_c`.
    #[must_use]
    pub fn to_safe(&self) -> String {
        self.segments.join("_")
    }
}

/// Labels joined by dots; each of lower-case letters, digits and inner dashes.
fn is_segment(segment: &str) -> bool {
    let is_outer = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_label = |label: &str| {
        let bytes = label.as_bytes();
        matches!((bytes.first(), bytes.last()), (Some(&first), Some(&last))
            if is_outer(first) && is_outer(last))
            && bytes.iter().all(|&byte| is_outer(byte) || byte == b'-')
    };
    segment.split('.').all(is_label)
}

impl FromStr for PathId {
    type Err = InvalidPath;

    fn from_str(path: &str) -> Result<Self, InvalidPath> {
        Self::parse(path, &Self::root())
    }
}

impl fmt::Display for PathId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", self.segments.join("/"))
    }
}

impl Serialize for PathId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PathId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let path = String::deserialize(deserializer)?;
        path.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> PathId {
        text.parse().unwrap()
    }

    #[test]
    fn relative_paths_begin_at_their_base() {
        let base = path("/shop/cart");
        let parse = |text| PathId::parse(text, &base).unwrap().to_string();
        assert_eq!(parse("db"), "/shop/cart/db");
        assert_eq!(parse("../db"), "/shop/db");
        assert_eq!(parse("/db"), "/db");
        assert_eq!(parse("../../../.."), "/");
        assert_eq!(parse("a//b/"), "/shop/cart/a/b");
    }

    #[test]
    fn segments_are_host_names() {
        for good in ["/a", "/a-b.c-d/0", "/1.2.3", "/"] {
            assert_eq!(path(good).to_string(), good);
        }
        for bad in [
            "/A", "/a_b", "/-a", "/a-", "/a..b", "/.a", "/a b", "/ä", "/a/.",
        ] {
            assert!(bad.parse::<PathId>().is_err(), "{bad}");
        }
        assert!("a".repeat(MAX_LENGTH + 1).parse::<PathId>().is_err());
    }

    #[test]
    fn knows_what_is_around_it() {
        let db = path("/shop/cart/db");
        assert_eq!(db.name(), "db");
        assert_eq!(db.parent(), path("/shop/cart"));
        let ancestors: Vec<_> = db.ancestors().map(|path| path.to_string()).collect();
        assert_eq!(ancestors, ["/shop/cart", "/shop", "/"]);
        assert!(db.is_in(&path("/shop")) && db.is_in(&PathId::root()) && db.is_in(&db));
        assert!(!path("/shopping").is_in(&path("/shop")));
        assert_eq!(db.top_level(), Some("shop"));
        assert_eq!(db.to_dotted(), "db.cart.shop");
        assert_eq!(db.to_safe(), "shop_cart_db");
    }
}
