//! RecordIO: how a stream of messages is framed over HTTP.
//!
//! A record is its length in decimal digits, a line feed, and that many bytes
//! (`docs/recordio.md`). Chunks of the transfer have nothing to do with records,
//! so [`Decoder`] takes bytes as they come. A record that lies within one chunk
//! is handed out without copying.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};

/// No length has more digits than the largest 64-bit number.
const LONGEST_LENGTH: usize = 20;

/// The default limit of one record: 1 GiB. The protocol has none, and a state
/// of a large cluster is far beyond the 4 MiB that other libraries allow.
pub const DEFAULT_LIMIT: u64 = 1 << 30;

/// Bytes that are no RecordIO. The stream cannot be read any further.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Where a length should be is something else.
    #[error("bad record length at byte {offset}: found {found:?}")]
    BadLength {
        /// Where the length begins, in bytes since the start of the stream.
        offset: u64,
        /// What is there, cut short.
        found: String,
    },
    /// A record is larger than the limit.
    #[error("record of {length} bytes at byte {offset} is larger than the limit of {limit}")]
    TooLarge {
        /// Where the length begins, in bytes since the start of the stream.
        offset: u64,
        /// The announced length.
        length: u64,
        /// The limit that was set.
        limit: u64,
    },
}

/// Takes chunks, gives records.
///
/// ```
/// use mesos_sdk::recordio::Decoder;
///
/// let mut decoder = Decoder::default();
/// decoder.push("5\nhel".into());
/// assert_eq!(decoder.next_record()?, None);
/// decoder.push("lo3\nyou".into());
/// assert_eq!(decoder.next_record()?.as_deref(), Some(&b"hello"[..]));
/// assert_eq!(decoder.next_record()?.as_deref(), Some(&b"you"[..]));
/// # Ok::<(), mesos_sdk::recordio::Error>(())
/// ```
#[derive(Debug)]
pub struct Decoder {
    limit: u64,
    chunks: VecDeque<Bytes>,
    /// Bytes in `chunks`.
    buffered: u64,
    /// Bytes taken out of `chunks` so far.
    offset: u64,
    /// The length line that is being read: its start and its digits.
    length: Length,
}

#[derive(Debug, Default)]
struct Length {
    value: u64,
    digits: usize,
    is_complete: bool,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new(DEFAULT_LIMIT)
    }
}

impl Decoder {
    /// A decoder that refuses records of more than `limit` bytes.
    #[must_use]
    pub fn new(limit: u64) -> Self {
        Self {
            limit,
            chunks: VecDeque::new(),
            buffered: 0,
            offset: 0,
            length: Length::default(),
        }
    }

    /// Adds the next bytes of the stream.
    pub fn push(&mut self, chunk: Bytes) {
        if !chunk.is_empty() {
            self.buffered += chunk.len() as u64;
            self.chunks.push_back(chunk);
        }
    }

    /// The next record, or `None` until more bytes are pushed.
    ///
    /// # Errors
    ///
    /// [`Error`] says at which byte of the stream; it comes again on every
    /// further call.
    pub fn next_record(&mut self) -> Result<Option<Bytes>, Error> {
        if !self.read_length()? || self.buffered < self.length.value {
            return Ok(None);
        }
        let length = std::mem::take(&mut self.length).value;
        Ok(Some(
            self.take(usize::try_from(length).unwrap_or(usize::MAX)),
        ))
    }

    /// Whether the stream may end here: no record has begun.
    #[must_use]
    pub fn is_between_records(&self) -> bool {
        self.buffered == 0 && self.length.digits == 0
    }

    /// Reads the length line as far as it is there; whether it is complete.
    fn read_length(&mut self) -> Result<bool, Error> {
        while !self.length.is_complete {
            let Some(byte) = self.peek() else {
                return Ok(false);
            };
            match byte {
                b'\n' if self.length.digits > 0 => {
                    self.check_limit()?;
                    self.length.is_complete = true;
                }
                // Empty lines between records are tolerated.
                b'\n' => {}
                b'0'..=b'9' if self.length.digits < LONGEST_LENGTH => {
                    let digit = u64::from(byte - b'0');
                    let value = self.length.value.checked_mul(10);
                    self.length.value = value
                        .and_then(|value| value.checked_add(digit))
                        .ok_or_else(|| self.bad_length())?;
                    self.length.digits += 1;
                }
                _ => return Err(self.bad_length()),
            }
            self.advance(1);
        }
        Ok(true)
    }

    fn check_limit(&self) -> Result<(), Error> {
        if self.length.value > self.limit {
            return Err(Error::TooLarge {
                offset: self.length_offset(),
                length: self.length.value,
                limit: self.limit,
            });
        }
        Ok(())
    }

    fn bad_length(&self) -> Error {
        const SHOWN: usize = 16;
        let digits = (self.length.digits > 0).then(|| self.length.value.to_string());
        let rest: Vec<u8> = self.chunks.iter().flatten().copied().take(SHOWN).collect();
        Error::BadLength {
            offset: self.length_offset(),
            found: digits.unwrap_or_default() + &String::from_utf8_lossy(&rest),
        }
    }

    fn length_offset(&self) -> u64 {
        self.offset - self.length.digits as u64
    }

    fn peek(&self) -> Option<u8> {
        self.chunks.front().map(|chunk| chunk[0])
    }

    fn advance(&mut self, bytes: usize) {
        self.offset += bytes as u64;
        self.buffered -= bytes as u64;
        if let Some(chunk) = self.chunks.front_mut() {
            chunk.advance(bytes);
            if chunk.is_empty() {
                self.chunks.pop_front();
            }
        }
    }

    /// Takes `length` bytes, which are there.
    fn take(&mut self, length: usize) -> Bytes {
        if length == 0 {
            return Bytes::new();
        }
        if let Some(chunk) = self.chunks.front().filter(|chunk| chunk.len() >= length) {
            let record = chunk.slice(..length);
            self.advance(length);
            return record;
        }
        let mut record = BytesMut::with_capacity(length);
        while record.len() < length {
            let chunk = self.chunks.front().expect("the bytes are buffered");
            let part = chunk.len().min(length - record.len());
            record.extend_from_slice(&chunk[..part]);
            self.advance(part);
        }
        record.freeze()
    }
}

/// Frames one record.
#[must_use]
pub fn encode(record: &[u8]) -> Bytes {
    let mut framed = BytesMut::with_capacity(record.len() + LONGEST_LENGTH + 1);
    encode_into(record, &mut framed);
    framed.freeze()
}

/// Frames one record at the end of `buffer`.
pub fn encode_into(record: &[u8], buffer: &mut BytesMut) {
    buffer.extend_from_slice(record.len().to_string().as_bytes());
    buffer.extend_from_slice(b"\n");
    buffer.extend_from_slice(record);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn drain(decoder: &mut Decoder) -> Vec<Bytes> {
        std::iter::from_fn(|| decoder.next_record().unwrap()).collect()
    }

    fn framed(records: &[Vec<u8>]) -> Bytes {
        let mut stream = BytesMut::new();
        for record in records {
            encode_into(record, &mut stream);
        }
        stream.freeze()
    }

    #[test]
    fn any_split_gives_the_same_records() {
        let records = vec![
            b"hello".to_vec(),
            vec![],
            b"12\n\n34".to_vec(),
            vec![b'x'; 300],
        ];
        let stream = framed(&records);
        for at in 0..=stream.len() {
            let mut decoder = Decoder::default();
            decoder.push(stream.slice(..at));
            let mut got = drain(&mut decoder);
            decoder.push(stream.slice(at..));
            got.extend(drain(&mut decoder));
            assert_eq!(got, records, "split at {at}");
            assert!(decoder.is_between_records());
        }
    }

    #[test]
    fn a_record_within_a_chunk_is_not_copied() {
        let chunk = framed(&[b"hello".to_vec()]);
        let mut decoder = Decoder::default();
        decoder.push(chunk.clone());
        let record = decoder.next_record().unwrap().unwrap();
        assert_eq!(record.as_ptr(), chunk[2..].as_ptr());
    }

    #[test]
    fn a_record_of_100_mib_passes() {
        const MIB: usize = 1 << 20;
        let mut decoder = Decoder::default();
        decoder.push(format!("{}\n", 100 * MIB).into());
        let piece = Bytes::from(vec![7; MIB]);
        for _ in 0..100 {
            assert_eq!(decoder.next_record(), Ok(None));
            decoder.push(piece.clone());
        }
        assert_eq!(decoder.next_record().unwrap().unwrap().len(), 100 * MIB);
    }

    #[test]
    fn a_bad_length_says_where() {
        let mut decoder = Decoder::default();
        decoder.push("2\nok12x\n".into());
        assert!(decoder.next_record().unwrap().is_some());
        let error = decoder.next_record().unwrap_err();
        assert_eq!(
            error,
            Error::BadLength {
                offset: 4,
                found: "12x\n".into()
            }
        );
        assert_eq!(decoder.next_record(), Err(error));
    }

    #[test]
    fn a_record_over_the_limit_is_refused_before_it_is_read() {
        let mut decoder = Decoder::new(10);
        decoder.push("11\n".into());
        assert_eq!(
            decoder.next_record(),
            Err(Error::TooLarge {
                offset: 0,
                length: 11,
                limit: 10
            })
        );
        let mut decoder = Decoder::default();
        decoder.push("99999999999999999999999\n".into());
        assert!(matches!(
            decoder.next_record(),
            Err(Error::BadLength { .. })
        ));
    }

    proptest! {
        #[test]
        fn records_survive_any_chunking(
            records in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..20),
            sizes in prop::collection::vec(1..64_usize, 1..50),
        ) {
            let mut stream = framed(&records);
            let mut decoder = Decoder::default();
            let mut got = Vec::new();
            for size in sizes.iter().cycle() {
                if stream.is_empty() {
                    break;
                }
                decoder.push(stream.split_to((*size).min(stream.len())));
                got.extend(drain(&mut decoder));
            }
            prop_assert_eq!(got, records);
        }

        #[test]
        fn no_input_panics(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..10)) {
            let mut decoder = Decoder::new(1000);
            for chunk in chunks {
                decoder.push(chunk.into());
                while let Ok(Some(_)) = decoder.next_record() {}
            }
        }
    }
}
