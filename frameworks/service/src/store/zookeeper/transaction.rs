//! One request that changes all it names or nothing, and only as long as the
//! store has not been taken over.

use std::collections::BTreeMap;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use zookeeper_client as zk;

use super::layout::{Layout, Reference, Value};
use crate::zookeeper::Session;

/// The layout's version.
pub(super) const FORMAT: u32 = 1;
/// What one operation of a request takes beside names and data.
const OVERHEAD: usize = 128;

/// The znode that every transaction writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    format: u32,
    /// Counts who had the store.
    pub(super) epoch: u64,
    /// Counts transactions.
    pub(super) saves: u64,
}

impl Default for Head {
    fn default() -> Self {
        Self {
            format: FORMAT,
            epoch: 0,
            saves: 0,
        }
    }
}

impl Head {
    pub(super) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a head is JSON")
    }

    pub(super) fn decode(data: &[u8]) -> Result<Self, Failure> {
        let head: Self = serde_json::from_slice(data)
            .map_err(|error| Failure::Damaged(format!("its head cannot be read: {error}")))?;
        if head.format > FORMAT {
            return Err(Failure::Newer(head.format));
        }
        Ok(head)
    }
}

/// What an entity's znode is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) key: String,
    pub(super) value: Option<Value>,
}

impl Change {
    /// How many bytes of a request it takes, at most.
    pub(super) fn cost(&self) -> usize {
        let data = match &self.value {
            Some(Value::Inline(bytes)) => bytes.len(),
            Some(Value::InPieces(_)) => 2 * OVERHEAD,
            None => 0,
        };
        OVERHEAD + 3 * self.key.len() + data
    }

    /// Changes as one piece of data.
    pub(super) fn encode_all(changes: &[Self]) -> Bytes {
        let mut data = BytesMut::new();
        for change in changes {
            let value = change.value.as_ref().map(Value::encode);
            data.put_u64(change.key.len() as u64);
            data.put_slice(change.key.as_bytes());
            // An encoded value is never empty.
            data.put_u64(value.as_ref().map_or(0, Vec::len) as u64);
            data.put_slice(&value.unwrap_or_default());
        }
        data.freeze()
    }

    pub(super) fn decode_all(data: &Bytes) -> Result<Vec<Self>, String> {
        let mut rest = data.clone();
        let mut changes = Vec::new();
        while !rest.is_empty() {
            let key = field(&mut rest)?;
            let key = String::from_utf8(key.into()).map_err(|error| error.to_string())?;
            let value = field(&mut rest)?;
            let value = (!value.is_empty()).then(|| Value::decode(value));
            changes.push(Self {
                key,
                value: value.transpose()?,
            });
        }
        Ok(changes)
    }
}

fn field(rest: &mut Bytes) -> Result<Bytes, String> {
    let cut_off = || "the journal is cut off".to_owned();
    let length = rest.try_get_u64().map_err(|_| cut_off())?;
    let length = usize::try_from(length).ok();
    let length = length.filter(|length| *length <= rest.len());
    Ok(rest.split_to(length.ok_or_else(cut_off)?))
}

/// Why something could not be done.
#[derive(Debug)]
pub(super) enum Failure {
    ZooKeeper(zk::Error),
    TakenOver,
    Newer(u32),
    Damaged(String),
}

impl From<zk::Error> for Failure {
    fn from(error: zk::Error) -> Self {
        Self::ZooKeeper(error)
    }
}

impl Failure {
    /// Whether the same may work after another look at what is there.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self, Self::ZooKeeper(_))
    }
}

/// Operations of one request.
pub(super) struct Transaction<'a> {
    session: &'a Session,
    layout: &'a Layout,
    begin_journal: Option<Vec<u8>>,
    ends_journal: bool,
}

impl<'a> Transaction<'a> {
    pub(super) fn new(session: &'a Session, layout: &'a Layout) -> Self {
        Self {
            session,
            layout,
            begin_journal: None,
            ends_journal: false,
        }
    }

    /// A journal counts from now on.
    pub(super) fn begin_journal(&mut self, reference: &Reference) {
        self.begin_journal = Some(reference.encode());
    }

    /// The journal has been carried out.
    pub(super) fn end_journal(&mut self) {
        self.ends_journal = true;
    }

    /// Makes the request; gives the new version of the head.
    pub(super) async fn commit(
        self,
        head: &Head,
        version: i32,
        changes: &[Change],
        index: &BTreeMap<String, Option<Reference>>,
    ) -> Result<i32, Failure> {
        let options = zk::CreateMode::Persistent.with_acls(self.session.acls());
        let mut writer = self.session.client.new_multi_writer();
        writer.add_set_data(&self.layout.head(), &head.encode(), Some(version))?;
        if let Some(reference) = &self.begin_journal {
            writer.add_create(&self.layout.journal(), reference, &options)?;
        }
        for change in changes {
            let path = self.layout.entity(&change.key);
            match (&change.value, index.contains_key(&change.key)) {
                (Some(value), true) => writer.add_set_data(&path, &value.encode(), None)?,
                (Some(value), false) => writer.add_create(&path, &value.encode(), &options)?,
                (None, true) => writer.add_delete(&path, None)?,
                (None, false) => {}
            }
        }
        if self.ends_journal {
            writer.add_delete(&self.layout.journal(), None)?;
        }
        let results = writer.commit().await.map_err(zk::Error::from)?;
        match results.into_iter().next() {
            Some(zk::MultiWriteResult::SetData { stat }) => Ok(stat.version),
            other => Err(Failure::Damaged(format!("ZooKeeper answered {other:?}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_is_read_as_it_was_written() {
        let change = |key: &str, value| Change {
            key: key.to_owned(),
            value,
        };
        let reference = Reference::new("1-1-1".to_owned(), b"abc", 2);
        let changes = vec![
            change("a", Some(Value::Inline("x".into()))),
            change("", Some(Value::Inline("".into()))),
            change("b", None),
            change("c", Some(Value::InPieces(reference))),
        ];
        let data = Change::encode_all(&changes);
        assert_eq!(Change::decode_all(&data).unwrap(), changes);
        let mut whole = 0;
        for length in 0..data.len() {
            whole += usize::from(Change::decode_all(&data.slice(..length)).is_ok());
        }
        assert_eq!(whole, 4, "only between changes can it end");
    }

    #[test]
    fn a_newer_head_is_refused() {
        let head = br#"{"format":2,"epoch":1,"saves":1}"#;
        assert!(matches!(Head::decode(head), Err(Failure::Newer(2))));
        assert!(Head::decode(&Head::default().encode()).is_ok());
    }
}
