//! A store in memory, for tests and simulation, which fails when it is told to.

use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use bytes::Bytes;

use super::{Batch, Entities, Store, StoreError};

/// Where it says it is.
const PLACE: &str = "the store in memory";

/// How a save fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is written, and the writer learns that it failed.
    BeforeWrite,
    /// All is written, and the writer learns that it failed.
    AfterWrite,
    /// Another leader has taken over: this and every later save fails.
    TakenOver,
}

/// Keeps entities in memory. Clones share them, as processes share a store.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    entities: Entities,
    saves: u64,
    is_taken_over: bool,
    fault: Option<Box<dyn FnMut(u64) -> Option<Fault> + Send>>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner")
            .field("entities", &self.entities.len())
            .field("saves", &self.saves)
            .finish_non_exhaustive()
    }
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks before each save whether it fails; the first save is number 1.
    pub fn set_faults(&self, fault: impl FnMut(u64) -> Option<Fault> + Send + 'static) {
        self.inner().fault = Some(Box::new(fault));
    }

    /// How often something was saved, or was tried to.
    #[must_use]
    pub fn saves(&self) -> u64 {
        self.inner().saves
    }

    /// All that is there.
    #[must_use]
    pub fn entities(&self) -> Entities {
        self.inner().entities.clone()
    }

    /// Saves without a runtime, for simulations.
    ///
    /// # Errors
    ///
    /// Those that were asked for.
    pub fn write(&self, batch: &Batch) -> Result<(), StoreError> {
        let inner = &mut *self.inner();
        inner.saves += 1;
        let fault = match &mut inner.fault {
            Some(fault) => fault(inner.saves),
            None => None,
        };
        inner.is_taken_over |= fault == Some(Fault::TakenOver);
        if inner.is_taken_over {
            return Err(StoreError::TakenOver {
                place: PLACE.to_owned(),
            });
        }
        if fault != Some(Fault::BeforeWrite) {
            batch.apply(&mut inner.entities);
        }
        match fault {
            None => Ok(()),
            Some(_) => Err(StoreError::Unavailable {
                place: PLACE.to_owned(),
                reason: "it was told to fail".to_owned(),
            }),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0
            .lock()
            .expect("nothing panics while it holds the entities")
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn load(&self, prefix: &str) -> Result<Entities, StoreError> {
        let inner = self.inner();
        let begins = |(key, _): &(&String, &Bytes)| key.starts_with(prefix);
        let found = inner.entities.iter().filter(begins);
        Ok(found.map(|(k, v)| (k.clone(), v.clone())).collect())
    }

    async fn keys(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let inner = self.inner();
        let begins = |key: &&String| key.starts_with(prefix);
        Ok(inner.entities.keys().filter(begins).cloned().collect())
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>, StoreError> {
        Ok(self.inner().entities.get(key).cloned())
    }

    async fn save(&self, batch: &Batch) -> Result<(), StoreError> {
        self.write(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(key: &str) -> Batch {
        let mut batch = Batch::new();
        batch.put(key, "x");
        batch
    }

    #[test]
    fn fails_before_or_after_the_write_as_it_is_told() {
        let store = MemoryStore::new();
        store.set_faults(|save| match save {
            1 => Some(Fault::BeforeWrite),
            2 => Some(Fault::AfterWrite),
            4 => Some(Fault::TakenOver),
            _ => None,
        });
        assert!(store.write(&batch("a")).unwrap_err().is_retryable());
        assert!(store.entities().is_empty());
        assert!(store.write(&batch("b")).unwrap_err().is_retryable());
        assert!(store.entities().contains_key("b"));
        store.write(&batch("c")).unwrap();
        assert!(!store.write(&batch("d")).unwrap_err().is_retryable());
        assert!(!store.write(&batch("d")).unwrap_err().is_retryable());
        assert_eq!(store.entities().len(), 2);
        assert_eq!(store.saves(), 5);
    }
}
