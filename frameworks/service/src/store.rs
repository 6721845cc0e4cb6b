//! Where a framework keeps what it must not forget: named entities, written in
//! batches of which all is there afterwards or nothing.
//!
//! What an entity means is its owner's affair. Its key is text such as
//! `app//shop/web`; everything before some slash makes a prefix to list by.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

pub mod backup;
mod embedded;
mod memory;
mod schema;
mod simulated_disk;
mod zookeeper;

pub use embedded::EmbeddedStore;
pub use memory::{Fault, MemoryStore};
pub use schema::{Migration, Schema};
pub use simulated_disk::SimulatedDisk;
pub use zookeeper::{ZooKeeperStore, ZooKeeperStoreOptions};

/// Entities by their keys.
pub type Entities = BTreeMap<String, Bytes>;

/// Keeps entities.
///
/// One process writes at a time: the embedded store is locked, the one in
/// ZooKeeper turns away whoever has been succeeded.
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync {
    /// All entities whose keys begin so, as of one moment.
    async fn load(&self, prefix: &str) -> Result<Entities, StoreError>;

    /// The keys that begin so, in order.
    async fn keys(&self, prefix: &str) -> Result<Vec<String>, StoreError>;

    /// One entity.
    async fn get(&self, key: &str) -> Result<Option<Bytes>, StoreError>;

    /// Writes a batch. When this returns `Ok`, all of it will be there after
    /// any crash.
    ///
    /// # Errors
    ///
    /// The batch was written wholly or not at all. Which of them an error does
    /// not tell; saving it again settles it and does no harm, as a change says
    /// what an entity is and not what became of it.
    async fn save(&self, batch: &Batch) -> Result<(), StoreError>;
}

/// Something in a store that its owner cannot read.
#[derive(Debug, thiserror::Error)]
#[error("the store's entity {key} cannot be read: {reason}")]
#[non_exhaustive]
pub struct InvalidEntity {
    /// Its key.
    pub key: String,
    /// What is wrong with it.
    pub reason: String,
}

impl InvalidEntity {
    /// What is wrong with the entity of that key.
    #[must_use]
    pub fn new(key: &str, reason: impl fmt::Display) -> Self {
        Self {
            key: key.to_owned(),
            reason: reason.to_string(),
        }
    }
}

/// Changes of entities that belong together. Of two changes of one entity the
/// later counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    changes: BTreeMap<String, Option<Bytes>>,
}

impl Batch {
    /// A batch that changes nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The entity is this from now on.
    pub fn put(&mut self, key: impl Into<String>, value: impl Into<Bytes>) {
        self.changes.insert(key.into(), Some(value.into()));
    }

    /// There is no such entity from now on.
    pub fn delete(&mut self, key: impl Into<String>) {
        self.changes.insert(key.into(), None);
    }

    /// Adds the changes of a later batch.
    pub fn append(&mut self, mut later: Self) {
        self.changes.append(&mut later.changes);
    }

    /// Whether it changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// How many entities it changes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// The changes in order of their keys; `None` deletes.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&Bytes>)> {
        self.changes
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_ref()))
    }

    /// What makes `after` of `before`.
    #[must_use]
    pub fn between(before: &Entities, after: &Entities) -> Self {
        let mut batch = Self::new();
        for key in before.keys().filter(|key| !after.contains_key(*key)) {
            batch.delete(key.clone());
        }
        for (key, value) in after {
            if before.get(key) != Some(value) {
                batch.put(key.clone(), value.clone());
            }
        }
        batch
    }

    /// Makes the changes.
    pub fn apply(&self, entities: &mut Entities) {
        for (key, value) in &self.changes {
            match value {
                Some(value) => drop(entities.insert(key.clone(), value.clone())),
                None => drop(entities.remove(key)),
            }
        }
    }
}

/// What a store cannot do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process has the store.
    #[error("{place} is in use by another process; one instance at a time can use it")]
    InUse {
        /// Which store.
        place: String,
    },
    /// The disk, or the quota on it, is full. Nothing that was saved is lost.
    #[error("{place} cannot grow: {reason}")]
    Full {
        /// Which store.
        place: String,
        /// What the system said.
        reason: String,
    },
    /// It does not work at the moment.
    #[error("{place} cannot be used: {reason}")]
    Unavailable {
        /// Which store.
        place: String,
        /// Why.
        reason: String,
    },
    /// Another process has taken over: this one must not write any more.
    #[error("{place} has been taken over by another leader")]
    TakenOver {
        /// Which store.
        place: String,
    },
    /// The session on which the store depends is over.
    #[error("the session with {place} is over")]
    SessionOver {
        /// Which store.
        place: String,
    },
    /// A newer version has written it.
    #[error(
        "{place} is of version {found}, which is newer than {known}, the newest that this \
         version of {application} knows; use the version that wrote it, or a newer one"
    )]
    Newer {
        /// Which store.
        place: String,
        /// Whose it is.
        application: String,
        /// The version it has.
        found: u32,
        /// The newest version that is known.
        known: u32,
    },
    /// It holds what another program keeps.
    #[error("{place} belongs to {found}, not to {application}")]
    Foreign {
        /// Which store.
        place: String,
        /// Whose it is.
        found: String,
        /// Who wanted to use it.
        application: String,
    },
    /// What is there cannot be read.
    #[error("{place} is damaged: {reason}")]
    Damaged {
        /// Which store.
        place: String,
        /// What is wrong.
        reason: String,
    },
}

impl StoreError {
    /// Whether the same may work later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Full { .. } | Self::Unavailable { .. })
    }
}

/// How long until a save that failed is tried again: longer each time, and
/// never more than five seconds.
#[must_use]
pub fn retry_delay(failures: u32) -> Duration {
    let shift = failures.saturating_sub(1).min(6);
    (Duration::from_millis(100) * (1 << shift)).min(Duration::from_secs(5))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_later_of_two_changes_counts() {
        let mut batch = Batch::new();
        batch.put("a", "1");
        batch.delete("b");
        let mut later = Batch::new();
        later.delete("a");
        later.put("b", "2");
        batch.append(later);
        let changes: Vec<_> = batch.iter().collect();
        assert_eq!(changes, [("a", None), ("b", Some(&Bytes::from("2")))]);
    }

    #[test]
    fn the_difference_makes_one_of_the_other() {
        let of = |pairs: &[(&str, &'static str)]| -> Entities {
            let owned = |(key, value): &(&str, &'static str)| ((*key).to_owned(), (*value).into());
            pairs.iter().map(owned).collect()
        };
        let before = of(&[("a", "1"), ("b", "2"), ("c", "3")]);
        let after = of(&[("b", "2"), ("c", "4"), ("d", "5")]);
        let batch = Batch::between(&before, &after);
        assert_eq!(batch.len(), 3);
        let mut made = before;
        batch.apply(&mut made);
        assert_eq!(made, after);
    }

    #[test]
    fn delays_grow_to_a_limit() {
        assert_eq!(retry_delay(1), Duration::from_millis(100));
        assert_eq!(retry_delay(3), Duration::from_millis(400));
        assert_eq!(retry_delay(60), Duration::from_secs(5));
    }
}
