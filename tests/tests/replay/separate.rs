//! The suite with a master of another process: `mesos-local` as people start
//! it, and the dialogues as anyone holds them with a master of theirs.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use mesos_tests::fixture::is_left_out;

/// Dialogues, by their names: those that show soon what a cluster in another
/// process could break.
const PART: &[&str] = &[
    "lifecycle",
    "requests",
    "streams::events",
    "streams::one_of",
    "wire",
];

/// A `mesos-local` process, which ends with its test.
struct Program {
    child: Child,
    addresses: Vec<String>,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Program {
    fn start(path: &Path) -> Self {
        let mut child = Command::new(path)
            .args(["--agents", "1", "--port", "0", "--agent-port", "0"])
            .args([
                "--resources",
                "cpus:8;mem:8192;disk:20480;ports:[31000-32000]",
            ])
            .args(["--attributes", "rack:r1;zone:a;level:10;range:[1-5]"])
            .args(["--allocation-interval", "50ms"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = |line: std::io::Result<String>| {
            let line = line.unwrap();
            let mut words = line.split(' ').skip_while(|word| *word != "on").skip(1);
            words.next().unwrap().to_owned()
        };
        // One line for the master and one for the agent.
        let addresses = lines.take(2).map(address).collect();
        Self { child, addresses }
    }
}

/// The program beside those of this package, built now.
fn built() -> PathBuf {
    let beside = Path::new(env!("CARGO_BIN_EXE_http_server")).parent();
    let beside = beside.unwrap();
    let profile = match beside.file_name().unwrap().to_str().unwrap() {
        "debug" => "dev",
        other => other,
    };
    let mut build = Command::new(env!("CARGO"));
    // Both packages, so that what they depend on is not built another time.
    build.args(["build", "--quiet", "--package", "mesos-tests"]);
    build.args(["--package", "mesos-local", "--bin", "mesos-local"]);
    build.args(["--profile", profile]);
    build.arg("--target-dir").arg(beside.parent().unwrap());
    // What cargo says to this test is not for another cargo: some packages are
    // built anew when it differs, and with them whatever is built on them.
    for (name, _) in std::env::vars_os() {
        let told = name.to_str().unwrap_or_default();
        if told.starts_with("CARGO_PKG_") || told.starts_with("CARGO_MANIFEST_") {
            build.env_remove(name);
        }
    }
    let build = build.current_dir(env!("CARGO_MANIFEST_DIR"));
    assert!(build.status().unwrap().success());
    beside.join("mesos-local")
}

#[test]
fn dialogues_with_a_master_of_another_process() {
    if is_left_out("this is such a run") {
        return;
    }
    let program = Program::start(&built());
    let [master, agent] = &program.addresses[..] else {
        panic!("no two addresses in {:?}", program.addresses);
    };
    let output = Command::new(std::env::current_exe().unwrap())
        .args(PART)
        .env("MESOS_MASTER", master)
        .env("MESOS_AGENT", agent)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}");
    let passed = told.lines().filter(|line| line.ends_with("... ok")).count();
    assert!(passed > PART.len(), "{told}");
}
