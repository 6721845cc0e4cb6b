//! What is given the bytes, and what it promises.

mod http;
mod messages;
mod models;
mod paths;
mod records;

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::corpus::Corpus;

/// Reads bytes from outside.
pub trait Target {
    /// Its name on the command line.
    fn name(&self) -> &'static str;

    /// Takes one input, panics when a promise is broken, and otherwise gives a
    /// number that is the same for outcomes of the same kind.
    fn take(&mut self, input: &[u8]) -> u64;
}

/// The names of all targets.
pub const NAMES: &[&str] = &["recordio", "protobuf", "json", "models", "http", "paths"];

/// A target, and the recorded inputs that are for it.
pub type Prepared = (Box<dyn Target>, Vec<Vec<u8>>);

/// A target by its name, with the recorded inputs that are for it.
#[must_use]
pub fn find(name: &str, corpus: &Corpus) -> Option<Prepared> {
    let both = || {
        corpus
            .json
            .iter()
            .chain(&corpus.protobuf)
            .cloned()
            .collect()
    };
    Some(match name {
        "recordio" => (Box::new(records::Records), corpus.recordio.clone()),
        "protobuf" => (Box::new(messages::Protobuf), corpus.protobuf.clone()),
        "json" => (Box::new(messages::Json), corpus.json.clone()),
        "models" => (Box::new(models::Models::new()), both()),
        "http" => (Box::new(http::Http::start()), corpus.http.clone()),
        "paths" => {
            let paths = paths::Paths::start();
            let seeds = paths.seeds();
            (Box::new(paths), seeds)
        }
        _ => return None,
    })
}

/// The kind of an outcome: the words of a text without its numbers and ids.
fn kind(parts: &[&str]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for part in parts {
        let words = part
            .split(|character: char| !character.is_ascii_alphabetic())
            .filter(|word| !word.is_empty())
            .take(12);
        for word in words {
            word.hash(&mut hasher);
        }
    }
    hasher.finish()
}
