//! What is wrong with a definition: paths, and what was found there.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

/// Everything that is wrong with a definition, by where it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Violations {
    errors: BTreeMap<String, Vec<String>>,
}

/// The errors at one path, as the API shows them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Detail {
    /// Where: `/`, `/cpus`, `/constraints(0)`.
    pub path: String,
    /// What is wrong there.
    pub errors: Vec<String>,
}

impl Violations {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One error, at a path: `/`, `/cpus`, `/constraints(0)`.
    pub fn add(&mut self, path: impl Into<String>, error: impl Into<String>) {
        self.errors
            .entry(path.into())
            .or_default()
            .push(error.into());
    }

    /// The same, unless `holds`.
    pub fn require(&mut self, holds: bool, path: impl Into<String>, error: impl Into<String>) {
        if !holds {
            self.add(path, error);
        }
    }

    /// Adds what was found in a part, below `path`.
    pub fn within(&mut self, path: &str, part: Self) {
        for (below, errors) in part.errors {
            let below = if below == "/" { "" } else { &below };
            let path = match (path, below) {
                ("/", "") => "/".to_owned(),
                ("/", below) => below.to_owned(),
                (path, below) => format!("{path}{below}"),
            };
            self.errors.entry(path).or_default().extend(errors);
        }
    }

    /// Whether all is well.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.errors.is_empty()
    }

    /// `Ok` when nothing is wrong.
    ///
    /// # Errors
    ///
    /// These, when something is.
    pub fn into_result(self) -> Result<(), Self> {
        if self.is_empty() { Ok(()) } else { Err(self) }
    }

    /// As the API shows them, in the order of their paths.
    #[must_use]
    pub fn details(&self) -> Vec<Detail> {
        let details = self.errors.iter().map(|(path, errors)| Detail {
            path: path.clone(),
            errors: errors.clone(),
        });
        details.collect()
    }
}

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (path, errors)) in self.errors.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{path}: {}", errors.join(", "))?;
        }
        Ok(())
    }
}

impl std::error::Error for Violations {}
