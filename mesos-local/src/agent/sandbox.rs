//! Sandboxes on disk: made with few system calls, for a thousand short tasks
//! make a thousand of them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, chown, symlink};
use std::path::{Component, Path};

use nix::fcntl::OFlag;
use nix::unistd::{Gid, Uid};

use crate::agent::{Launch, Volume};

/// The two files that a command writes to.
#[derive(Debug)]
pub(crate) struct Outputs {
    pub(crate) stdout: File,
    pub(crate) stderr: File,
}

/// Makes the directory, its `latest` link, its volumes and its output files.
pub(crate) fn create(launch: &Launch, owner: Option<(Uid, Gid)>) -> io::Result<Outputs> {
    let directory = &launch.directory;
    let run = launch.executor_directory.as_ref().unwrap_or(directory);
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(directory)?;
    link_latest(run)?;
    for volume in &launch.volumes {
        show(volume, directory)?;
    }
    let outputs = Outputs {
        stdout: output(&directory.join("stdout"))?,
        stderr: output(&directory.join("stderr"))?,
    };
    if let Some((uid, gid)) = owner {
        for path in [
            run.clone(),
            directory.clone(),
            directory.join("stdout"),
            directory.join("stderr"),
        ] {
            chown(&path, Some(uid.as_raw()), Some(gid.as_raw()))?;
        }
    }
    Ok(outputs)
}

/// Opens one of the output files to write at its end. What lies in a sandbox is
/// the task's to choose: a link that has taken the file's place is not followed.
pub(crate) fn output(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .custom_flags(OFlag::O_NOFOLLOW.bits())
        .open(path)
}

/// `runs/latest` names the newest run. A short relative target lies in the
/// link's own inode; a long one would take a block of the disk.
fn link_latest(directory: &Path) -> io::Result<()> {
    let link = directory.with_file_name("latest");
    let target = directory.file_name().unwrap_or_default();
    match symlink(target, &link) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(&link)?;
            symlink(target, &link)
        }
        result => result,
    }
}

fn show(volume: &Volume, directory: &Path) -> io::Result<()> {
    let stays_inside = volume
        .target
        .components()
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    let id_is_plain = volume
        .source
        .components()
        .all(|part| !matches!(part, Component::ParentDir));
    if !stays_inside || !id_is_plain {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!(
                "the volume at '{}' would lie outside of the sandbox",
                volume.target.display()
            ),
        ));
    }
    fs::create_dir_all(&volume.source)?;
    let target = directory.join(&volume.target);
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent)?;
    }
    symlink(&volume.source, target)
}

/// Adds a line to what the task itself writes, as Mesos's own processes do.
pub(crate) fn complain(directory: &Path, line: &str) {
    let written =
        output(&directory.join("stderr")).and_then(|mut stderr| writeln!(stderr, "{line}"));
    if let Err(error) = written {
        tracing::debug!(directory = %directory.display(), %error, "cannot write to stderr");
    }
}

/// Removes a run, and its executor's directory when no other run is left.
pub(crate) fn remove(directory: &Path) -> io::Result<()> {
    fs::remove_dir_all(directory)?;
    let Some(runs) = directory.parent() else {
        return Ok(());
    };
    let latest = runs.join("latest");
    if fs::read_link(&latest).is_ok_and(|target| Some(target.as_os_str()) == directory.file_name())
    {
        fs::remove_file(&latest)?;
    }
    // Other runs keep both directories, which is no error.
    let _ = fs::remove_dir(runs);
    if let Some(executor) = runs.parent() {
        let _ = fs::remove_dir(executor);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_stay_in_the_sandbox() {
        let place = tempfile::tempdir().unwrap();
        let sandbox = place.path().join("sandbox");
        fs::create_dir(&sandbox).unwrap();
        complain(&sandbox, "one");
        complain(&sandbox, "two");
        let stderr = sandbox.join("stderr");
        assert_eq!(fs::read_to_string(&stderr).unwrap(), "one\ntwo\n");
        let outside = place.path().join("outside");
        fs::write(&outside, "kept\n").unwrap();
        fs::remove_file(&stderr).unwrap();
        symlink(&outside, &stderr).unwrap();
        complain(&sandbox, "three");
        assert_eq!(fs::read_to_string(&outside).unwrap(), "kept\n");
    }
}
