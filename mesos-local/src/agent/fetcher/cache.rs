//! Files that several tasks use: fetched once, kept until room is needed.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

/// What a cached file is known by: for whom, and the URI.
type Key = (Option<u32>, String);

/// The cached files of one agent.
#[derive(Debug)]
pub(super) struct Cache {
    directory: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Oldest first.
    entries: VecDeque<(Key, Arc<OnceCell<Arc<Cached>>>)>,
    next_name: u64,
}

/// A file of the cache, removed when nobody uses it and the cache let it go.
#[derive(Debug)]
pub(super) struct Cached {
    path: PathBuf,
    bytes: u64,
}

impl Cached {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Cached {
    fn drop(&mut self) {
        // It may be gone already, with the whole work directory.
        let _ = fs::remove_file(&self.path);
    }
}

impl Cache {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            state: Mutex::default(),
        }
    }

    /// The file of a key. The first who asks brings it; others wait meanwhile,
    /// and when it fails the next one tries.
    pub(super) async fn get(
        &self,
        key: Key,
        limit: u64,
        bring: impl AsyncFnOnce(&Path) -> io::Result<()>,
    ) -> io::Result<Arc<Cached>> {
        let (cell, name) = self.entry(key);
        let cached = cell
            .get_or_try_init(async || {
                fs::create_dir_all(&self.directory)?;
                let path = self.directory.join(name.to_string());
                let mut cached = Cached { path, bytes: 0 };
                bring(&cached.path).await?;
                cached.bytes = fs::metadata(&cached.path)?.len();
                io::Result::Ok(Arc::new(cached))
            })
            .await?;
        let cached = Arc::clone(cached);
        self.shrink(limit);
        Ok(cached)
    }

    fn entry(&self, key: Key) -> (Arc<OnceCell<Arc<Cached>>>, u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.next_name += 1;
        let name = state.next_name;
        if let Some((_, cell)) = state.entries.iter().find(|(known, _)| *known == key) {
            return (Arc::clone(cell), name);
        }
        let cell = Arc::new(OnceCell::new());
        state.entries.push_back((key, Arc::clone(&cell)));
        (cell, name)
    }

    /// Lets the oldest files go until the rest is within the limit.
    fn shrink(&self, limit: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut total: u64 = state
            .entries
            .iter()
            .filter_map(|(_, cell)| cell.get())
            .map(|cached| cached.bytes)
            .sum();
        while total > limit
            && let Some((_, cell)) = state.entries.pop_front()
        {
            total -= cell.get().map_or(0, |cached| cached.bytes);
        }
    }
}
