//! Which version of a framework's entities a store holds. An older one is
//! brought up to date in one batch, a newer one is refused.

use serde::{Deserialize, Serialize};

use super::{Batch, Entities, Store, StoreError};

/// The entity that says whose the others are.
const KEY: &str = "service/schema";

/// Makes the entities of one version those of the next. What it returns on
/// failure says which entity is at fault.
pub type Migration = fn(Entities) -> Result<Entities, String>;

/// The entities that a framework keeps.
#[derive(Debug, Clone, Copy)]
pub struct Schema {
    /// Whose they are, such as `marathon`.
    pub application: &'static str,
    /// The first makes version 2 of version 1, and so on. The version that is
    /// written is one more than there are migrations.
    pub migrations: &'static [Migration],
}

#[derive(Debug, Serialize, Deserialize)]
struct Stamp {
    application: String,
    version: u32,
}

impl Schema {
    /// The version that this program writes.
    #[must_use]
    pub fn version(&self) -> u32 {
        u32::try_from(self.migrations.len()).expect("a handful") + 1
    }

    /// All entities of a store in this version, without the one that says so.
    /// `place` is how messages call the store.
    ///
    /// A store of an older version is brought up to date first: all at once, so
    /// a crash leaves it in one version or the other.
    ///
    /// # Errors
    ///
    /// When it is of a newer version, another program's, or cannot be read.
    pub async fn load(&self, store: &dyn Store, place: &str) -> Result<Entities, StoreError> {
        let mut before = store.load("").await?;
        if self.found(&before, place)?.version == self.version() && before.remove(KEY).is_some() {
            return Ok(before);
        }
        let mut after = self.brought_up_to_date(before.clone(), place)?;
        let batch = Batch::between(&before, &after);
        if !batch.is_empty() {
            store.save(&batch).await?;
        }
        after.remove(KEY);
        Ok(after)
    }

    /// The entities in this version, with the stamp.
    pub(super) fn brought_up_to_date(
        &self,
        mut entities: Entities,
        place: &str,
    ) -> Result<Entities, StoreError> {
        let found = self.found(&entities, place)?;
        let damaged = |reason: String| StoreError::Damaged {
            place: place.to_owned(),
            reason,
        };
        entities.remove(KEY);
        for version in found.version..self.version() {
            let migrate = usize::try_from(version)
                .ok()
                .and_then(|version| self.migrations.get(version.checked_sub(1)?))
                .ok_or_else(|| damaged(format!("there is no version {version}")))?;
            entities = migrate(entities).map_err(|reason| {
                damaged(format!(
                    "version {version} cannot be brought up to date: {reason}"
                ))
            })?;
        }
        let stamp = serde_json::to_vec(&self.stamp()).expect("a stamp is JSON");
        entities.insert(KEY.to_owned(), stamp.into());
        Ok(entities)
    }

    /// What entities say of themselves, if that can be used.
    fn found(&self, entities: &Entities, place: &str) -> Result<Stamp, StoreError> {
        let damaged = |reason: String| StoreError::Damaged {
            place: place.to_owned(),
            reason,
        };
        let found = match entities.get(KEY) {
            Some(stamp) => serde_json::from_slice::<Stamp>(stamp)
                .map_err(|error| damaged(format!("{KEY} cannot be read: {error}")))?,
            None if entities.is_empty() => self.stamp(),
            None => return Err(damaged(format!("{KEY} is missing"))),
        };
        if found.application != self.application {
            return Err(StoreError::Foreign {
                place: place.to_owned(),
                found: found.application,
                application: self.application.to_owned(),
            });
        }
        if found.version > self.version() {
            return Err(StoreError::Newer {
                place: place.to_owned(),
                application: self.application.to_owned(),
                found: found.version,
                known: self.version(),
            });
        }
        Ok(found)
    }

    fn stamp(&self) -> Stamp {
        Stamp {
            application: self.application.to_owned(),
            version: self.version(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Fault, MemoryStore};

    const FIRST: Schema = Schema {
        application: "test",
        migrations: &[],
    };
    const THIRD: Schema = Schema {
        application: "test",
        migrations: &[renamed, doubled],
    };

    fn renamed(entities: Entities) -> Result<Entities, String> {
        let new = |key: String| key.replacen("old/", "new/", 1);
        Ok(entities.into_iter().map(|(k, v)| (new(k), v)).collect())
    }

    fn doubled(entities: Entities) -> Result<Entities, String> {
        let twice = |value: &[u8]| [value, value].concat().into();
        let all = entities.into_iter();
        Ok(all.map(|(k, v)| (k, twice(&v))).collect())
    }

    async fn old_store() -> MemoryStore {
        let store = MemoryStore::new();
        assert!(FIRST.load(&store, "it").await.unwrap().is_empty());
        let mut batch = Batch::new();
        batch.put("old/a", "x");
        store.save(&batch).await.unwrap();
        store
    }

    #[tokio::test]
    async fn an_older_store_is_brought_up_to_date_at_once() {
        let store = old_store().await;
        // A failure on the way leaves the old one.
        let next = store.saves() + 1;
        store.set_faults(move |save| (save == next).then_some(Fault::BeforeWrite));
        assert!(THIRD.load(&store, "it").await.is_err());
        assert!(store.entities().contains_key("old/a"));
        let entities = THIRD.load(&store, "it").await.unwrap();
        assert_eq!(entities, Entities::from([("new/a".into(), "xx".into())]));
        assert!(!store.entities().contains_key("old/a"));
        assert_eq!(THIRD.load(&store, "it").await.unwrap(), entities);
    }

    #[tokio::test]
    async fn a_newer_store_is_refused_and_left_alone() {
        let store = old_store().await;
        THIRD.load(&store, "it").await.unwrap();
        let before = store.entities();
        let error = FIRST.load(&store, "it").await.unwrap_err();
        let expected = "it is of version 3, which is newer than 1, the newest that this \
                        version of test knows; use the version that wrote it, or a newer one";
        assert_eq!(error.to_string(), expected);
        assert_eq!(store.entities(), before);
    }

    #[tokio::test]
    async fn the_store_of_another_program_is_refused() {
        let store = old_store().await;
        let other = Schema {
            application: "other",
            migrations: &[],
        };
        let error = other.load(&store, "it").await.unwrap_err();
        assert_eq!(error.to_string(), "it belongs to test, not to other");
        let stranger = MemoryStore::new();
        let mut batch = Batch::new();
        batch.put("x", "y");
        stranger.save(&batch).await.unwrap();
        let error = FIRST.load(&stranger, "it").await.unwrap_err();
        assert!(error.to_string().contains("service/schema is missing"));
    }
}
