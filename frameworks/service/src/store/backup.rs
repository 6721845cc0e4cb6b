//! A store's content as one file: a gzipped tar archive with a file for each
//! entity, which can be looked into with common tools, and a manifest by which
//! a file that was cut off or changed is known.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write as _};
use std::path::Path;

use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::{Deserialize, Serialize};

use super::{Batch, Entities, Schema, Store, StoreError};

const MANIFEST: &str = "manifest.json";
const DIRECTORY: &str = "entities/";
const FORMAT: u32 = 1;
/// One entity is not larger than this, nor is the manifest.
const LARGEST_ENTITY: u64 = 1 << 30;

/// What stays as it is in names of files.
const NAMES: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b':');

/// Stands last in the archive.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Manifest {
    format: u32,
    entities: usize,
    /// CRC-32 of each entity.
    checksums: BTreeMap<String, u32>,
}

/// Writes all entities of a store to a file. The file appears whole or not at
/// all, and replaces an older one.
///
/// # Errors
///
/// When the store cannot be read or the file not be written.
pub async fn back_up(store: &dyn Store, path: &Path) -> Result<(), StoreError> {
    let entities = store.load("").await?;
    let path = path.to_owned();
    blocking(path.display().to_string(), move || write(&entities, &path)).await
}

/// Replaces all entities of a store by those of a file, at once.
///
/// # Errors
///
/// When the file is not a whole backup, is another program's, or was written by
/// a newer version; then the store is left as it was.
pub async fn restore(store: &dyn Store, schema: &Schema, path: &Path) -> Result<(), StoreError> {
    let place = path.display().to_string();
    let path = path.to_owned();
    let read = blocking(place.clone(), move || read(&path)).await?;
    let after = schema.brought_up_to_date(read, &place)?;
    let before = store.load("").await?;
    store.save(&Batch::between(&before, &after)).await
}

async fn blocking<T: Send + 'static>(
    place: String,
    act: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, StoreError> {
    let result = tokio::task::spawn_blocking(act).await;
    let result = result.map_err(io::Error::other).and_then(|result| result);
    result.map_err(|error| {
        let reason = error.to_string();
        match error.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
                StoreError::Damaged { place, reason }
            }
            io::ErrorKind::StorageFull => StoreError::Full { place, reason },
            _ => StoreError::Unavailable { place, reason },
        }
    })
}

fn write(entities: &Entities, path: &Path) -> io::Result<()> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    {
        let packed = GzEncoder::new(BufWriter::new(&mut file), Compression::default());
        let mut archive = tar::Builder::new(packed);
        let mut checksums = BTreeMap::new();
        for (key, value) in entities {
            let name = format!("{DIRECTORY}{}", utf8_percent_encode(key, NAMES));
            append(&mut archive, &name, value)?;
            checksums.insert(key.clone(), crc32fast::hash(value));
        }
        let manifest = Manifest {
            format: FORMAT,
            entities: entities.len(),
            checksums,
        };
        let manifest = serde_json::to_vec_pretty(&manifest)?;
        append(&mut archive, MANIFEST, &manifest)?;
        archive.into_inner()?.finish()?.flush()?;
    }
    file.as_file().sync_all()?;
    file.persist(path)?;
    File::open(directory)?.sync_all()
}

fn append(archive: &mut tar::Builder<impl io::Write>, name: &str, data: &[u8]) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(data.len() as u64);
    header.set_mode(0o600);
    archive.append_data(&mut header, name, data)
}

fn read(path: &Path) -> io::Result<Entities> {
    let damaged = |reason: &str| io::Error::new(io::ErrorKind::InvalidData, reason);
    let mut archive = tar::Archive::new(GzDecoder::new(BufReader::new(File::open(path)?)));
    let mut entities = Entities::new();
    let mut manifest: Option<Manifest> = None;
    for entry in archive.entries()? {
        let entry = entry?;
        let name = String::from_utf8(entry.path_bytes().into_owned())
            .map_err(|_| damaged("a name in it is not text"))?;
        let mut data = Vec::new();
        entry.take(LARGEST_ENTITY + 1).read_to_end(&mut data)?;
        if data.len() as u64 > LARGEST_ENTITY {
            return Err(damaged("an entity in it is too large"));
        }
        if name == MANIFEST {
            manifest = Some(serde_json::from_slice(&data)?);
        } else if let Some(name) = name.strip_prefix(DIRECTORY) {
            let key = percent_decode_str(name).decode_utf8();
            let key = key.map_err(|_| damaged("a name in it is not text"))?;
            entities.insert(key.into_owned(), Bytes::from(data));
        } else {
            return Err(damaged("it is no backup"));
        }
    }
    let manifest = manifest.ok_or_else(|| damaged("it has no end"))?;
    // The checksum of the whole comes after all of it.
    io::copy(&mut archive.into_inner(), &mut io::sink())?;
    if manifest.format > FORMAT {
        return Err(damaged("it was written by a newer version"));
    }
    let sums = entities
        .iter()
        .map(|(k, v)| (k.clone(), crc32fast::hash(v)));
    if sums.collect::<BTreeMap<_, _>>() != manifest.checksums {
        return Err(damaged("its entities are not those that it was made of"));
    }
    Ok(entities)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;

    const SCHEMA: Schema = Schema {
        application: "test",
        migrations: &[],
    };

    async fn store(keys: &[&str]) -> MemoryStore {
        let store = MemoryStore::new();
        SCHEMA.load(&store, "it").await.unwrap();
        let mut batch = Batch::new();
        for key in keys {
            batch.put(*key, format!("value of {key}"));
        }
        batch.put("empty", "");
        store.save(&batch).await.unwrap();
        store
    }

    #[tokio::test]
    async fn a_restored_store_is_what_was_backed_up() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("backup.tar.gz");
        let long = "x/".repeat(300);
        let first = store(&["app//shop/web", "ünï cödé/../..", &long]).await;
        back_up(&first, &path).await.unwrap();
        let second = store(&["other", "app//shop/web"]).await;
        restore(&second, &SCHEMA, &path).await.unwrap();
        assert_eq!(second.entities(), first.entities());
        // A backup replaces the one before it.
        back_up(&store(&[]).await, &path).await.unwrap();
        restore(&second, &SCHEMA, &path).await.unwrap();
        assert_eq!(second.entities().len(), 2);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn what_is_not_a_whole_backup_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("backup.tar.gz");
        back_up(&store(&["a", "b"]).await, &path).await.unwrap();
        let whole = std::fs::read(&path).unwrap();
        let other = store(&["c"]).await;
        let before = other.entities();
        for length in (0..whole.len()).step_by(7) {
            std::fs::write(&path, &whole[..length]).unwrap();
            restore(&other, &SCHEMA, &path).await.unwrap_err();
        }
        let mut changed = whole.clone();
        changed[whole.len() / 2] ^= 0x10;
        std::fs::write(&path, &changed).unwrap();
        restore(&other, &SCHEMA, &path).await.unwrap_err();
        assert_eq!(other.entities(), before);
        let foreign = Schema {
            application: "foreign",
            migrations: &[],
        };
        std::fs::write(&path, &whole).unwrap();
        let error = restore(&other, &foreign, &path).await.unwrap_err();
        assert!(matches!(error, StoreError::Foreign { .. }), "{error}");
    }
}
