//! Bugs that are planted to see whether they are found.

use mesos_service::store::Batch;

/// Something Chronos could do wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    /// It forgets which occurrences it has dealt with, as if they were not
    /// saved.
    ForgetsWhatIsDealtWith,
    /// It does not save what it says of occurrences that did not run.
    ForgetsWhatItMissed,
}

impl Bug {
    /// A batch without what is forgotten.
    pub(crate) fn spoil(self, batch: Batch) -> Batch {
        let forgotten = match self {
            Self::ForgetsWhatIsDealtWith => "progress/",
            Self::ForgetsWhatItMissed => "history/",
        };
        let mut spoilt = Batch::new();
        for (key, value) in batch.iter().filter(|(key, _)| !key.starts_with(forgotten)) {
            match value {
                Some(value) => spoilt.put(key.to_owned(), value.clone()),
                None => spoilt.delete(key.to_owned()),
            };
        }
        spoilt
    }
}
