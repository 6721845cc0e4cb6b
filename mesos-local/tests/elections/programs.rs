//! Processes of `mesos-local` that take part in elections.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use http::{HeaderMap, StatusCode, header};
use mesos_sdk::address::HostAddress;
use mesos_sdk::transport::{Response, Transport, TransportConfig};
use nix::sys::signal::Signal;
use nix::unistd::Pid;

/// One process, which ends with its test.
pub(crate) struct Program {
    child: Child,
    pub(crate) master: SocketAddr,
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Program {
    /// Starts a process whose master stands for election in a group.
    pub(crate) fn start(group: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mesos-local"));
        command
            .args(["--zk", group])
            .args(["--port", "0", "--agent-port", "0"])
            .args([
                "--allocation-interval",
                "100ms",
                "--agent-ping-timeout",
                "5s",
            ])
            .args(arguments);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut first = String::new();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        lines.read_line(&mut first).unwrap();
        let address = first.trim().strip_prefix("master listening on ");
        let master = address.expect(&first).parse().unwrap();
        // Nobody reads the rest.
        Self { child, master }
    }

    /// Ends the process as a crash would.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Ends the process in good order: it leaves the group.
    pub(crate) fn stop(mut self) {
        let pid = i32::try_from(self.child.id()).unwrap();
        nix::sys::signal::kill(Pid::from_raw(pid), Signal::SIGTERM).unwrap();
        self.child.wait().unwrap();
    }

    /// What the master answers to a GET.
    pub(crate) async fn get(&self, path: &str) -> Response {
        let transport = Transport::new(TransportConfig::default());
        let server = HostAddress::http(self.master.ip().to_string(), self.master.port());
        let answer = transport.get(&server, path, HeaderMap::new());
        answer.await.unwrap()
    }

    /// The port of the leader, as this master sees it.
    pub(crate) async fn leader(&self) -> Option<u16> {
        let answer = self.get("/redirect").await;
        if answer.status == StatusCode::SERVICE_UNAVAILABLE {
            assert_eq!(answer.text(), "No leader elected");
            return None;
        }
        assert_eq!(answer.status, StatusCode::TEMPORARY_REDIRECT);
        let location = answer.headers[header::LOCATION].to_str().unwrap();
        let port = location.strip_prefix("//localhost:").expect(location);
        Some(port.parse().unwrap())
    }
}
