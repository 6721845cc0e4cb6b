//! A disk for simulations: it forgets in a crash what was not synced, or keeps
//! some of it, torn at any byte, and it can be full.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use redb::StorageBackend;

/// A disk with one file on it. Clones are the same disk.
#[derive(Debug, Clone, Default)]
pub struct SimulatedDisk(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    /// What readers see.
    now: Vec<u8>,
    /// What is there for certain.
    synced: Vec<u8>,
    /// What was done since.
    pending: Vec<Operation>,
    capacity: Option<u64>,
    /// Counts down; then the power is gone, and nothing reaches the disk.
    bytes_until_power_loss: Option<u64>,
    is_without_power: bool,
}

#[derive(Debug)]
enum Operation {
    Length(u64),
    Write { offset: u64, data: Vec<u8> },
}

impl Operation {
    /// How far it counts towards the loss of power.
    fn cost(&self) -> u64 {
        match self {
            Self::Length(_) => 1,
            Self::Write { data, .. } => data.len() as u64,
        }
    }

    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Length(length) => bytes.resize(index(*length), 0),
            Self::Write { offset, data } => {
                let start = index(*offset);
                if bytes.len() < start + data.len() {
                    bytes.resize(start + data.len(), 0);
                }
                bytes[start..start + data.len()].copy_from_slice(data);
            }
        }
    }
}

impl SimulatedDisk {
    /// An empty disk without bounds.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The largest size the file can have from now on; `None` for any.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.inner().capacity = bytes;
    }

    /// Loses power after so many more bytes were written: the write in which
    /// that happens is torn, and everything after it fails.
    pub fn lose_power_after(&self, bytes: u64) {
        self.inner().bytes_until_power_loss = Some(bytes);
    }

    /// Whether the power is gone.
    #[must_use]
    pub fn is_without_power(&self) -> bool {
        self.inner().is_without_power
    }

    /// The disk as the next process finds it. Of the operations that were not
    /// synced, those survive that `survives` picks by their number.
    #[must_use]
    pub fn after_crash(&self, mut survives: impl FnMut(usize) -> bool) -> Self {
        let inner = self.inner();
        let mut bytes = inner.synced.clone();
        for (number, operation) in inner.pending.iter().enumerate() {
            if survives(number) {
                operation.apply(&mut bytes);
            }
        }
        Self(Arc::new(Mutex::new(Inner {
            now: bytes.clone(),
            synced: bytes,
            ..Inner::default()
        })))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0
            .lock()
            .expect("nothing panics while it holds the disk")
    }
}

impl Inner {
    fn powered(&self) -> io::Result<()> {
        if self.is_without_power {
            return Err(io::Error::other("the power is gone"));
        }
        Ok(())
    }

    fn carry_out(&mut self, mut operation: Operation, end: u64) -> io::Result<()> {
        self.powered()?;
        if self.capacity.is_some_and(|capacity| end > capacity) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if let Some(left) = &mut self.bytes_until_power_loss {
            let cost = operation.cost();
            if *left < cost {
                if let Operation::Write { data, .. } = &mut operation {
                    data.truncate(index(*left));
                    self.pending.push(operation);
                }
                self.is_without_power = true;
                return self.powered();
            }
            *left -= cost;
        }
        operation.apply(&mut self.now);
        self.pending.push(operation);
        Ok(())
    }
}

fn index(offset: u64) -> usize {
    usize::try_from(offset).expect("a simulated disk fits into memory")
}

impl StorageBackend for SimulatedDisk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.inner().now.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let inner = self.inner();
        inner.powered()?;
        let start = index(offset);
        let bytes = inner.now.get(start..start + out.len());
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.inner().carry_out(Operation::Length(length), length)
    }

    fn sync_data(&self) -> io::Result<()> {
        let inner = &mut *self.inner();
        inner.powered()?;
        for operation in inner.pending.drain(..) {
            operation.apply(&mut inner.synced);
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let operation = Operation::Write {
            offset,
            data: data.to_vec(),
        };
        self.inner()
            .carry_out(operation, offset + data.len() as u64)
    }
}
