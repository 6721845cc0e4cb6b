//! Where things are, and how a znode says that what it stands for is elsewhere.

use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::{Deserialize, Serialize};

/// Entities are spread over so many znodes, so that listing one stays small.
pub(super) const BUCKETS: usize = 64;

/// What stays as it is in names of znodes.
const NAMES: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b':');

/// What a znode begins with whose entity follows.
const INLINE: u8 = b'=';
/// What a znode begins with whose entity is in pieces.
const IN_PIECES: u8 = b'@';

#[derive(Debug)]
pub(super) struct Layout {
    root: String,
}

impl Layout {
    pub(super) fn new(group: &str) -> Self {
        Self {
            root: format!("{group}/store"),
        }
    }

    pub(super) fn root(&self) -> &str {
        &self.root
    }

    pub(super) fn head(&self) -> String {
        format!("{}/head", self.root)
    }

    pub(super) fn journal(&self) -> String {
        format!("{}/journal", self.root)
    }

    pub(super) fn blobs(&self) -> String {
        format!("{}/blobs", self.root)
    }

    pub(super) fn entities(&self) -> String {
        format!("{}/entities", self.root)
    }

    pub(super) fn bucket(&self, bucket: usize) -> String {
        format!("{}/entities/{bucket:02x}", self.root)
    }

    pub(super) fn entity(&self, key: &str) -> String {
        let bucket = crc32fast::hash(key.as_bytes()) as usize % BUCKETS;
        format!(
            "{}/{}",
            self.bucket(bucket),
            utf8_percent_encode(key, NAMES)
        )
    }

    pub(super) fn pieces(&self, reference: &Reference) -> impl Iterator<Item = String> + use<> {
        let count = reference.length.div_ceil(reference.piece_bytes);
        let prefix = format!("{}/blobs/{}", self.root, reference.name);
        (0..count).map(move |number| format!("{prefix}.{number}"))
    }
}

pub(super) fn decode_key(name: &str) -> Result<String, String> {
    match percent_decode_str(name).decode_utf8() {
        Ok(key) => Ok(key.into_owned()),
        Err(_) => Err(format!("the znode `{name}` has no entity's name")),
    }
}

/// Where the pieces of something are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Reference {
    name: String,
    pub(super) length: usize,
    pub(super) piece_bytes: usize,
    crc32: u32,
}

impl Reference {
    pub(super) fn new(name: String, bytes: &[u8], piece_bytes: usize) -> Self {
        Self {
            name,
            length: bytes.len(),
            piece_bytes: piece_bytes.max(1),
            crc32: crc32fast::hash(bytes),
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a reference is JSON")
    }

    pub(super) fn decode(data: &[u8]) -> Result<Self, String> {
        let reference: Self = serde_json::from_slice(data).map_err(|error| error.to_string())?;
        if reference.piece_bytes == 0 {
            return Err(format!("{} has pieces of no size", reference.name));
        }
        Ok(reference)
    }

    pub(super) fn check(&self, whole: &[u8]) -> Result<(), String> {
        if whole.len() == self.length && crc32fast::hash(whole) == self.crc32 {
            return Ok(());
        }
        Err(format!("the pieces of {} do not fit", self.name))
    }
}

/// What a znode says of its entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Inline(Bytes),
    InPieces(Reference),
}

impl Value {
    pub(super) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Inline(bytes) => [&[INLINE], bytes.as_ref()].concat(),
            Self::InPieces(reference) => [&[IN_PIECES], reference.encode().as_slice()].concat(),
        }
    }

    pub(super) fn decode(mut data: Bytes) -> Result<Self, String> {
        if data.is_empty() {
            return Err("a znode of an entity is empty".to_owned());
        }
        let rest = data.split_off(1);
        match data[0] {
            INLINE => Ok(Self::Inline(rest)),
            IN_PIECES => Reference::decode(&rest).map(Self::InPieces),
            kind => Err(format!("a znode of an entity begins with {kind}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_a_name() {
        let layout = Layout::new("/marathon");
        for key in ["app//a/b", ".", "..", "ünï", "a b%2f"] {
            let path = layout.entity(key);
            let name = path.rsplit('/').next().unwrap();
            assert!(!matches!(name, "." | ".."));
            assert_eq!(decode_key(name).unwrap(), key);
            assert_eq!(path.matches('/').count(), 5, "{path}");
        }
    }

    #[test]
    fn values_are_read_as_they_were_written() {
        let reference = Reference::new("1-2-3".to_owned(), b"abcde", 2);
        assert_eq!(Layout::new("").pieces(&reference).count(), 3);
        assert!(reference.check(b"abcde").is_ok());
        assert!(reference.check(b"abcdf").is_err());
        for value in [Value::Inline("".into()), Value::InPieces(reference)] {
            assert_eq!(Value::decode(value.encode().into()), Ok(value));
        }
        assert!(Value::decode(Bytes::new()).is_err());
        assert!(Value::decode("?".into()).is_err());
    }
}
