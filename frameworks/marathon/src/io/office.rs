//! The office of leader: how long it has been held, how it is laid down, and
//! what whoever holds it next is to begin with.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use mesos_service::run::{Begin, Stop};
use mesos_service::store::{Batch, Entities, Store, StoreError, backup};

use super::SCHEMA;

/// Names the backup that the next leader is to begin with.
const RESTORE: &str = "restore-at-begin";

/// Long enough for the answer to leave.
const PAUSE: Duration = Duration::from_millis(500);

/// The office of leader. Clones are of the same.
#[derive(Clone, Debug)]
pub struct Office(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    stop: Stop,
    has_abdicated: AtomicBool,
    held: OnceLock<(Arc<dyn Store>, Instant)>,
}

/// What is to be done before the office is laid down.
#[derive(Debug, Default)]
pub struct Farewell {
    /// Write all of the state to this file.
    pub backup: Option<PathBuf>,
    /// The next leader reads it from this one.
    pub restore: Option<PathBuf>,
}

/// Why the office is not laid down.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FarewellError {
    /// Nobody holds it here.
    #[error("this instance does not lead")]
    NotLeading,
    /// There is no such file.
    #[error("there is no file {0} to restore from")]
    NoFile(PathBuf),
    /// The store or the file cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Farewell {
    /// Reads what a request names: `file:///path`.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn read(backup: Option<&str>, restore: Option<&str>) -> Result<Self, String> {
        let file = |name: &str, uri: Option<&str>| match uri {
            None => Ok(None),
            Some(uri) => match uri.strip_prefix("file://") {
                Some(path) if Path::new(path).is_absolute() => Ok(Some(PathBuf::from(path))),
                _ => Err(format!(
                    "{name}: {uri} cannot be used; file:///path of the leader's machine can"
                )),
            },
        };
        Ok(Self {
            backup: file("backup", backup)?,
            restore: file("restore", restore)?,
        })
    }
}

impl Office {
    pub(crate) fn new(stop: Stop) -> Self {
        Self(Arc::new(Shared {
            stop,
            has_abdicated: AtomicBool::new(false),
            held: OnceLock::new(),
        }))
    }

    /// Takes the office, with what was stored, or with the backup that whoever
    /// held it before named. That is tried once: when it fails, the next leader
    /// goes on with what was stored.
    pub(super) async fn take(&self, begin: Begin) -> Result<Entities, StoreError> {
        let Begin {
            mut entities,
            store,
        } = begin;
        if let Some(path) = entities.remove(RESTORE) {
            let mut done = Batch::new();
            done.delete(RESTORE);
            store.save(&done).await?;
            let path = PathBuf::from(String::from_utf8_lossy(&path).into_owned());
            tracing::warn!(path = %path.display(), "the state is replaced by a backup");
            backup::restore(&*store, &SCHEMA, &path).await?;
            entities = SCHEMA.load(&*store, "the restored state").await?;
        }
        // It is taken once in the life of a process.
        let _ = self.0.held.set((store, Instant::now()));
        Ok(entities)
    }

    /// For how long it has been held.
    #[must_use]
    pub fn tenure(&self) -> Duration {
        let held = self.0.held.get();
        held.map_or(Duration::ZERO, |(_, since)| since.elapsed())
    }

    /// Whether it was laid down.
    #[must_use]
    pub fn has_abdicated(&self) -> bool {
        self.0.has_abdicated.load(Ordering::Acquire)
    }

    /// Lays the office down, a moment from now.
    ///
    /// # Errors
    ///
    /// When what is to be done before cannot be done; then nothing changes.
    pub async fn abdicate(&self, farewell: &Farewell) -> Result<(), FarewellError> {
        let Some((store, _)) = self.0.held.get() else {
            return Err(FarewellError::NotLeading);
        };
        if let Some(path) = &farewell.restore
            && !path.is_file()
            && farewell.backup.as_ref() != Some(path)
        {
            return Err(FarewellError::NoFile(path.clone()));
        }
        if let Some(path) = &farewell.backup {
            backup::back_up(&**store, path).await?;
        }
        if let Some(path) = &farewell.restore {
            let mut order = Batch::new();
            order.put(RESTORE, path.display().to_string());
            store.save(&order).await?;
        }
        self.0.has_abdicated.store(true, Ordering::Release);
        let stop = self.0.stop.clone();
        tokio::spawn(async move {
            tokio::time::sleep(PAUSE).await;
            stop.stop();
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use mesos_service::store::MemoryStore;

    use super::*;

    #[test]
    fn files_are_named_in_full() {
        let read = Farewell::read(Some("file:///a/b"), None).unwrap();
        assert_eq!(read.backup.unwrap(), Path::new("/a/b"));
        for wrong in ["s3://bucket/key", "/a/b", "file://a/b"] {
            let error = Farewell::read(None, Some(wrong)).unwrap_err();
            assert!(
                error.contains(wrong) && error.contains("file:///"),
                "{error}"
            );
        }
    }

    #[tokio::test]
    async fn the_next_leader_begins_with_the_backup_once() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("backup");
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let taken = |store: Arc<dyn Store>| async move {
            let entities = SCHEMA.load(&*store, "here").await.unwrap();
            let office = Office::new(Stop::new());
            let taken = office.take(Begin { entities, store }).await;
            taken.map(|entities| (office, entities))
        };
        let put = |value: &'static str| {
            let mut batch = Batch::new();
            batch.put("framework-id", value);
            batch
        };
        SCHEMA.load(&*store, "here").await.unwrap();
        store.save(&put("old")).await.unwrap();
        let (first, _) = taken(Arc::clone(&store)).await.unwrap();
        let farewell = Farewell {
            backup: Some(file.clone()),
            restore: None,
        };
        first.abdicate(&farewell).await.unwrap();
        assert!(first.has_abdicated());

        store.save(&put("new")).await.unwrap();
        let (second, entities) = taken(Arc::clone(&store)).await.unwrap();
        assert_eq!(entities["framework-id"], "new");
        let farewell = Farewell {
            backup: None,
            restore: Some(file.clone()),
        };
        second.abdicate(&farewell).await.unwrap();
        let (third, entities) = taken(Arc::clone(&store)).await.unwrap();
        assert_eq!(entities["framework-id"], "old");
        assert!(!entities.contains_key(RESTORE));

        // One that is damaged meanwhile fails the one that reads it, no other.
        third.abdicate(&farewell).await.unwrap();
        std::fs::write(&file, "no backup").unwrap();
        assert!(taken(Arc::clone(&store)).await.is_err());
        let (_, entities) = taken(store).await.unwrap();
        assert_eq!(entities["framework-id"], "old");
        std::fs::remove_file(&file).unwrap();
        let error = third.abdicate(&farewell).await.unwrap_err();
        assert!(matches!(error, FarewellError::NoFile(_)), "{error}");
    }
}
