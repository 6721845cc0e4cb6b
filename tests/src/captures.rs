//! The recorded dialogues in `data/captures`.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::Value;

/// Where they lie.
#[must_use]
pub fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("data/captures")
}

/// The names of all of them.
///
/// # Panics
///
/// When the directory cannot be read.
#[must_use]
pub fn names() -> BTreeSet<String> {
    std::fs::read_dir(directory())
        .expect("the recorded dialogues")
        .filter_map(|entry| {
            let name = entry.expect("an entry").file_name().into_string().ok()?;
            name.strip_suffix(".json").map(str::to_owned)
        })
        .collect()
}

/// One recorded dialogue.
///
/// # Panics
///
/// When there is none of that name.
#[must_use]
pub fn read(name: &str) -> Value {
    let path = directory().join(format!("{name}.json"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}
