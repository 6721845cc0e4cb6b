//! Whether the machine had time for what was due.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// For how long nothing was done that was due.
pub(crate) struct Stalls {
    longest: watch::Receiver<Duration>,
    watching: tokio::task::JoinHandle<()>,
}

impl Stalls {
    pub(crate) fn watch() -> Self {
        const PAUSE: Duration = Duration::from_millis(2);
        let (sender, longest) = watch::channel(Duration::ZERO);
        let watching = tokio::spawn(async move {
            loop {
                let due = Instant::now() + PAUSE;
                tokio::time::sleep_until(due).await;
                sender.send_if_modified(|longest| {
                    let late = due.elapsed();
                    let is_longer = late > *longest;
                    *longest = late.max(*longest);
                    is_longer
                });
            }
        });
        Self { longest, watching }
    }

    pub(crate) fn longest(&self) -> Duration {
        *self.longest.borrow()
    }
}

impl Drop for Stalls {
    fn drop(&mut self) {
        self.watching.abort();
    }
}
