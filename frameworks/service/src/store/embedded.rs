//! The store in one file: a redb database, whose commits are atomic and on disk
//! before they return. This file adds what is around it: errors that say what
//! to do, an answer after a full disk without a restart, and a file that
//! shrinks again.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use bytes::Bytes;
use redb::{
    Database, DatabaseError, ReadableDatabase as _, ReadableTable as _, StorageBackend,
    TableDefinition, TableError,
};

use super::{Batch, Entities, SimulatedDisk, Store, StoreError};

const ENTITIES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("entities");
/// Pages kept in memory. The framework has its state in memory anyway.
const CACHE_BYTES: usize = 16 << 20;
/// A file is compacted at the start when it is larger than this, and four times
/// as large as what is in it.
const COMPACT_FROM_BYTES: u64 = 4 << 20;

/// Keeps entities in one file, which no second process can open meanwhile.
///
/// ```
/// use mesos_service::store::{Batch, EmbeddedStore};
///
/// let directory = tempfile::tempdir()?;
/// let store = EmbeddedStore::open(directory.path(), "marathon")?;
/// let mut batch = Batch::new();
/// batch.put("app//web", "{}");
/// store.write(&batch)?;
/// assert_eq!(store.read("app/")?.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct EmbeddedStore(Arc<Inner>);

struct Inner {
    origin: Origin,
    /// Empty after a failure, until it is opened again.
    database: Mutex<Option<Database>>,
}

/// Where the bytes are.
#[derive(Clone)]
enum Origin {
    File(PathBuf),
    Simulated(SimulatedDisk),
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner")
            .field("place", &self.origin.place())
            .finish_non_exhaustive()
    }
}

impl EmbeddedStore {
    /// Opens `<name>.redb` in a directory, and makes both where they are
    /// missing. After a crash this finds all that was saved.
    ///
    /// # Errors
    ///
    /// When another process has it open, or it cannot be read or made.
    pub fn open(directory: &Path, name: &str) -> Result<Self, StoreError> {
        let path = directory.join(format!("{name}.redb"));
        let place = path.display().to_string();
        let unusable = |error: std::io::Error| io_error(&place, &error);
        std::fs::create_dir_all(directory).map_err(unusable)?;
        let store = Self::start(Origin::File(path))?;
        // The file's name is to survive a crash as well.
        let synced = std::fs::File::open(directory).and_then(|directory| directory.sync_all());
        synced.map_err(unusable)?;
        Ok(store)
    }

    /// Opens the same on a disk that a test makes fail.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_simulated(disk: &SimulatedDisk) -> Result<Self, StoreError> {
        Self::start(Origin::Simulated(disk.clone()))
    }

    fn start(origin: Origin) -> Result<Self, StoreError> {
        let mut database = origin.open()?;
        let place = origin.place();
        let length = origin.len();
        if length > COMPACT_FROM_BYTES {
            let stored = stored_bytes(&database).map_err(|error| failed(&place, error))?;
            if length > stored.saturating_mul(4) {
                // A file that stays large is no reason not to start.
                if let Err(error) = database.compact() {
                    tracing::warn!(%error, place, "cannot compact");
                    drop(database);
                    database = origin.open()?;
                }
            }
        }
        Ok(Self(Arc::new(Inner {
            origin,
            database: Mutex::new(Some(database)),
        })))
    }

    /// Saves on the calling thread.
    ///
    /// # Errors
    ///
    /// As [`Store::save`].
    pub fn write(&self, batch: &Batch) -> Result<(), StoreError> {
        self.with(|database| {
            let transaction = database.begin_write()?;
            {
                let mut table = transaction.open_table(ENTITIES)?;
                for (key, value) in batch.iter() {
                    match value {
                        Some(value) => drop(table.insert(key, value.as_ref())?),
                        None => drop(table.remove(key)?),
                    }
                }
            }
            Ok(transaction.commit()?)
        })
    }

    /// Loads on the calling thread.
    ///
    /// # Errors
    ///
    /// As [`Store::load`].
    pub fn read(&self, prefix: &str) -> Result<Entities, StoreError> {
        let mut found = Entities::new();
        self.scan(prefix, |key, value| {
            found.insert(key.to_owned(), Bytes::copy_from_slice(value));
        })?;
        Ok(found)
    }

    fn scan(&self, prefix: &str, mut take: impl FnMut(&str, &[u8])) -> Result<(), StoreError> {
        self.with(|database| {
            let Some(table) = entities(database)? else {
                return Ok(());
            };
            for entry in table.range(prefix..)? {
                let (key, value) = entry?;
                if !key.value().starts_with(prefix) {
                    break;
                }
                take(key.value(), value.value());
            }
            Ok(())
        })
    }

    fn read_one(&self, key: &str) -> Result<Option<Bytes>, StoreError> {
        self.with(|database| {
            let Some(table) = entities(database)? else {
                return Ok(None);
            };
            let value = table.get(key)?;
            Ok(value.map(|value| Bytes::copy_from_slice(value.value())))
        })
    }

    /// Uses the database. A database that failed is of no use any more; the
    /// next use opens it again, which finds what was committed.
    fn with<T>(
        &self,
        act: impl FnOnce(&Database) -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        let mut slot = self.slot();
        let database = match slot.take() {
            Some(database) => database,
            None => self.0.origin.open()?,
        };
        let result = act(&database);
        match result {
            Ok(value) => {
                *slot = Some(database);
                Ok(value)
            }
            Err(error) => Err(failed(&self.0.origin.place(), error)),
        }
    }

    fn slot(&self) -> MutexGuard<'_, Option<Database>> {
        // A panic in between leaves the slot empty, which is a state it has.
        match self.0.database.lock() {
            Ok(slot) => slot,
            Err(poisoned) => poisoned.into_inner(),
        }
    }

    async fn on_thread<T: Send + 'static>(
        &self,
        act: impl FnOnce(Self) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let store = self.clone();
        match tokio::task::spawn_blocking(move || act(store)).await {
            Ok(result) => result,
            Err(error) => Err(StoreError::Unavailable {
                place: self.0.origin.place(),
                reason: error.to_string(),
            }),
        }
    }
}

#[async_trait]
impl Store for EmbeddedStore {
    async fn load(&self, prefix: &str) -> Result<Entities, StoreError> {
        let prefix = prefix.to_owned();
        self.on_thread(move |store| store.read(&prefix)).await
    }

    async fn keys(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let prefix = prefix.to_owned();
        self.on_thread(move |store| {
            let mut keys = Vec::new();
            store.scan(&prefix, |key, _| keys.push(key.to_owned()))?;
            Ok(keys)
        })
        .await
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>, StoreError> {
        let key = key.to_owned();
        self.on_thread(move |store| store.read_one(&key)).await
    }

    async fn save(&self, batch: &Batch) -> Result<(), StoreError> {
        let batch = batch.clone();
        self.on_thread(move |store| store.write(&batch)).await
    }
}

impl Origin {
    fn place(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Simulated(_) => "the simulated disk".to_owned(),
        }
    }

    fn len(&self) -> u64 {
        match self {
            Self::File(path) => std::fs::metadata(path).map_or(0, |metadata| metadata.len()),
            Self::Simulated(disk) => disk.len().unwrap_or_default(),
        }
    }

    fn open(&self) -> Result<Database, StoreError> {
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE_BYTES);
        let opened = match self {
            Self::File(path) => builder.create(path),
            Self::Simulated(disk) => builder.create_with_backend(disk.clone()),
        };
        opened.map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => StoreError::InUse {
                place: self.place(),
            },
            error => failed(&self.place(), error.into()),
        })
    }
}

type Table = redb::ReadOnlyTable<&'static str, &'static [u8]>;

/// The table, unless nothing was ever written.
fn entities(database: &Database) -> Result<Option<Table>, redb::Error> {
    match database.begin_read()?.open_table(ENTITIES) {
        Ok(table) => Ok(Some(table)),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn stored_bytes(database: &Database) -> Result<u64, redb::Error> {
    let Some(table) = entities(database)? else {
        return Ok(0);
    };
    let mut bytes = 0;
    for entry in table.iter()? {
        let (key, value) = entry?;
        bytes += (key.value().len() + value.value().len()) as u64;
    }
    Ok(bytes)
}

fn failed(place: &str, error: redb::Error) -> StoreError {
    let place = place.to_owned();
    match error {
        redb::Error::Io(error) => io_error(&place, &error),
        redb::Error::DatabaseAlreadyOpen => StoreError::InUse { place },
        redb::Error::Corrupted(reason) => StoreError::Damaged { place, reason },
        redb::Error::UpgradeRequired(format) => StoreError::Damaged {
            place,
            reason: format!("it has the format {format}, which is not readable any more"),
        },
        error => StoreError::Unavailable {
            place,
            reason: error.to_string(),
        },
    }
}

fn io_error(place: &str, error: &std::io::Error) -> StoreError {
    use std::io::ErrorKind;
    let place = place.to_owned();
    let reason = error.to_string();
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            StoreError::Full { place, reason }
        }
        ErrorKind::InvalidData | ErrorKind::UnexpectedEof => StoreError::Damaged { place, reason },
        _ => StoreError::Unavailable { place, reason },
    }
}

#[cfg(test)]
mod tests;
