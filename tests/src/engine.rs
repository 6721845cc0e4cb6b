//! A Docker engine of one's own: started for the tests of one program, on a
//! socket, a network and a directory that nobody else uses, and gone with it.
//!
//! The engine is the one that is installed (`docker.io` of Debian). Its image is
//! made of the machine's own busybox, so that nothing is pulled.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::query_parameters::{CreateImageOptionsBuilder, ListContainersOptionsBuilder};
use bytes::Bytes;
use futures::StreamExt;
use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::fixture::PATIENCE;

/// Starts the engine and stays between it and us: when our end of the pipe
/// closes, however we die, the engine and all of its own ends. `$1` is the
/// directory, `$2` the network, which is made of thin air. A lock shows that we
/// are there: what a killed predecessor could not clean up is cleaned up first.
const SCRIPT: &str = r#"
trap '' HUP INT QUIT TERM PIPE
root=$1 bridge=$2 subnet=$3
remove() {
  ip link del "$(cat "$1/bridge")"
  # The engine leaves its name for the machine's own network behind, and its
  # data mounted when it ended too early.
  umount "$1"/exec/netns/* "$1/data"
  rm -rf -- "$1"
} 2>/dev/null
for old in "${root%/*}"/mesos-docker-*; do
  (flock -n 9 || exit
   engine=$(cat "$old/pid")
   grep -q "$old/" "/proc/$engine/cmdline" && kill "$engine" &&
     for _ in $(seq 100); do kill -0 "$engine" || break; sleep 0.1; done
   remove "$old") 9<"$old/guard"
done 2>/dev/null
echo "$bridge" >"$root/bridge"
exec 9>"$root/lock"
flock 9 && mv "$root/lock" "$root/guard"
ip link add name "$bridge" type bridge && ip addr add "$subnet" dev "$bridge" &&
  ip link set "$bridge" up || { remove "$root"; exit 1; }
(trap - HUP INT QUIT TERM
 exec dockerd --host "unix://$root/docker.sock" --data-root "$root/data" \
  --exec-root "$root/exec" --pidfile "$root/pid" --bridge "$bridge" \
  --storage-driver vfs --iptables=false --ip6tables=false --ip-forward=false \
  --ip-masq=false <&- 9>&- >"$root/log" 2>&1) &
engine=$!
while read -r line; do :; done
kill "$engine" 2>/dev/null
wait "$engine"
remove "$root"
"#;

/// Programs without which there is nothing to start.
const PROGRAMS: [&str; 5] = ["dockerd", "containerd", "busybox", "ip", "flock"];

/// A running engine.
#[derive(Debug)]
pub struct Engine {
    address: String,
    /// Speaks with it directly.
    pub client: Docker,
    _guard: Guard,
}

#[derive(Debug)]
struct Guard {
    _pipe: ChildStdin,
    _shell: Child,
}

impl Engine {
    /// The engine of this program, or `None` where there can be none: then the
    /// reason has been printed.
    ///
    /// # Panics
    ///
    /// When `MESOS_TESTS_REQUIRE_ALL` is set and something is not installed, or
    /// `MESOS_TESTS_REQUIRE_DOCKER` is set and the engine does not start.
    pub async fn shared() -> Option<&'static Self> {
        static ENGINE: OnceCell<Option<Engine>> = OnceCell::const_new();
        let engine = ENGINE.get_or_init(|| async {
            if let Some(program) = PROGRAMS.iter().find(|program| !is_installed(program)) {
                assert!(
                    std::env::var_os("MESOS_TESTS_REQUIRE_ALL").is_none(),
                    "{program} is required and not installed"
                );
                println!("skipped: {program} is not installed");
                return None;
            }
            match Self::start().await {
                Ok(engine) => Some(engine),
                Err(why) => {
                    // Whether a kernel lets an engine run is not the tests' to say.
                    assert!(
                        std::env::var_os("MESOS_TESTS_REQUIRE_DOCKER").is_none(),
                        "a Docker engine is required: {why}"
                    );
                    println!("skipped: the Docker engine does not start here: {why}");
                    None
                }
            }
        });
        engine.await.as_ref()
    }

    async fn start() -> Result<Self, String> {
        let directory = TempDir::with_prefix("mesos-docker-").map_err(|e| e.to_string())?;
        // The shell removes it.
        let root = directory.keep();
        let id = std::process::id();
        let bridge = format!("mesos{}", id % 1_000_000);
        let subnet = format!("10.{}.{}.1/24", 200 + id / 256 % 50, id % 256);
        let mut shell = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "mesos-tests-engine"])
            .args([root.as_os_str(), bridge.as_ref(), subnet.as_ref()])
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| error.to_string())?;
        let pipe = shell.stdin.take().ok_or("no pipe")?;
        let socket = root.join("docker.sock");
        let client = listening(&mut shell, &root, &socket).await?;
        let engine = Self {
            address: format!("unix://{}", socket.display()),
            client,
            _guard: Guard {
                _pipe: pipe,
                _shell: shell,
            },
        };
        engine.import().await?;
        Ok(engine)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The names of all containers, running or not.
    ///
    /// # Panics
    ///
    /// When the engine does not say.
    pub async fn containers(&self) -> Vec<String> {
        let all = ListContainersOptionsBuilder::default().all(true).build();
        let list = self.client.list_containers(Some(all)).await;
        list.expect("a list")
            .into_iter()
            .flat_map(|container| container.names.unwrap_or_default())
            .map(|name| name.trim_start_matches('/').to_owned())
            .collect()
    }

    /// Makes `bb:latest`: busybox and the names it answers to.
    async fn import(&self) -> Result<(), String> {
        let options = CreateImageOptionsBuilder::default()
            .from_src("-")
            .repo("bb")
            .tag("latest")
            .build();
        let image = Bytes::from(image().map_err(|error| error.to_string())?);
        let body = bollard::body_full(image);
        let mut steps = self.client.create_image(Some(options), Some(body), None);
        while let Some(step) = steps.next().await {
            step.map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

fn is_installed(program: &str) -> bool {
    find(program).is_some()
}

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|directory| directory.join(program))
        .find(|path| path.is_file())
}

/// Waits until the engine answers, or has ended with a reason.
async fn listening(shell: &mut Child, root: &Path, socket: &Path) -> Result<Docker, String> {
    let start = Instant::now();
    let said = || {
        let log = std::fs::read_to_string(root.join("log")).unwrap_or_default();
        let last = log.lines().rev().find(|line| !line.is_empty());
        last.unwrap_or("it says nothing").to_owned()
    };
    loop {
        if let Ok(client) =
            Docker::connect_with_unix(&socket.to_string_lossy(), 120, bollard::API_DEFAULT_VERSION)
            && client.ping().await.is_ok()
        {
            return Ok(client);
        }
        let has_pid = std::fs::read_to_string(root.join("pid")).is_ok();
        if shell.try_wait().is_ok_and(|status| status.is_some()) {
            return Err("its network cannot be made".to_owned());
        }
        if start.elapsed() > PATIENCE || (start.elapsed() > PATIENCE / 3 && !has_pid) {
            return Err(said());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A root directory: busybox, what it is linked with, and its names.
fn image() -> std::io::Result<Vec<u8>> {
    let busybox = find("busybox").ok_or(std::io::ErrorKind::NotFound)?;
    let mut archive = tar::Builder::new(Vec::new());
    let mut entry = |kind: tar::EntryType, path: &str, mode: u32, data: &[u8], target: &str| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(data.len() as u64);
        if target.is_empty() {
            archive.append_data(&mut header, path, data)
        } else {
            archive.append_link(&mut header, path, target)
        }
    };
    for directory in ["bin", "etc", "tmp"] {
        entry(tar::EntryType::Directory, directory, 0o755, &[], "")?;
    }
    entry(
        tar::EntryType::Regular,
        "bin/busybox",
        0o755,
        &std::fs::read(&busybox)?,
        "",
    )?;
    for library in libraries(&busybox)? {
        let path = library.trim_start_matches('/');
        entry(
            tar::EntryType::Regular,
            path,
            0o755,
            &std::fs::read(&library)?,
            "",
        )?;
    }
    let list = Command::new(&busybox).arg("--list").output()?.stdout;
    for name in String::from_utf8_lossy(&list).lines() {
        if name != "busybox" {
            entry(
                tar::EntryType::Symlink,
                &format!("bin/{name}"),
                0o777,
                &[],
                "busybox",
            )?;
        }
    }
    let mut bytes = archive.into_inner()?;
    bytes.flush()?;
    Ok(bytes)
}

/// The shared libraries of a program, its loader among them; a static one has
/// none.
fn libraries(program: &Path) -> std::io::Result<Vec<String>> {
    let output = Command::new("ldd").arg(program).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let path = |line: &str| {
        line.split_whitespace()
            .find(|word| word.starts_with('/'))
            .map(str::to_owned)
    };
    Ok(text.lines().filter_map(path).collect())
}
