//! What lessons that run a driver begin with; each lesson is a file of its own
//! in `examples/`.

use std::io::{IsTerminal as _, stderr};

use tracing_subscriber::filter::LevelFilter;

/// Shows on standard error what the SDK warns of, a master that does not answer
/// above all. A driver waits for it and tries again, and says so in the log only.
pub fn show_warnings() {
    tracing_subscriber::fmt()
        .with_max_level(LevelFilter::WARN)
        .with_writer(stderr)
        .with_ansi(stderr().is_terminal())
        .init();
}
