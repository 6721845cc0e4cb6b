//! Where a temporary work directory lies.
//!
//! A sandbox is half a dozen small files and directories. On a disk, making and
//! removing them can take longer than the task; in memory it takes no time.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::{FsFlags, statvfs};

/// A file system in memory that Linux has.
const MEMORY: &str = "/dev/shm";

/// Tasks may write something, too.
const MIN_FREE_BYTES: u64 = 1 << 30;

/// The directory in which to make a temporary one: what `TMPDIR` says, or else
/// memory where there is room and programs may be run, or else the usual place.
pub(crate) fn parent() -> PathBuf {
    choose(std::env::var_os("TMPDIR").as_deref(), Path::new(MEMORY))
}

fn choose(wanted: Option<&OsStr>, memory: &Path) -> PathBuf {
    let is_wanted = wanted.is_some_and(|directory| !directory.is_empty());
    if !is_wanted && serves(memory) {
        memory.to_owned()
    } else {
        std::env::temp_dir()
    }
}

fn serves(directory: &Path) -> bool {
    statvfs(directory).is_ok_and(|system| {
        let unfit = FsFlags::ST_NOEXEC | FsFlags::ST_RDONLY;
        let free = system
            .blocks_available()
            .saturating_mul(system.fragment_size());
        !system.flags().intersects(unfit) && free >= MIN_FREE_BYTES
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_taken() {
        let usual = std::env::temp_dir();
        assert_eq!(choose(Some(OsStr::new("/x")), Path::new("/")), usual);
        assert_eq!(choose(None, Path::new("/no/such/directory")), usual);
    }

    #[test]
    fn programs_do_not_run_everywhere() {
        assert!(!serves(Path::new("/no/such/directory")));
        // Nothing can be run from it, on any Linux.
        assert!(!serves(Path::new("/proc")));
    }
}
