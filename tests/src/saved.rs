//! What the process of a framework on the event loop has in its store when a
//! simulation runs it: batches, each of them what one step saved.

use std::fmt;
use std::rc::Rc;

use mesos_service::store::{Batch, Entities};

/// What one step put into the store, encoded.
#[derive(Clone)]
pub struct Saved(Rc<Batch>);

impl Saved {
    /// A batch that is saved.
    #[must_use]
    pub fn new(batch: Rc<Batch>) -> Self {
        Self(batch)
    }

    /// What it changes.
    #[must_use]
    pub fn batch(&self) -> &Batch {
        &self.0
    }
}

impl fmt::Debug for Saved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (key, value) in self.0.iter() {
            let sign = if value.is_some() { '+' } else { '-' };
            write!(f, "{sign}{key} ")?;
        }
        Ok(())
    }
}

/// What is saved so far, kept from one look at it to the next.
#[derive(Debug, Default)]
pub struct Disk {
    batches: usize,
    last: Option<Rc<Batch>>,
    entities: Rc<Entities>,
}

impl Disk {
    /// The entities that these batches make.
    pub fn read(&mut self, saved: &[Saved]) -> Rc<Entities> {
        let goes_on = self.batches <= saved.len()
            && match (&self.last, self.batches.checked_sub(1)) {
                (Some(last), Some(index)) => Rc::ptr_eq(last, &saved[index].0),
                (last, index) => last.is_none() && index.is_none(),
            };
        if !goes_on {
            *self = Self::default();
        }
        if self.batches < saved.len() {
            let entities = Rc::make_mut(&mut self.entities);
            for Saved(batch) in &saved[self.batches..] {
                batch.apply(entities);
            }
            self.batches = saved.len();
            self.last = saved.last().map(|Saved(batch)| Rc::clone(batch));
        }
        Rc::clone(&self.entities)
    }
}
