//! RecordIO: however bytes are cut into chunks, the records are the same, and
//! none is larger than the limit.

use bytes::Bytes;
use mesos_sdk::recordio::{self, Decoder};

use super::{Target, kind};

/// The limit of one record.
const LIMIT: u64 = 4096;

pub(super) struct Records;

impl Target for Records {
    fn name(&self) -> &'static str {
        "recordio"
    }

    fn take(&mut self, input: &[u8]) -> u64 {
        let whole = decode([input].into_iter());
        let cut = input.first().map_or(1, |byte| usize::from(*byte % 7) + 1);
        let pieces = decode(input.chunks(cut));
        assert_eq!(whole, pieces, "chunks of {cut} bytes are read otherwise");
        let (records, error) = whole;
        let mut again = Vec::new();
        for record in &records {
            assert!(record.len() as u64 <= LIMIT, "a record above the limit");
            again.extend_from_slice(&recordio::encode(record));
        }
        let (read, wrong) = decode([again.as_slice()].into_iter());
        assert_eq!(read, records, "what is written is read otherwise");
        assert_eq!(wrong, None);
        let count = "r".repeat(records.len().min(8));
        kind(&[&count, &error.unwrap_or_default()])
    }
}

fn decode<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> (Vec<Bytes>, Option<String>) {
    let mut decoder = Decoder::new(LIMIT);
    let mut records = Vec::new();
    for chunk in chunks {
        decoder.push(Bytes::copy_from_slice(chunk));
        loop {
            match decoder.next_record() {
                Ok(Some(record)) => records.push(record),
                Ok(None) => break,
                // Where it is wrong does not depend on chunks, what is shown of
                // it may.
                Err(recordio::Error::BadLength { offset, .. }) => {
                    return (records, Some(format!("bad length at {offset}")));
                }
                Err(error) => return (records, Some(error.to_string())),
            }
        }
    }
    (records, None)
}
