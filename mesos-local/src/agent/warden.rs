//! Sees to it that no task outlives the process that holds the cluster.
//!
//! A small shell process reads a pipe whose writing end only we hold. When we
//! die, however we die, the pipe closes, and the shell kills every process
//! group it was told of and every process that carries the cluster's sandboxes
//! in its environment, until none is left. A task is found by its environment
//! even when we died between spawning it and registering its group.
//!
//! Containers are the Docker engine's processes, not ours: the shell asks the
//! engine to remove those it was told of, with curl or, where there is none,
//! with Perl.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::{Pid, Uid};

use crate::agent::EngineAddress;

/// How often the sweep is repeated before it gives up on processes that do not
/// die, as those in an uninterruptible wait.
const SWEEPS: u32 = 50;

/// How long stopping may take to remove a temporary work directory.
const CLEARING: Duration = Duration::from_millis(200);

/// Read by the warden's shell. `$1` is the work directory, `$2` says whether
/// it is to be removed. Groups come as `+N` and `-N`, one a line, and `=DIR` when
/// the directory was given another name. Killing a group leaves at most zombies,
/// which have no environment; so that alone says whether anybody is left.
///
/// Containers come as `*NAME` and `!NAME`, after the address of their engine as
/// `@PATH` or `@HOST:PORT`. One is removed for certain when the engine says
/// twice that it has none of that name: it may be making it when we die.
const SCRIPT: &str = r#"
trap '' HUP INT QUIT TERM PIPE
dir=$1
groups=' '
names=' '
while read -r line; do
  n=${line#?}
  case $line in
    =*) dir=$n ;;
    +*) groups="$groups$n " ;;
    -*) groups="${groups%% $n *} ${groups#* $n }" ;;
    @*) engine=$n ;;
    \**) names="$names$n " ;;
    !*) names="${names%% $n *} ${names#* $n }" ;;
  esac
done
status_of_removal() {
  path="/containers/$1?force=1&v=1"
  if command -v curl >/dev/null; then
    case $engine in
      /*) curl -gs -m 20 -o /dev/null -w '%{http_code}' -X DELETE \
            --unix-socket "$engine" "http://docker$path" ;;
      *) curl -gs -m 20 -o /dev/null -w '%{http_code}' -X DELETE "http://$engine$path" ;;
    esac
  else
    perl -MIO::Socket::UNIX -MIO::Socket::INET -e '
      my ($engine, $path) = @ARGV;
      alarm 20;
      my $s = $engine =~ m{^/} ? IO::Socket::UNIX->new(Peer => $engine)
                               : IO::Socket::INET->new(PeerAddr => $engine);
      exit 1 unless $s;
      print $s "DELETE $path HTTP/1.0\r\nHost: docker\r\n\r\n";
      $s->flush;
      print $1 if <$s> =~ m{^HTTP/\S+ (\d+)};' "$engine" "$path"
  fi
}
tries=0
absent=0
while [ $tries -lt 50 ]; do
  found=
  for g in $groups; do kill -s KILL -- "-$g" 2>/dev/null; done
  for f in $(grep -lsF -e "MESOS_SANDBOX=$1/" /proc/[0-9]*/environ 2>/dev/null); do
    p=${f#/proc/}; p=${p%/environ}
    kill -s KILL -- "$p" 2>/dev/null && found=1
  done
  if [ "$names" != ' ' ] && [ $absent -lt 2 ]; then
    absent=$((absent + 1))
    for name in $names; do
      [ "$(status_of_removal "$name")" = 404 ] || absent=0
    done
    [ $absent -lt 2 ] && found=1
  fi
  [ -z "$found" ] && [ $tries -gt 0 ] && break
  tries=$((tries + 1))
  sleep 0.05
done
[ "$2" = temporary ] && rm -rf -- "$dir"
exit 0
"#;

/// The guard of one cluster's processes, shared by its agents.
#[derive(Debug)]
pub struct Warden {
    work_dir: PathBuf,
    is_temporary: bool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    groups: BTreeSet<i32>,
    /// Containers, and the engine that the shell was told of last.
    names: BTreeSet<String>,
    engine: Option<EngineAddress>,
    shell: Option<Shell>,
}

#[derive(Debug)]
struct Shell {
    child: Child,
    pipe: ChildStdin,
}

impl Warden {
    /// Guards the tasks whose sandboxes lie under `work_dir`, which is removed
    /// at the end when it `is_temporary`.
    ///
    /// # Errors
    ///
    /// When the directory cannot be made or no shell can be started.
    pub fn start(work_dir: &Path, is_temporary: bool) -> io::Result<Self> {
        fs::create_dir_all(work_dir)?;
        let work_dir = work_dir.canonicalize()?;
        if is_temporary {
            // Nobody else's business, but tasks that root runs as other users
            // must get to their sandboxes.
            let is_root = Uid::effective().is_root();
            let mode = if is_root { 0o711 } else { 0o700 };
            fs::set_permissions(&work_dir, fs::Permissions::from_mode(mode))?;
        }
        let mut child = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "mesos-local-warden"])
            .arg(&work_dir)
            .arg(if is_temporary { "temporary" } else { "kept" })
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let pipe = child.stdin.take().expect("the pipe was asked for");
        Ok(Self {
            work_dir,
            is_temporary,
            state: Mutex::new(State {
                groups: BTreeSet::new(),
                names: BTreeSet::new(),
                engine: None,
                shell: Some(Shell { child, pipe }),
            }),
        })
    }

    /// The directory whose tasks are guarded, without symbolic links.
    #[must_use]
    pub fn work_dir(&self) -> &Path {
        &self.work_dir
    }

    /// A task's process group exists from now on.
    pub fn register(&self, group: Pid) {
        let mut state = self.lock();
        if state.groups.insert(group.as_raw()) {
            state.tell('+', group);
        }
    }

    /// The Docker engine may have a container of this name from now on.
    pub fn register_container(&self, engine: &EngineAddress, name: &str) {
        let mut state = self.lock();
        if state.engine.as_ref() != Some(engine) {
            match engine {
                EngineAddress::Unix(path) => state.tell('@', path.display()),
                EngineAddress::Tcp(authority) => state.tell('@', authority),
            }
            state.engine = Some(engine.clone());
        }
        if state.names.insert(name.to_owned()) {
            state.tell('*', name);
        }
    }

    /// The container has been removed.
    pub fn release_container(&self, name: &str) {
        let mut state = self.lock();
        if state.names.remove(name) {
            state.tell('!', name);
        }
    }

    /// The group's leader has been reaped: kill what is left of the group.
    pub fn release(&self, group: Pid) {
        kill_group(group);
        let mut state = self.lock();
        if state.groups.remove(&group.as_raw()) {
            state.tell('-', group);
        }
    }

    /// Kills every guarded process and removes a temporary work directory.
    /// Repeating it does nothing.
    pub fn stop(&self) {
        let mut state = self.lock();
        let Some(mut shell) = state.shell.take() else {
            return;
        };
        for group in std::mem::take(&mut state.groups) {
            kill_group(Pid::from_raw(group));
        }
        sweep(&self.work_dir);
        let is_cleared = !self.is_temporary || self.clear().is_ok();
        let has_containers = !std::mem::take(&mut state.names).is_empty();
        if has_containers || !is_cleared {
            // Nobody shall wait for an engine or a slow disk: the shell goes on
            // once the pipe is closed, and the directory gets out of the way.
            let gone = self.work_dir.with_extension("gone");
            if !is_cleared && fs::rename(&self.work_dir, &gone).is_ok() {
                let name = gone.as_os_str().as_encoded_bytes();
                let _ = shell.pipe.write_all(&[b"=", name, b"\n"].concat());
            }
            drop(shell.pipe);
            // Somebody has to take note of its end.
            std::thread::spawn(move || shell.child.wait());
            return;
        }
        // The pipe must outlive the shell, or it would sweep once more.
        if shell.child.kill().is_ok() {
            let _ = shell.child.wait();
        }
        drop(shell.pipe);
    }

    /// Removes the work directory, unless that takes too long.
    fn clear(&self) -> io::Result<()> {
        remove_until(&self.work_dir, Instant::now() + CLEARING)?;
        match fs::remove_dir(&self.work_dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Warden {
    fn drop(&mut self) {
        self.stop();
    }
}

impl State {
    fn tell(&mut self, sign: char, what: impl fmt::Display) {
        if let Some(shell) = &mut self.shell {
            let line = format!("{sign}{what}\n");
            if let Err(error) = shell.pipe.write_all(line.as_bytes()) {
                tracing::warn!(%error, "the warden does not listen any more");
            }
        }
    }
}

/// Removes what is in a directory, as far as it gets in time.
fn remove_until(directory: &Path, end: Instant) -> io::Result<()> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        if Instant::now() > end {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_until(&entry.path(), end)?;
            fs::remove_dir(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// SIGKILL to every member of a group; a group that is gone is fine.
pub(crate) fn kill_group(group: Pid) {
    // Group 0 would be our own, and 1 would be everybody.
    if group.as_raw() > 1 {
        let _ = killpg(group, Signal::SIGKILL);
    }
}

/// Kills every process whose environment names a sandbox under `work_dir`,
/// until none is left.
fn sweep(work_dir: &Path) {
    let needle = [
        b"MESOS_SANDBOX=",
        work_dir.as_os_str().as_encoded_bytes(),
        b"/",
    ]
    .concat();
    for _ in 0..SWEEPS {
        let found = carriers(&needle);
        if found.is_empty() {
            return;
        }
        for pid in found {
            let _ = kill(pid, Signal::SIGKILL);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The living processes that have an environment variable starting with
/// `needle`. The environment of a zombie is empty, so that it is not found.
fn carriers(needle: &[u8]) -> Vec<Pid> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let own = std::process::id().cast_signed();
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| {
            *pid != own && {
                fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environment| {
                    environment
                        .split(|byte| *byte == 0)
                        .any(|variable| variable.starts_with(needle))
                })
            }
        })
        .map(Pid::from_raw)
        .collect()
}
