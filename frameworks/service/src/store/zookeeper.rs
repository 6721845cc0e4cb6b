//! The store in ZooKeeper. Below the path of the group:
//!
//! | znode | holds |
//! |---|---|
//! | `store/head` | format, epoch and number of saves |
//! | `store/entities/<00-3f>/<key>` | an entity, or where its pieces are |
//! | `store/blobs/<name>` | a piece of something too large for a znode |
//! | `store/journal` | where the pieces of a batch are that is being carried out |
//!
//! Every transaction writes `head` under the version that this process knows,
//! so the first thing a new leader does, which is to write it, ends what the old
//! one can do. An entity that is too large is written in pieces first, which
//! nobody sees before the entity refers to them. A batch that is too large for
//! one transaction is written in pieces too; with the znode `journal` it counts,
//! and whoever opens the store next finishes what its writer did not.
//!
//! Whenever it is not known whether a transaction took place, the store looks
//! again before it writes. `transaction` puts requests together, this file says
//! in which order they are made.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use tokio::sync::Mutex;
use tokio::time::Instant;
use zookeeper_client as zk;

use super::{Batch, Entities, Store, StoreError, retry_delay};
use crate::zookeeper::Session;
use layout::{Layout, Reference, Value};
use transaction::{Change, Failure, Head, Transaction};

mod layout;
mod transaction;

/// How many requests are under way at once while the store is read.
const PARALLEL: usize = 64;

/// What may be set about a store in ZooKeeper.
#[derive(Debug, Clone)]
pub struct ZooKeeperStoreOptions {
    /// The largest request. Servers take a megabyte, unless told otherwise.
    pub max_request_bytes: usize,
    /// How long a save goes on trying before it says that it failed.
    pub patience: Duration,
}

impl Default for ZooKeeperStoreOptions {
    fn default() -> Self {
        Self {
            max_request_bytes: 960 << 10,
            patience: Duration::from_secs(10),
        }
    }
}

/// Keeps entities in ZooKeeper.
#[derive(Debug)]
pub struct ZooKeeperStore {
    session: Session,
    layout: Layout,
    options: ZooKeeperStoreOptions,
    writer: Mutex<Writer>,
}

#[derive(Debug)]
struct Writer {
    head: Head,
    /// The version of the znode `head`.
    version: i32,
    /// What is there; where an entity is in pieces, which.
    index: BTreeMap<String, Option<Reference>>,
    /// What was read at the start, until it is asked for.
    read: Option<Entities>,
    /// Whether it is unknown what is there.
    is_stale: bool,
    /// Counts the blobs of this epoch.
    blobs: u64,
}

impl ZooKeeperStore {
    /// Takes the store over from whoever had it, and makes it where there is
    /// none.
    ///
    /// # Errors
    ///
    /// When it is of a newer format, or ZooKeeper cannot be used.
    pub async fn open(
        session: &Session,
        options: ZooKeeperStoreOptions,
    ) -> Result<Self, StoreError> {
        let layout = Layout::new(&session.address.path);
        let store = Self {
            session: session.clone(),
            layout,
            options,
            writer: Mutex::new(Writer::unread()),
        };
        let mut writer = store.writer.lock().await;
        let opening = async {
            store.make_directories().await?;
            store.take_over(&mut writer).await?;
            store.look(&mut writer).await
        };
        let opened = opening.await;
        opened.map_err(|failure| store.error(failure))?;
        drop(writer);
        Ok(store)
    }

    async fn make_directories(&self) -> Result<(), Failure> {
        let client = &self.session.client;
        let options = zk::CreateMode::Persistent.with_acls(self.session.acls());
        client.mkdir(self.layout.root(), &options).await?;
        for path in [self.layout.entities(), self.layout.blobs()] {
            client.mkdir(&path, &options).await?;
        }
        let there = client.list_children(&self.layout.entities()).await?;
        if there.len() < layout::BUCKETS {
            let buckets = (0..layout::BUCKETS).map(|bucket| self.layout.bucket(bucket));
            let making = buckets.map(|path| {
                let options = options.clone();
                async move { client.mkdir(&path, &options).await }
            });
            let making = futures::stream::iter(making).buffer_unordered(PARALLEL);
            making.try_collect::<()>().await?;
        }
        let first = Head::default().encode();
        match client.create(&self.layout.head(), &first, &options).await {
            Ok(_) | Err(zk::Error::NodeExists) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Begins a new epoch.
    async fn take_over(&self, writer: &mut Writer) -> Result<(), Failure> {
        let client = &self.session.client;
        loop {
            client.sync(&self.layout.head()).await?;
            let (data, stat) = client.get_data(&self.layout.head()).await?;
            let mut head = Head::decode(&data)?;
            head.epoch += 1;
            let data = head.encode();
            let written = client.set_data(&self.layout.head(), &data, Some(stat.version));
            match written.await {
                Ok(stat) => {
                    writer.head = head;
                    writer.version = stat.version;
                    return Ok(());
                }
                // Somebody else takes it over as well.
                Err(zk::Error::BadVersion) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Learns what is there, as long as it is still ours, and finishes what was
    /// begun.
    async fn look(&self, writer: &mut Writer) -> Result<(), Failure> {
        let client = &self.session.client;
        client.sync(&self.layout.head()).await?;
        let (data, stat) = client.get_data(&self.layout.head()).await?;
        let head = Head::decode(&data)?;
        if head.epoch != writer.head.epoch {
            return Err(Failure::TakenOver);
        }
        writer.head = head;
        writer.version = stat.version;
        self.list(writer).await?;
        match client.get_data(&self.layout.journal()).await {
            Ok((reference, _)) => {
                let reference = Reference::decode(&reference).map_err(Failure::Damaged)?;
                let journal = self.assemble(&reference).await?;
                let changes = Change::decode_all(&journal).map_err(Failure::Damaged)?;
                self.carry_out(writer, changes).await?;
            }
            Err(zk::Error::NoNode) => {}
            Err(error) => return Err(error.into()),
        }
        self.remove_orphans(writer).await?;
        writer.is_stale = false;
        Ok(())
    }

    /// Reads all entities into `index` and `read`.
    async fn list(&self, writer: &mut Writer) -> Result<(), Failure> {
        let client = &self.session.client;
        let buckets = (0..layout::BUCKETS).map(|bucket| {
            let path = self.layout.bucket(bucket);
            async move {
                let names = client.list_children(&path).await?;
                Ok::<_, Failure>((path, names))
            }
        });
        let buckets = futures::stream::iter(buckets).buffer_unordered(PARALLEL);
        let buckets: Vec<(String, Vec<String>)> = buckets.try_collect().await?;
        let names = buckets
            .into_iter()
            .flat_map(|(path, names)| names.into_iter().map(move |name| (path.clone(), name)));
        let values = names.map(|(path, name)| async move {
            let key = layout::decode_key(&name).map_err(Failure::Damaged)?;
            let (data, _) = client.get_data(&format!("{path}/{name}")).await?;
            let value = Value::decode(data.into()).map_err(Failure::Damaged)?;
            let (reference, bytes) = match value {
                Value::Inline(bytes) => (None, bytes),
                Value::InPieces(reference) => {
                    let bytes = self.assemble(&reference).await?;
                    (Some(reference), bytes)
                }
            };
            Ok::<_, Failure>((key, reference, bytes))
        });
        let mut values = futures::stream::iter(values).buffer_unordered(PARALLEL);
        let mut index = BTreeMap::new();
        let mut read = Entities::new();
        while let Some((key, reference, bytes)) = values.try_next().await? {
            index.insert(key.clone(), reference);
            read.insert(key, bytes);
        }
        writer.index = index;
        writer.read = Some(read);
        Ok(())
    }

    /// Reads what is in pieces.
    async fn assemble(&self, reference: &Reference) -> Result<Bytes, Failure> {
        let mut whole = Vec::with_capacity(reference.length);
        for path in self.layout.pieces(reference) {
            let (data, _) = self.session.client.get_data(&path).await?;
            whole.extend_from_slice(&data);
        }
        reference.check(&whole).map_err(Failure::Damaged)?;
        Ok(whole.into())
    }

    /// Writes something in pieces, which nothing refers to yet.
    async fn disassemble(&self, writer: &mut Writer, bytes: &[u8]) -> Result<Reference, Failure> {
        writer.blobs += 1;
        let name = format!(
            "{}-{}-{}",
            writer.head.epoch, writer.head.saves, writer.blobs
        );
        let reference = Reference::new(name, bytes, self.options.max_request_bytes / 2);
        let options = zk::CreateMode::Persistent.with_acls(self.session.acls());
        let paths = self.layout.pieces(&reference);
        for (path, piece) in paths.zip(bytes.chunks(reference.piece_bytes)) {
            self.session.client.create(&path, piece, &options).await?;
        }
        Ok(reference)
    }

    /// Deletes pieces that nothing refers to: what a crash left behind.
    async fn remove_orphans(&self, writer: &Writer) -> Result<(), Failure> {
        let references = writer.index.values().flatten();
        let used: std::collections::BTreeSet<String> = references
            .flat_map(|reference| self.layout.pieces(reference))
            .collect();
        let blobs = self.layout.blobs();
        for name in self.session.client.list_children(&blobs).await? {
            let path = format!("{blobs}/{name}");
            if !used.contains(&path) {
                self.delete(&path).await?;
            }
        }
        Ok(())
    }

    async fn delete(&self, path: &str) -> Result<(), Failure> {
        match self.session.client.delete(path, None).await {
            Ok(()) | Err(zk::Error::NoNode) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// One attempt to save.
    async fn attempt(&self, writer: &mut Writer, batch: &Batch) -> Result<(), Failure> {
        if writer.is_stale {
            self.look(writer).await?;
        }
        let mut changes = Vec::with_capacity(batch.len());
        for (key, value) in batch.iter() {
            let value = match value {
                Some(bytes) if bytes.len() > self.options.max_request_bytes / 2 => {
                    let reference = self.disassemble(writer, bytes).await?;
                    Some(Value::InPieces(reference))
                }
                Some(bytes) => Some(Value::Inline(bytes.clone())),
                None => None,
            };
            changes.push(Change {
                key: key.to_owned(),
                value,
            });
        }
        let limit = self.options.max_request_bytes;
        if changes.iter().map(Change::cost).sum::<usize>() <= limit {
            let transaction = Transaction::new(&self.session, &self.layout);
            return self.commit(writer, transaction, changes).await;
        }
        let journal = Change::encode_all(&changes);
        let reference = self.disassemble(writer, &journal).await?;
        let mut transaction = Transaction::new(&self.session, &self.layout);
        transaction.begin_journal(&reference);
        self.commit(writer, transaction, Vec::new()).await?;
        // From here on the batch counts.
        self.carry_out(writer, changes).await?;
        self.forget(&reference).await;
        Ok(())
    }

    /// Does what the journal says, as often as it takes, and ends it.
    async fn carry_out(&self, writer: &mut Writer, changes: Vec<Change>) -> Result<(), Failure> {
        let limit = self.options.max_request_bytes;
        let mut part = Vec::new();
        let mut cost = 0;
        for change in changes {
            cost += change.cost();
            if cost > limit && !part.is_empty() {
                let transaction = Transaction::new(&self.session, &self.layout);
                let full = std::mem::take(&mut part);
                self.commit(writer, transaction, full).await?;
                cost = change.cost();
            }
            part.push(change);
        }
        let mut transaction = Transaction::new(&self.session, &self.layout);
        transaction.end_journal();
        self.commit(writer, transaction, part).await
    }

    /// Makes one transaction, and afterwards deletes the pieces of what it
    /// replaced.
    async fn commit(
        &self,
        writer: &mut Writer,
        transaction: Transaction<'_>,
        changes: Vec<Change>,
    ) -> Result<(), Failure> {
        // What was read is old now.
        writer.read = None;
        let mut head = writer.head.clone();
        head.saves += 1;
        let limit = self.session.session_timeout;
        let committing = transaction.commit(&head, writer.version, &changes, &writer.index);
        let committed = tokio::time::timeout(limit, committing).await;
        writer.version = committed.map_err(|_| zk::Error::Timeout)??;
        writer.head = head;
        let mut replaced = Vec::new();
        for Change { key, value } in changes {
            let old = match value {
                Some(Value::InPieces(reference)) => writer.index.insert(key, Some(reference)),
                Some(Value::Inline(_)) => writer.index.insert(key, None),
                None => writer.index.remove(&key),
            };
            replaced.extend(old.flatten());
        }
        for reference in &replaced {
            self.forget(reference).await;
        }
        Ok(())
    }

    /// Deletes pieces. Should it fail, they are orphans until the store is
    /// opened again.
    async fn forget(&self, reference: &Reference) {
        for path in self.layout.pieces(reference) {
            if let Err(failure) = self.delete(&path).await {
                tracing::debug!(path, ?failure, "a piece of an old entity is left");
            }
        }
    }

    fn place(&self) -> String {
        self.session.address.to_string()
    }

    fn error(&self, failure: Failure) -> StoreError {
        let place = self.place();
        match failure {
            Failure::TakenOver => StoreError::TakenOver { place },
            _ if self.session.is_over() => StoreError::SessionOver { place },
            Failure::Damaged(reason) => StoreError::Damaged { place, reason },
            Failure::Newer(found) => StoreError::Newer {
                place,
                application: "the store".to_owned(),
                found,
                known: transaction::FORMAT,
            },
            Failure::ZooKeeper(error) => StoreError::Unavailable {
                place,
                reason: error.to_string(),
            },
        }
    }

    /// Reads with the writer's knowledge of what is there.
    async fn values(&self, wanted: Vec<String>) -> Result<Entities, Failure> {
        let reads = wanted.into_iter().map(|key: String| async move {
            let path = self.layout.entity(&key);
            let (data, _) = self.session.client.get_data(&path).await?;
            let bytes = match Value::decode(data.into()).map_err(Failure::Damaged)? {
                Value::Inline(bytes) => bytes,
                Value::InPieces(reference) => self.assemble(&reference).await?,
            };
            Ok::<_, Failure>((key, bytes))
        });
        let reads = futures::stream::iter(reads).buffer_unordered(PARALLEL);
        reads.try_collect().await
    }

    async fn settle(&self, writer: &mut Writer) -> Result<(), StoreError> {
        if writer.is_stale {
            let looked = self.look(writer).await;
            looked.map_err(|failure| self.error(failure))?;
        }
        Ok(())
    }
}

#[async_trait]
impl Store for ZooKeeperStore {
    async fn load(&self, prefix: &str) -> Result<Entities, StoreError> {
        let mut writer = self.writer.lock().await;
        self.settle(&mut writer).await?;
        if prefix.is_empty()
            && let Some(read) = writer.read.take()
        {
            return Ok(read);
        }
        let loaded = self.values(writer.keys(prefix)).await;
        loaded.map_err(|failure| self.error(failure))
    }

    async fn keys(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let mut writer = self.writer.lock().await;
        self.settle(&mut writer).await?;
        Ok(writer.keys(prefix))
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>, StoreError> {
        let mut writer = self.writer.lock().await;
        self.settle(&mut writer).await?;
        if !writer.index.contains_key(key) {
            return Ok(None);
        }
        let read = self.values(vec![key.to_owned()]).await;
        let read = read.map_err(|failure| self.error(failure))?;
        Ok(read.into_values().next())
    }

    async fn save(&self, batch: &Batch) -> Result<(), StoreError> {
        if batch.is_empty() {
            return Ok(());
        }
        let mut writer = self.writer.lock().await;
        let deadline = Instant::now() + self.options.patience;
        let mut failures = 0;
        loop {
            let failure = match self.attempt(&mut writer, batch).await {
                Ok(()) => return Ok(()),
                Err(failure) => failure,
            };
            // Whatever went wrong, it is not known what is there now.
            writer.is_stale = true;
            failures += 1;
            let pause = retry_delay(failures);
            let is_final = !failure.is_passing() || self.session.is_over();
            if is_final || Instant::now() + pause > deadline {
                return Err(self.error(failure));
            }
            tracing::debug!(?failure, "saving again");
            tokio::time::sleep(pause).await;
        }
    }
}

impl Writer {
    fn unread() -> Self {
        Self {
            head: Head::default(),
            version: 0,
            index: BTreeMap::new(),
            read: None,
            is_stale: true,
            blobs: 0,
        }
    }

    fn keys(&self, prefix: &str) -> Vec<String> {
        let keys = self.index.range(prefix.to_owned()..);
        let keys = keys.map(|(key, _)| key.clone());
        keys.take_while(|key| key.starts_with(prefix)).collect()
    }
}
