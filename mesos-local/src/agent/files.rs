//! The files of sandboxes over HTTP: what a path names, what is in a directory,
//! and pieces of files (`src/files/files.cpp`).
//!
//! Only what lies in a sandbox, or in a persistent volume that a sandbox shows,
//! is readable: every path is resolved before it is opened.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use mesos_sdk::v1;
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::unistd::{Gid, Group, Uid, User};

/// No more than sixteen pages are read at once.
pub(crate) const MAX_READ_BYTES: u64 = 16 * 4096;

/// agent/frameworks/framework/executors/executor/runs/container
const SANDBOX_DEPTH: usize = 7;

/// Why a file is not shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FilesError {
    #[error("no such file")]
    NotFound,
    /// In Mesos's words, its line end included.
    #[error("{0}")]
    Invalid(String),
    #[error("{0}")]
    Broken(String),
}

impl From<Errno> for FilesError {
    fn from(error: Errno) -> Self {
        io::Error::from(error).into()
    }
}

impl From<io::Error> for FilesError {
    fn from(error: io::Error) -> Self {
        let leads_in_circles = error.raw_os_error() == Some(Errno::ELOOP as i32);
        match error.kind() {
            io::ErrorKind::NotFound
            | io::ErrorKind::NotADirectory
            // Names that no file has.
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::InvalidFilename => Self::NotFound,
            _ if leads_in_circles => Self::NotFound,
            _ => Self::Broken(error.to_string()),
        }
    }
}

/// The files of one agent.
#[derive(Debug)]
pub(crate) struct Files<'a> {
    pub(crate) work_dir: &'a Path,
    /// Whose sandboxes `/frameworks/...` names.
    pub(crate) agent_id: Option<&'a str>,
}

/// A piece of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    /// The size of the whole file.
    pub(crate) size: u64,
    pub(crate) data: Bytes,
}

impl Files<'_> {
    /// Opens what a path names.
    ///
    /// A sandbox goes by its real path, with the container's id or `latest`,
    /// and by `/frameworks/F/executors/E/runs/...` of the agent that runs.
    fn open(&self, path: &str) -> Result<File, FilesError> {
        let below = self.below(path)?;
        let slaves = self.work_dir.join("slaves");
        let mut parts = below.components();
        let mut sandbox: PathBuf = parts.by_ref().take(SANDBOX_DEPTH).collect();
        let inside = Path::new(".").join(parts.as_path());
        if sandbox.ends_with("latest") {
            // The link says which one it is, and nothing else.
            let run = fs::read_link(slaves.join(&sandbox))?;
            let run = run.file_name().ok_or(FilesError::NotFound)?;
            sandbox.set_file_name(run);
        }
        // A pipe that nobody writes to must not keep us waiting.
        let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK;
        let no_links = ResolveFlag::RESOLVE_NO_SYMLINKS;
        let directory = match open_beneath(&root(&slaves)?, &sandbox, OFlag::O_PATH, no_links) {
            // An old kernel, or one that is kept from it.
            Err(Errno::ENOSYS | Errno::EPERM) => {
                let sandbox = slaves.join(sandbox);
                let (root, resolved) = self.resolve(&sandbox, &sandbox.join(inside))?;
                return Ok(OpenOptions::new()
                    .read(true)
                    .custom_flags((flags | OFlag::O_NOFOLLOW).bits())
                    .open(root.join(resolved))?);
            }
            opened => opened?,
        };
        // The kernel sees to it that no link leads out while we look.
        let no_magic = ResolveFlag::RESOLVE_NO_MAGICLINKS;
        match open_beneath(&directory, &inside, flags, no_magic) {
            // It leads out, perhaps to a volume, or says in full where it
            // leads inside.
            Err(Errno::EXDEV) => {
                let sandbox = slaves.join(sandbox);
                let (found, resolved) = self.resolve(&sandbox, &sandbox.join(inside))?;
                Ok(open_beneath(&root(&found)?, &resolved, flags, no_links)?)
            }
            opened => Ok(opened?),
        }
    }

    /// The path below the directory of all agents, when it has the form of
    /// something in a sandbox.
    fn below(&self, path: &str) -> Result<PathBuf, FilesError> {
        let asked = Path::new(path);
        let below = match asked.strip_prefix(self.work_dir.join("slaves")) {
            Ok(below) => below.to_owned(),
            Err(_) => {
                let below = asked
                    .strip_prefix("/frameworks")
                    .map_err(|_| FilesError::NotFound)?;
                let agent_id = self.agent_id.ok_or(FilesError::NotFound)?;
                Path::new(agent_id).join("frameworks").join(below)
            }
        };
        let parts: Vec<&str> = below
            .components()
            .map(|part| match part {
                Component::Normal(name) => name.to_str(),
                _ => None,
            })
            .collect::<Option<_>>()
            .ok_or(FilesError::NotFound)?;
        match parts[..] {
            // agent/frameworks/framework/executors/executor/runs/container/...
            [_, "frameworks", _, "executors", _, "runs", _, ..] => Ok(below),
            _ => Err(FilesError::NotFound),
        }
    }

    /// Follows every link of a path in a sandbox, to the same sandbox or to a
    /// volume: gives which of them, and the path below it.
    fn resolve(&self, sandbox: &Path, path: &Path) -> Result<(PathBuf, PathBuf), FilesError> {
        let resolved = path.canonicalize()?;
        for root in [sandbox.to_owned(), self.work_dir.join("volumes")] {
            if let Ok(below) = resolved.strip_prefix(&root) {
                let below = Path::new(".").join(below);
                return Ok((root, below));
            }
        }
        Err(FilesError::Invalid(format!(
            "Resolved path '{}' is inaccessible.\n",
            resolved.display()
        )))
    }

    /// What is in a directory, by name. Of a file nothing is listed.
    pub(crate) fn list(&self, path: &str) -> Result<Vec<v1::FileInfo>, FilesError> {
        let opened = self.open(path)?;
        if !opened.metadata()?.is_dir() {
            return Ok(Vec::new());
        }
        let directory = format!("/proc/self/fd/{}", opened.as_raw_fd());
        let mut names = Names::default();
        let mut infos = Vec::new();
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let shown = Path::new(path).join(entry.file_name());
            // Of a link that leads nowhere the link itself is shown.
            let metadata = fs::metadata(entry.path()).or_else(|_| entry.metadata());
            match metadata {
                Ok(metadata) => infos.push(info(&shown, &metadata, &mut names)),
                // Removed meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error.into()),
            }
        }
        infos.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(infos)
    }

    /// At most `length` bytes from `offset` on, and never more than
    /// [`MAX_READ_BYTES`].
    pub(crate) fn read(
        &self,
        path: &str,
        offset: u64,
        length: Option<u64>,
    ) -> Result<Piece, FilesError> {
        let (file, size) = self.open_file(path, "Cannot read a directory.\n")?;
        let length = length
            .unwrap_or(MAX_READ_BYTES)
            .min(MAX_READ_BYTES)
            .min(size.saturating_sub(offset));
        let mut data = vec![0; usize::try_from(length).unwrap_or_default()];
        let mut filled = 0;
        while filled < data.len() {
            match file.read_at(&mut data[filled..], offset + filled as u64)? {
                // Cut off meanwhile.
                0 => break,
                count => filled += count,
            }
        }
        data.truncate(filled);
        Ok(Piece {
            size,
            data: data.into(),
        })
    }

    /// Opens a file, which is no directory, and tells its size.
    pub(crate) fn open_file(
        &self,
        path: &str,
        directory: &'static str,
    ) -> Result<(File, u64), FilesError> {
        let file = self.open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(FilesError::Invalid(directory.to_owned()));
        }
        if !metadata.is_file() {
            return Err(FilesError::Invalid("Not a regular file.\n".to_owned()));
        }
        Ok((file, metadata.len()))
    }
}

/// A directory to look beneath.
fn root(path: &Path) -> io::Result<OwnedFd> {
    let directory = OpenOptions::new()
        .read(true)
        .custom_flags((OFlag::O_PATH | OFlag::O_DIRECTORY).bits())
        .open(path)?;
    Ok(directory.into())
}

/// Opens what lies beneath a directory, wherever the path tries to lead.
fn open_beneath<F: From<OwnedFd>>(
    root: &OwnedFd,
    path: &Path,
    flags: OFlag,
    resolve: ResolveFlag,
) -> Result<F, Errno> {
    let how = OpenHow::new()
        .flags(flags | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_BENEATH | resolve);
    openat2(root, path, how).map(F::from)
}

fn info(path: &Path, metadata: &Metadata, names: &mut Names) -> v1::FileInfo {
    let modified = Duration::from_secs(u64::try_from(metadata.mtime()).unwrap_or_default());
    v1::FileInfo {
        path: path.to_string_lossy().into_owned(),
        nlink: i32::try_from(metadata.nlink()).ok(),
        size: Some(metadata.len()),
        mtime: Some(v1::TimeInfo {
            nanoseconds: i64::try_from(modified.as_nanos()).unwrap_or(i64::MAX),
        }),
        mode: Some(metadata.mode()),
        uid: Some(names.user(metadata.uid())),
        gid: Some(names.group(metadata.gid())),
    }
}

/// Names of users and groups, each looked up once.
#[derive(Debug, Default)]
struct Names {
    users: BTreeMap<u32, String>,
    groups: BTreeMap<u32, String>,
}

impl Names {
    fn user(&mut self, uid: u32) -> String {
        let name = self.users.entry(uid).or_insert_with(|| {
            let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
            user.map_or_else(|| uid.to_string(), |user| user.name)
        });
        name.clone()
    }

    fn group(&mut self, gid: u32) -> String {
        let name = self.groups.entry(gid).or_insert_with(|| {
            let group = Group::from_gid(Gid::from_raw(gid)).ok().flatten();
            group.map_or_else(|| gid.to_string(), |group| group.name)
        });
        name.clone()
    }
}

/// A file's mode as `ls` writes it.
pub(crate) fn mode_text(mode: u32) -> String {
    const KINDS: [(u32, char); 6] = [
        (0o040_000, 'd'),
        (0o120_000, 'l'),
        (0o010_000, 'p'),
        (0o140_000, 's'),
        (0o020_000, 'c'),
        (0o060_000, 'b'),
    ];
    let kind = KINDS
        .iter()
        .find(|(kind, _)| mode & 0o170_000 == *kind)
        .map_or('-', |(_, letter)| *letter);
    let bits = (0..9).map(|bit| {
        if mode & (0o400 >> bit) == 0 {
            '-'
        } else {
            ['r', 'w', 'x'][bit % 3]
        }
    });
    std::iter::once(kind).chain(bits).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;

    const SANDBOX: &str = "slaves/S0/frameworks/F/executors/E/runs/C";

    struct Place {
        _directory: TempDir,
        work_dir: PathBuf,
    }

    impl Place {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let work_dir = directory.path().canonicalize().unwrap();
            let sandbox = work_dir.join(SANDBOX);
            fs::create_dir_all(&sandbox).unwrap();
            symlink(&sandbox, sandbox.with_file_name("latest")).unwrap();
            fs::write(sandbox.join("stdout"), "out\n").unwrap();
            fs::write(work_dir.join("secret"), "secret").unwrap();
            symlink(work_dir.join("secret"), sandbox.join("escape")).unwrap();
            Self {
                _directory: directory,
                work_dir,
            }
        }

        fn files(&self) -> Files<'_> {
            Files {
                work_dir: &self.work_dir,
                agent_id: Some("S0"),
            }
        }

        fn path(&self, below: &str) -> String {
            format!("{}/{below}", self.work_dir.display())
        }

        fn data(&self, path: &str) -> Result<Bytes, FilesError> {
            self.files().read(path, 0, None).map(|piece| piece.data)
        }
    }

    #[test]
    fn a_sandbox_goes_by_several_names() {
        let place = Place::new();
        for path in [
            place.path(&format!("{SANDBOX}/stdout")),
            place.path("slaves/S0/frameworks/F/executors/E/runs/latest/stdout"),
            "/frameworks/F/executors/E/runs/latest/stdout".to_owned(),
            "/frameworks/F/executors/E/runs/C/stdout".to_owned(),
        ] {
            assert_eq!(place.data(&path).unwrap(), "out\n", "{path}");
        }
    }

    #[test]
    fn nothing_else_is_shown() {
        let place = Place::new();
        for path in [
            "/etc/passwd".to_owned(),
            place.path("secret"),
            place.path("slaves/S0"),
            place.path(&format!("{SANDBOX}/../../../../../../../secret")),
            place.path(&format!("{SANDBOX}/missing")),
            "/frameworks/F/executors/E/runs/C/../../../../../../../secret".to_owned(),
            String::new(),
        ] {
            assert_eq!(place.data(&path), Err(FilesError::NotFound), "{path}");
        }
        let escape = place.path(&format!("{SANDBOX}/escape"));
        assert!(matches!(place.data(&escape), Err(FilesError::Invalid(_))));
    }

    #[test]
    fn links_lead_about_their_own_sandbox_alone() {
        let place = Place::new();
        let sandbox = place.work_dir.join(SANDBOX);
        let other = place
            .work_dir
            .join("slaves/S0/frameworks/G/executors/E/runs/D");
        fs::create_dir_all(&other).unwrap();
        fs::write(other.join("stdout"), "other").unwrap();
        symlink(other.join("stdout"), sandbox.join("full")).unwrap();
        symlink(
            "../../../../../G/executors/E/runs/D/stdout",
            sandbox.join("short"),
        )
        .unwrap();
        symlink(other, sandbox.with_file_name("moved")).unwrap();
        for name in ["full", "short"] {
            let found = place.data(&place.path(&format!("{SANDBOX}/{name}")));
            assert!(matches!(found, Err(FilesError::Invalid(_))), "{found:?}");
        }
        let moved = place.data("/frameworks/F/executors/E/runs/moved/stdout");
        assert_eq!(moved, Err(FilesError::NotFound));
        symlink(sandbox.join("stdout"), sandbox.join("inside")).unwrap();
        let inside = place.data(&place.path(&format!("{SANDBOX}/inside")));
        assert_eq!(inside.unwrap(), "out\n");
    }

    #[test]
    fn pieces_end_with_the_file() {
        let place = Place::new();
        let path = place.path(&format!("{SANDBOX}/stdout"));
        let read = |offset, length| {
            let piece = place.files().read(&path, offset, length).unwrap();
            assert_eq!(piece.size, 4);
            piece.data
        };
        assert_eq!(read(1, Some(2)), "ut");
        assert_eq!(read(2, Some(100)), "t\n");
        assert_eq!(read(4, None), "");
        assert_eq!(read(100, None), "");
        assert_eq!(read(0, Some(0)), "");
    }

    #[test]
    fn pieces_have_a_limit_whatever_is_asked() {
        let place = Place::new();
        let large = vec![b'x'; 100_000];
        fs::write(place.work_dir.join(SANDBOX).join("large"), large).unwrap();
        let path = place.path(&format!("{SANDBOX}/large"));
        for length in [None, Some(99_999), Some(u64::MAX)] {
            let piece = place.files().read(&path, 0, length).unwrap();
            assert_eq!((piece.size, piece.data.len()), (100_000, 65_536));
        }
    }

    #[test]
    fn lists_names_in_order() {
        let place = Place::new();
        let path = place.path(SANDBOX);
        let volume = place.work_dir.join("volumes/roles/r/v");
        fs::create_dir_all(&volume).unwrap();
        fs::write(volume.join("kept"), "kept").unwrap();
        symlink(&volume, place.work_dir.join(SANDBOX).join("volume")).unwrap();
        let kept = format!("{path}/volume/kept");
        assert_eq!(place.data(&kept).unwrap(), "kept");
        let infos = place.files().list(&path).unwrap();
        let paths: Vec<_> = infos.iter().map(|info| info.path.as_str()).collect();
        let expected = ["escape", "stdout", "volume"].map(|name| format!("{path}/{name}"));
        assert_eq!(paths, expected);
        assert_eq!(infos[1].size, Some(4));
        assert_eq!(mode_text(infos[1].mode.unwrap()), "-rw-r--r--");
    }

    #[test]
    fn modes_are_written_as_ls_does() {
        assert_eq!(mode_text(0o040_755), "drwxr-xr-x");
        assert_eq!(mode_text(0o100_640), "-rw-r-----");
    }
}
