//! Archives, unpacked so that nothing leaves the sandbox.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};

use flate2::read::MultiGzDecoder;

use super::{place, too_large};

/// What kind of archive a name promises.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Archive {
    Tar(Compression),
    Zip,
    /// One compressed file, and its name without the suffix.
    Gzip(PathBuf),
}

/// How a tar is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Gzip,
    Bzip2,
    Xz,
}

impl Archive {
    /// The kind of a file by its name, as Mesos tells them apart.
    pub(super) fn of(path: &Path) -> Option<Self> {
        const TARS: [(&str, Compression); 7] = [
            (".tar", Compression::None),
            (".tar.gz", Compression::Gzip),
            (".tgz", Compression::Gzip),
            (".tar.bz2", Compression::Bzip2),
            (".tbz2", Compression::Bzip2),
            (".tar.xz", Compression::Xz),
            (".txz", Compression::Xz),
        ];
        let name = path.file_name()?.to_str()?;
        if let Some((_, compression)) = TARS.iter().find(|(suffix, _)| name.ends_with(suffix)) {
            return Some(Self::Tar(*compression));
        }
        if name.ends_with(".zip") {
            return Some(Self::Zip);
        }
        let plain = name.strip_suffix(".gz").filter(|plain| !plain.is_empty())?;
        Some(Self::Gzip(path.with_file_name(plain)))
    }

    /// Unpacks into a sandbox, at most so many bytes.
    pub(super) fn extract(&self, archive: &Path, sandbox: &Path, limit: u64) -> io::Result<()> {
        let unpacked = match self {
            Self::Tar(compression) => untar(*compression, archive, sandbox, limit),
            Self::Zip => unzip(archive, sandbox, limit),
            Self::Gzip(target) => gunzip(archive, sandbox, target, limit),
        };
        unpacked.map_err(|error| io::Error::other(format!("Failed to extract archive: {error}")))
    }
}

fn open(path: &Path) -> io::Result<BufReader<File>> {
    File::open(path).map(BufReader::new)
}

fn untar(compression: Compression, archive: &Path, sandbox: &Path, limit: u64) -> io::Result<()> {
    match compression {
        Compression::None => unpack(open(archive)?, sandbox, limit),
        Compression::Gzip => unpack(MultiGzDecoder::new(open(archive)?), sandbox, limit),
        Compression::Bzip2 => untar_through("bzip2", archive, sandbox, limit),
        Compression::Xz => untar_through("xz", archive, sandbox, limit),
    }
}

/// Rare compressions are left to the programs that made them.
fn untar_through(program: &str, archive: &Path, sandbox: &Path, limit: u64) -> io::Result<()> {
    let mut child = Command::new(program)
        .arg("-dc")
        .stdin(File::open(archive)?)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| io::Error::other(format!("cannot run '{program}': {error}")))?;
    let output = child.stdout.take().expect("the pipe was asked for");
    let unpacked = unpack(output, sandbox, limit);
    if unpacked.is_err() {
        // It may wait for us to read; its own end is of no interest then.
        let _ = child.kill();
    }
    let status = child.wait()?;
    unpacked?;
    if status.success() {
        Ok(())
    } else {
        Err(io::Error::other(format!("'{program}' failed: {status}")))
    }
}

fn unpack(reader: impl Read, sandbox: &Path, limit: u64) -> io::Result<()> {
    let mut archive = tar::Archive::new(Bounded {
        reader,
        left: limit,
        limit,
    });
    archive.set_overwrite(true);
    for entry in archive.entries()? {
        let mut entry = entry?;
        // Refuses what would leave the directory, be it by links.
        if !entry.unpack_in(sandbox)? {
            return Err(outside(&entry.path()?));
        }
    }
    Ok(())
}

fn outside(path: &Path) -> io::Error {
    io::Error::other(format!(
        "'{}' would lie outside of the sandbox",
        path.display()
    ))
}

fn unzip(archive: &Path, sandbox: &Path, limit: u64) -> io::Result<()> {
    const TYPE: u32 = 0o170_000;
    const LINK: u32 = 0o120_000;
    let mut zip = zip::ZipArchive::new(open(archive)?)?;
    let mut left = limit;
    for index in 0..zip.len() {
        let mut entry = zip.by_index(index)?;
        let Some(name) = entry.enclosed_name() else {
            let name = String::from_utf8_lossy(entry.name_raw());
            return Err(outside(Path::new(&*name)));
        };
        if entry.is_dir() {
            // Making room for a file in it makes the directory.
            place(sandbox, &name.join("x"))?;
            continue;
        }
        let path = place(sandbox, &name)?;
        let mode = entry.unix_mode();
        if mode.is_some_and(|mode| mode & TYPE == LINK) {
            let mut target = String::new();
            (&mut entry).take(4096).read_to_string(&mut target)?;
            let target = PathBuf::from(target);
            let root = sandbox.canonicalize()?;
            let inside = path.strip_prefix(root).unwrap_or(&name);
            if !stays_inside(inside, &target) {
                return Err(outside(&name));
            }
            symlink(target, path)?;
            continue;
        }
        let mut reader = Bounded {
            reader: entry,
            left,
            limit,
        };
        io::copy(&mut reader, &mut File::create_new(&path)?)?;
        left = reader.left;
        if let Some(mode) = mode {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode & 0o777))?;
        }
    }
    Ok(())
}

/// Whether a link of this name with this target points into the sandbox.
fn stays_inside(name: &Path, target: &Path) -> bool {
    let mut depth = name.components().count() - 1;
    for part in target.components() {
        match part {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir if depth > 0 => depth -= 1,
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return false,
        }
    }
    true
}

fn gunzip(archive: &Path, sandbox: &Path, target: &Path, limit: u64) -> io::Result<()> {
    let mut reader = Bounded {
        reader: MultiGzDecoder::new(open(archive)?),
        left: limit,
        limit,
    };
    let path = place(sandbox, target)?;
    io::copy(&mut reader, &mut File::create_new(path)?).map(|_| ())
}

/// Fails after too many bytes, where `Read::take` would only end.
struct Bounded<R> {
    reader: R,
    left: u64,
    limit: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        match self.left.checked_sub(count as u64) {
            Some(left) => {
                self.left = left;
                Ok(count)
            }
            None => Err(too_large(self.limit)),
        }
    }
}
