//! Archives, unpacked so that nothing leaves the sandbox.

use std::error::Error as _;
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};

use flate2::read::MultiGzDecoder;

use super::{Stop, place, too_large};

/// How much an archive may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allowance {
    pub(super) bytes: u64,
    pub(super) files: usize,
}

impl Allowance {
    fn too_many(self) -> io::Error {
        io::Error::other(format!("it holds more than {} files", self.files))
    }
}

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

    /// Unpacks into a sandbox, at most so much.
    pub(super) fn extract(
        &self,
        archive: &Path,
        sandbox: &Path,
        allowed: Allowance,
        stop: &Stop,
    ) -> io::Result<()> {
        let unpacking = Unpacking {
            archive,
            sandbox,
            allowed,
            stop,
        };
        let unpacked = match self {
            Self::Tar(compression) => unpacking.untar(*compression),
            Self::Zip => unpacking.unzip(),
            Self::Gzip(target) => unpacking.gunzip(target),
        };
        unpacked.map_err(|error| {
            let mut text = format!("Failed to extract archive: {error}");
            // What says that it failed may hide why it did.
            let mut source = error.source();
            while let Some(inner) = source {
                text = format!("{text}: {inner}");
                source = inner.source();
            }
            io::Error::other(text)
        })
    }
}

fn open(path: &Path) -> io::Result<BufReader<File>> {
    File::open(path).map(BufReader::new)
}

fn outside(path: &Path) -> io::Error {
    io::Error::other(format!(
        "'{}' would lie outside of the sandbox",
        path.display()
    ))
}

struct Unpacking<'a> {
    archive: &'a Path,
    sandbox: &'a Path,
    allowed: Allowance,
    stop: &'a Stop,
}

impl<'a> Unpacking<'a> {
    fn untar(&self, compression: Compression) -> io::Result<()> {
        let archive = open(self.archive)?;
        match compression {
            Compression::None => self.unpack(archive),
            Compression::Gzip => self.unpack(MultiGzDecoder::new(archive)),
            Compression::Bzip2 => self.untar_through("bzip2"),
            Compression::Xz => self.untar_through("xz"),
        }
    }

    /// Rare compressions are left to the programs that made them.
    fn untar_through(&self, program: &str) -> io::Result<()> {
        let mut child = Command::new(program)
            .arg("-dc")
            .stdin(File::open(self.archive)?)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| io::Error::other(format!("cannot run '{program}': {error}")))?;
        let output = child.stdout.take().expect("the pipe was asked for");
        let unpacked = self.unpack(output);
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

    fn unpack(&self, reader: impl Read) -> io::Result<()> {
        let mut archive = tar::Archive::new(self.bounded(reader, self.allowed.bytes));
        archive.set_overwrite(true);
        for (index, entry) in archive.entries()?.enumerate() {
            if index >= self.allowed.files {
                return Err(self.allowed.too_many());
            }
            let mut entry = entry?;
            // Refuses what would leave the directory, be it by links.
            if !entry.unpack_in(self.sandbox)? {
                return Err(outside(&entry.path()?));
            }
        }
        Ok(())
    }

    fn unzip(&self) -> io::Result<()> {
        const TYPE: u32 = 0o170_000;
        const LINK: u32 = 0o120_000;
        let mut zip = zip::ZipArchive::new(open(self.archive)?)?;
        if zip.len() > self.allowed.files {
            return Err(self.allowed.too_many());
        }
        let mut left = self.allowed.bytes;
        for index in 0..zip.len() {
            let mut entry = zip.by_index(index)?;
            let Some(name) = entry.enclosed_name() else {
                let name = String::from_utf8_lossy(entry.name_raw());
                return Err(outside(Path::new(&*name)));
            };
            if entry.is_dir() {
                // Making room for a file in it makes the directory.
                place(self.sandbox, &name.join("x"))?;
                continue;
            }
            let path = place(self.sandbox, &name)?;
            let mode = entry.unix_mode();
            if mode.is_some_and(|mode| mode & TYPE == LINK) {
                let mut target = String::new();
                (&mut entry).take(4096).read_to_string(&mut target)?;
                let target = PathBuf::from(target);
                let root = self.sandbox.canonicalize()?;
                let inside = path.strip_prefix(root).unwrap_or(&name);
                if !stays_inside(inside, &target) {
                    return Err(outside(&name));
                }
                symlink(target, path)?;
                continue;
            }
            let mut reader = self.bounded(entry, left);
            io::copy(&mut reader, &mut File::create_new(&path)?)?;
            left = reader.left;
            if let Some(mode) = mode {
                fs::set_permissions(&path, fs::Permissions::from_mode(mode & 0o777))?;
            }
        }
        Ok(())
    }

    fn gunzip(&self, target: &Path) -> io::Result<()> {
        let decoder = MultiGzDecoder::new(open(self.archive)?);
        let mut reader = self.bounded(decoder, self.allowed.bytes);
        let path = place(self.sandbox, target)?;
        io::copy(&mut reader, &mut File::create_new(path)?).map(|_| ())
    }

    fn bounded<R>(&self, reader: R, left: u64) -> Bounded<'a, R> {
        Bounded {
            reader,
            left,
            limit: self.allowed.bytes,
            stop: self.stop,
        }
    }
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

/// Fails after too many bytes, where `Read::take` would only end, and when
/// nobody waits for it.
struct Bounded<'a, R> {
    reader: R,
    left: u64,
    limit: u64,
    stop: &'a Stop,
}

impl<R: Read> Read for Bounded<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stop.check()?;
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
