//! What is changed: bodies, records and raw requests of recorded dialogues.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mesos_proto::v1;
use mesos_proto::{json, wire};
use mesos_sdk::recordio;
use prost::{Message, Name};
use serde_json::Value;

/// Larger bodies make every change slower and hide the small ones.
const LARGEST: usize = 16 << 10;

/// Recorded bytes, sorted by what reads them.
#[derive(Debug, Default)]
pub struct Corpus {
    /// Bodies that are JSON, or were meant to be.
    pub json: Vec<Vec<u8>>,
    /// Messages of protobuf.
    pub protobuf: Vec<Vec<u8>>,
    /// Streams of records.
    pub recordio: Vec<Vec<u8>>,
    /// Whole requests as they were sent.
    pub http: Vec<Vec<u8>>,
}

/// Where the recorded dialogues lie.
#[must_use]
pub fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/captures")
}

impl Corpus {
    /// Reads every recorded dialogue.
    ///
    /// # Errors
    ///
    /// When one cannot be read.
    pub fn read(directory: &Path) -> std::io::Result<Self> {
        let mut found = Found::default();
        let mut paths: Vec<PathBuf> = std::fs::read_dir(directory)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()?;
        paths.sort();
        for path in paths {
            let value = serde_json::from_slice(&std::fs::read(path)?)?;
            found.look_at("", &value);
        }
        let of = |set: BTreeSet<Vec<u8>>| set.into_iter().filter(|b| b.len() <= LARGEST).collect();
        Ok(Self {
            json: of(found.json),
            protobuf: of(found.protobuf),
            recordio: of(found.recordio),
            http: of(found.http),
        })
    }
}

#[derive(Default)]
struct Found {
    json: BTreeSet<Vec<u8>>,
    protobuf: BTreeSet<Vec<u8>>,
    recordio: BTreeSet<Vec<u8>>,
    http: BTreeSet<Vec<u8>>,
}

impl Found {
    fn look_at(&mut self, key: &str, value: &Value) {
        match (key, value) {
            ("sent", Value::String(text)) => {
                // Every character stands for one byte.
                let bytes = text.chars().map(|character| character as u8).collect();
                self.http.insert(bytes);
            }
            ("base64", Value::String(text)) => {
                if let Ok(bytes) = STANDARD.decode(text) {
                    self.protobuf.insert(bytes);
                }
            }
            ("body" | "request" | "call", Value::Object(_)) => self.message(value),
            ("records", Value::Array(records)) => {
                let mut stream = Vec::new();
                for record in records {
                    let text = record.to_string();
                    stream.extend_from_slice(&recordio::encode(text.as_bytes()));
                    self.message(record);
                }
                self.recordio.insert(stream);
            }
            _ => {}
        }
        match value {
            Value::Object(fields) => {
                for (key, value) in fields {
                    self.look_at(key, value);
                }
            }
            Value::Array(items) => {
                for item in items {
                    self.look_at("", item);
                }
            }
            _ => {}
        }
    }

    /// A message in JSON, and in protobuf as whatever it can be.
    fn message(&mut self, value: &Value) {
        let text = value.to_string().into_bytes();
        self.transcode::<v1::scheduler::Call>(&text);
        self.transcode::<v1::scheduler::Event>(&text);
        self.transcode::<v1::master::Call>(&text);
        self.transcode::<v1::master::Response>(&text);
        self.transcode::<v1::master::Event>(&text);
        self.transcode::<v1::agent::Call>(&text);
        self.transcode::<v1::agent::Response>(&text);
        self.transcode::<v1::executor::Call>(&text);
        self.transcode::<v1::executor::Event>(&text);
        self.json.insert(text);
    }

    fn transcode<M: Message + Name + Default>(&mut self, text: &[u8]) {
        if let Ok(message) = json::from_slice::<M>(text) {
            self.protobuf.insert(wire::encode(&message).to_vec());
        }
    }
}
