//! Containers inside those of tasks, entered over HTTP.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, where a panic is the failure"
)]

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mesos_local::Cluster;
use mesos_sdk::recordio;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{Subscription, framework, operate, soon};

/// A cluster with a task that runs, and the id of its container.
struct Place {
    cluster: Cluster,
    agent: SocketAddr,
    task: Value,
    #[expect(dead_code, reason = "keeps the task alive")]
    scheduler: Subscription,
}

impl Place {
    async fn new() -> Self {
        let cluster = Cluster::builder().start().await.unwrap();
        let mut scheduler = Subscription::open(cluster.master_address(), framework("exec")).await;
        let offer = scheduler.offer().await;
        scheduler.launch(&offer, "entered", "sleep 1000").await;
        let running = scheduler.state("entered", "TASK_RUNNING").await;
        Self {
            agent: cluster.agent_addresses()[0],
            cluster,
            task: running["container_status"]["container_id"].clone(),
            scheduler,
        }
    }

    fn inside(&self, name: &str) -> Value {
        json!({"value": name, "parent": self.task})
    }

    async fn session(&self, name: &str, command: &str, container: Value) -> Subscription {
        let mut launch = json!({
            "container_id": self.inside(name),
            "command": {"shell": true, "value": command},
        });
        if !container.is_null() {
            launch["container"] = container;
        }
        let call = json!({
            "type": "LAUNCH_NESTED_CONTAINER_SESSION",
            "launch_nested_container_session": launch,
        });
        Subscription::start(self.agent, "/api/v1", &call).await
    }

    /// How a container ended, as `wait` gives it.
    async fn wait(&self, container: &Value) -> i64 {
        let call = json!({"type": "WAIT_CONTAINER", "wait_container": {"container_id": container}});
        let answer = operate(self.agent, &call).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["wait_container"]["exit_status"]
            .as_i64()
            .unwrap()
    }

    async fn input(&self, container: &Value) -> Input {
        let mut input = Input {
            stream: TcpStream::connect(self.agent).await.unwrap(),
        };
        let head = "POST /api/v1 HTTP/1.1\r\nHost: agent\r\nContent-Type: application/recordio\r\n\
                    Message-Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
        input.stream.write_all(head.as_bytes()).await.unwrap();
        input
            .say(json!({"type": "CONTAINER_ID", "container_id": container}))
            .await;
        input
    }
}

/// An ATTACH_CONTAINER_INPUT that is under way.
struct Input {
    stream: TcpStream,
}

impl Input {
    async fn say(&mut self, attach: Value) {
        let call = json!({"type": "ATTACH_CONTAINER_INPUT", "attach_container_input": attach});
        let record = recordio::encode(call.to_string().as_bytes());
        let length = format!("{:x}\r\n", record.len());
        let chunk = [length.as_bytes(), &record, b"\r\n"].concat();
        self.stream.write_all(&chunk).await.unwrap();
    }

    async fn type_in(&mut self, text: &str) {
        let data = json!({"type": "STDIN", "data": STANDARD.encode(text)});
        self.say(json!({"type": "PROCESS_IO", "process_io": {"type": "DATA", "data": data}}))
            .await;
    }

    async fn resize(&mut self, rows: u32, columns: u32) {
        let size = json!({"rows": rows, "columns": columns});
        let control = json!({"type": "TTY_INFO", "tty_info": {"window_size": size}});
        self.say(
            json!({"type": "PROCESS_IO", "process_io": {"type": "CONTROL", "control": control}}),
        )
        .await;
    }

    /// Announces a record of so many bytes.
    async fn announce(&mut self, bytes: usize) {
        let record = format!("{bytes}\n");
        let chunk = format!("{:x}\r\n{record}\r\n", record.len());
        self.stream.write_all(chunk.as_bytes()).await.unwrap();
    }

    /// Ends the request and reads the status of its answer.
    async fn end(mut self) -> String {
        soon("the answer to an input", async {
            // A process that has ended does not read to the end.
            let _ = self.stream.write_all(b"0\r\n\r\n").await;
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n") {
                head.push(self.stream.read_u8().await.unwrap());
            }
            String::from_utf8(head).unwrap().trim().to_owned()
        })
        .await
    }
}

/// What came of one kind of output, put together.
fn written(records: &[Value], kind: &str) -> String {
    let pieces = records
        .iter()
        .filter(|record| record["data"]["type"] == kind)
        .map(|record| {
            STANDARD
                .decode(record["data"]["data"].as_str().unwrap())
                .unwrap()
        });
    String::from_utf8(pieces.collect::<Vec<_>>().concat()).unwrap()
}

#[tokio::test]
async fn a_session_is_spoken_with_and_tells_how_it_ended() {
    let place = Place::new().await;
    let command = "echo $MESOS_TASK_ID; echo in $PWD; cat; echo over >&2; exit 4";
    let mut session = place.session("session", command, Value::Null).await;
    let container = place.inside("session");
    let mut input = place.input(&container).await;
    input.type_in("hello ").await;
    input.type_in("there\n").await;
    input.type_in("").await;
    assert_eq!(input.end().await, "HTTP/1.1 200 OK");
    let records = session.end().await;
    let id = place.task["value"].as_str().unwrap();
    let out = written(&records, "STDOUT");
    assert!(out.starts_with("entered\nin "), "{out}");
    assert!(out.ends_with(&format!("{id}\nhello there\n")), "{out}");
    assert_eq!(written(&records, "STDERR"), "over\n");
    assert_eq!(place.wait(&container).await, 4 << 8);
    place.cluster.stop().await;
}

#[tokio::test]
async fn a_record_of_input_has_a_limit() {
    let place = Place::new().await;
    let _session = place.session("session", "cat", Value::Null).await;
    let mut input = place.input(&place.inside("session")).await;
    input.announce((4 << 20) + 1).await;
    assert_eq!(input.end().await, "HTTP/1.1 400 Bad Request");
    place.cluster.stop().await;
}

#[tokio::test]
async fn a_session_has_a_terminal_when_it_wants_one() {
    let place = Place::new().await;
    let terminal =
        json!({"type": "MESOS", "tty_info": {"window_size": {"rows": 30, "columns": 100}}});
    let command = "stty size; read line; stty size; echo got $line; test -t 0 && exit 7";
    let mut session = place.session("terminal", command, terminal).await;
    let sized = session
        .until_it("the size of the window", |record| {
            written(std::slice::from_ref(record), "STDOUT").contains("30 100")
        })
        .await;
    assert_eq!(sized["type"], "DATA");
    let container = place.inside("terminal");
    let mut input = place.input(&container).await;
    input.resize(40, 120).await;
    input.type_in("a line\n").await;
    let out = written(&session.end().await, "STDOUT");
    assert!(out.contains("40 120\r\n"), "{out:?}");
    assert!(out.contains("got a line\r\n"), "{out:?}");
    assert_eq!(place.wait(&container).await, 7 << 8);
    assert_eq!(input.end().await, "HTTP/1.1 200 OK");
}

#[tokio::test]
async fn a_session_dies_with_its_connection() {
    let place = Place::new().await;
    let session = place.session("left", "sleep 1000", Value::Null).await;
    let container = place.inside("left");
    drop(session);
    assert_eq!(place.wait(&container).await, 9);
}

#[tokio::test]
async fn much_output_waits_for_its_reader() {
    let place = Place::new().await;
    let command = "head -c 8000000 /dev/zero | tr '\\0' x";
    let mut session = place.session("much", command, Value::Null).await;
    let records = session.end().await;
    assert_eq!(written(&records, "STDOUT").len(), 8_000_000);
    assert_eq!(place.wait(&place.inside("much")).await, 0);
}

#[tokio::test]
async fn containers_stay_until_they_end_or_are_killed() {
    let place = Place::new().await;
    for container in [place.inside("stays"), json!({"value": "alone"})] {
        let launch = |command: &str| {
            json!({"type": "LAUNCH_CONTAINER", "launch_container": {
                "container_id": container, "command": {"shell": true, "value": command},
            }})
        };
        let answer = operate(place.agent, &launch("sleep 1000")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let again = operate(place.agent, &launch("true")).await;
        assert_eq!(again.status, 202);
        let show = json!({"type": "GET_CONTAINERS", "get_containers": {"show_nested": true}});
        let shown = operate(place.agent, &show).await.text();
        let name = container["value"].as_str().unwrap();
        assert!(
            shown.contains(&format!("{{\"value\":\"{name}\"")),
            "{shown}"
        );
        let of =
            |kind: &str, field: &str| json!({"type": kind, field: {"container_id": container}});
        let early = operate(place.agent, &of("REMOVE_CONTAINER", "remove_container")).await;
        assert_eq!(early.status, 500);
        let attach = of("ATTACH_CONTAINER_OUTPUT", "attach_container_output");
        assert_eq!(operate(place.agent, &attach).await.status, 500);
        let kill = json!({"type": "KILL_CONTAINER", "kill_container": {
            "container_id": container, "signal": 15,
        }});
        assert_eq!(operate(place.agent, &kill).await.status, 200);
        assert_eq!(place.wait(&container).await, 15);
        assert_eq!(operate(place.agent, &kill).await.status, 404);
        let remove = operate(place.agent, &of("REMOVE_CONTAINER", "remove_container")).await;
        assert_eq!(remove.status, 200);
        let gone = operate(place.agent, &of("WAIT_CONTAINER", "wait_container")).await;
        assert_eq!(gone.status, 404);
    }
}

#[tokio::test]
async fn refuses_what_makes_no_sense() {
    let place = Place::new().await;
    let launch = |id: Value| {
        json!({"type": "LAUNCH_NESTED_CONTAINER_SESSION", "launch_nested_container_session": {
            "container_id": id, "command": {"shell": true, "value": "true"},
        }})
    };
    let invalid = "Failed to validate agent::Call: ";
    for (id, status, text) in [
        (
            json!({"value": "a.b", "parent": {"value": "p"}}),
            400,
            format!(
                "{invalid}'launch_nested_container_session.container_id' is invalid: 'ContainerID.value' 'a.b' contains invalid characters"
            ),
        ),
        (
            json!({"value": "a"}),
            400,
            format!(
                "{invalid}Expecting 'launch_nested_container_session.container_id.parent' to be present"
            ),
        ),
        (
            json!({"value": "a", "parent": {"value": "p"}}),
            400,
            "Parent container p does not exist".to_owned(),
        ),
    ] {
        let answer = operate(place.agent, &launch(id)).await;
        assert_eq!((answer.status, answer.text()), (status, text));
    }
    let input = place.input(&json!({"value": "nowhere"})).await;
    assert_eq!(input.end().await, "HTTP/1.1 404 Not Found");
}
