//! What operators change, over HTTP, with agents that run real processes.

use std::path::Path;
use std::time::Duration;

use mesos_local::{AgentSpec, Cluster};
use serde_json::{Value, json};

use crate::client::{Subscription, exchange, framework, get, operate, soon};
use crate::volumes::{reserved, volume};

pub(crate) async fn start() -> Cluster {
    Cluster::builder()
        .agent(AgentSpec::new("cpus:8;mem:1024;disk:1024"))
        .start()
        .await
        .expect("a cluster")
}

pub(crate) fn framework_of(role: &str) -> Value {
    let mut info = framework("operated");
    info["roles"] = json!([role]);
    info
}

/// Reads on until operators are shown what is expected.
pub(crate) async fn shown(
    cluster: &Cluster,
    kind: &str,
    what: &str,
    is_it: impl Fn(&Value) -> bool,
) -> Value {
    soon(what, async {
        loop {
            let answer = operate(cluster.master_address(), &json!({"type": kind})).await;
            let answer = answer.json();
            if is_it(&answer) {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
}

#[tokio::test]
async fn an_agent_is_drained_and_active_again() {
    let cluster = start().await;
    let master = cluster.master_address();
    let mut scheduler = Subscription::open(master, framework_of("*")).await;
    let offer = scheduler.offer().await;
    scheduler.launch(&offer, "stays", "sleep 1000").await;
    scheduler.state("stays", "TASK_RUNNING").await;
    let agent_id = &offer["agent_id"];
    let drain = json!({"type": "DRAIN_AGENT", "drain_agent": {
        "agent_id": agent_id, "max_grace_period": {"seconds": 2},
    }});
    let answer = operate(master, &drain).await;
    assert_eq!((answer.status, answer.text()), (200, String::new()));
    let killing = scheduler.state("stays", "TASK_KILLING").await;
    assert_eq!(killing["reason"], "REASON_AGENT_DRAINING");
    let killed = scheduler.state("stays", "TASK_KILLED").await;
    assert_eq!(killed["reason"], "REASON_AGENT_DRAINING");
    let agents = shown(&cluster, "GET_AGENTS", "the end of draining", |answer| {
        answer["get_agents"]["agents"][0]["drain_info"]["state"] == "DRAINED"
    })
    .await;
    assert_eq!(agents["get_agents"]["agents"][0]["active"], false);
    let reactivate =
        json!({"type": "REACTIVATE_AGENT", "reactivate_agent": {"agent_id": agent_id}});
    assert_eq!(operate(master, &reactivate).await.status, 200);
    let again = scheduler
        .until_it("an offer of all of it", |event| {
            let resources = &event["offers"]["offers"][0]["resources"];
            resources.to_string().contains(r#""value":8.0"#)
        })
        .await;
    assert_eq!(again["offers"]["offers"][0]["agent_id"], *agent_id);
    let answer = operate(master, &reactivate).await;
    assert_eq!(
        (answer.status, answer.text()),
        (400, "Agent is not deactivated".to_owned())
    );
}

#[tokio::test]
async fn an_agent_that_is_gone_ends() {
    let cluster = start().await;
    let master = cluster.master_address();
    let mut scheduler = Subscription::open(master, framework_of("*")).await;
    let offer = scheduler.offer().await;
    scheduler.launch(&offer, "goes", "sleep 1000").await;
    scheduler.state("goes", "TASK_RUNNING").await;
    let gone =
        json!({"type": "MARK_AGENT_GONE", "mark_agent_gone": {"agent_id": offer["agent_id"]}});
    assert_eq!(operate(master, &gone).await.status, 200);
    let status = scheduler.state("goes", "TASK_GONE_BY_OPERATOR").await;
    assert_eq!(status["reason"], "REASON_AGENT_REMOVED_BY_OPERATOR");
    let failure = scheduler.until("FAILURE").await;
    assert_eq!(failure["failure"]["agent_id"], offer["agent_id"]);
    assert_eq!(operate(master, &gone).await.status, 200);
}

fn form(pairs: &[(&str, &str)]) -> String {
    let quote =
        |text: &str| -> String { text.bytes().map(|byte| format!("%{byte:02X}")).collect() };
    let pairs = pairs
        .iter()
        .map(|(name, value)| format!("{name}={}", quote(value)));
    pairs.collect::<Vec<_>>().join("&")
}

#[tokio::test]
async fn the_older_endpoints_change_what_the_calls_change() {
    let cluster = start().await;
    let master = cluster.master_address();
    let agents = shown(&cluster, "GET_AGENTS", "an agent", |answer| {
        answer["get_agents"]["agents"][0]["agent_info"]["id"].is_object()
    })
    .await;
    let agent = agents["get_agents"]["agents"][0]["agent_info"]["id"]["value"].clone();
    let agent = agent.as_str().unwrap();
    let send = |method: &'static str, path: &'static str, body: String| async move {
        let answer = exchange(master, method, path, &[], body.as_bytes()).await;
        (answer.status, answer.text())
    };
    // Weights.
    let weights = r#"[{"role":"db","weight":2.5}]"#;
    let answer = send("PUT", "/weights", weights.to_owned()).await;
    assert_eq!(answer, (200, String::new()));
    let shown = get(master, "/weights").await.json();
    assert_eq!(shown, json!([{"role": "db", "weight": 2.5}]));
    let answer = send("DELETE", "/weights", String::new()).await;
    let text = "405 Method Not Allowed. Expecting one of { 'GET', 'PUT' }, but received 'DELETE'.";
    assert_eq!(answer, (405, text.to_owned()));
    // Quota.
    let quota = json!({"role": "db", "guarantee": [
        {"name": "cpus", "type": "SCALAR", "scalar": {"value": 1.0}},
    ]});
    assert_eq!(send("POST", "/quota", quota.to_string()).await.0, 200);
    let roles = get(master, "/roles").await.json();
    assert_eq!(
        roles["roles"][0]["quota"]["guarantee"],
        json!({"cpus": 1.0})
    );
    assert_eq!(roles["roles"][0]["weight"], json!(2.5));
    assert_eq!(send("DELETE", "/quota/db", String::new()).await.0, 200);
    assert_eq!(get(master, "/quota").await.json(), json!({}));
    // Reservations and volumes.
    let resources = json!([reserved("disk", 64.0)]).to_string();
    let body = form(&[("slaveId", agent), ("resources", &resources)]);
    let answer = send("POST", "/reserve", body.clone()).await;
    assert_eq!(answer, (202, String::new()));
    let volumes = json!([volume("old")]).to_string();
    let volumes = form(&[("slaveId", agent), ("volumes", &volumes)]);
    let answer = send("POST", "/create-volumes", volumes.clone()).await;
    assert_eq!(answer, (202, String::new()));
    let directory = cluster.work_dir().join("agent-0/volumes/roles/db/old");
    let is_there = |is_there: bool| wait_for(&directory, is_there);
    is_there(true).await;
    assert_eq!(send("POST", "/destroy-volumes", volumes).await.0, 202);
    is_there(false).await;
    assert_eq!(send("POST", "/unreserve", body).await.0, 202);
    let answer = send("POST", "/unreserve", form(&[("slaveId", agent)])).await;
    let text = "Missing 'resources' query parameter in the request body";
    assert_eq!(answer, (400, text.to_owned()));
    // Maintenance.
    let machine = json!({"hostname": "localhost", "ip": cluster.agent_addresses()[0].ip()});
    let schedule = json!({"windows": [{
        "machine_ids": [machine], "unavailability": {"start": {"nanoseconds": 1}},
    }]});
    let answer = send("POST", "/maintenance/schedule", schedule.to_string()).await;
    assert_eq!(answer, (200, String::new()));
    assert_eq!(get(master, "/maintenance/schedule").await.json(), schedule);
    let machines = json!([machine]).to_string();
    assert_eq!(send("POST", "/machine/up", machines.clone()).await.0, 400);
    assert_eq!(send("POST", "/machine/down", machines.clone()).await.0, 200);
    let status = get(master, "/maintenance/status").await.json();
    assert_eq!(status, json!({"down_machines": [machine]}));
    assert_eq!(send("POST", "/machine/up", machines).await.0, 200);
    assert_eq!(get(master, "/maintenance/status").await.json(), json!({}));
}

async fn wait_for(directory: &Path, is_there: bool) {
    soon("a change of the disk", async {
        while directory.exists() != is_there {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn logging_is_louder_for_a_while() {
    let cluster = start().await;
    let master = cluster.master_address();
    let set = |nanoseconds: u64| {
        json!({"type": "SET_LOGGING_LEVEL", "set_logging_level": {
            "level": 2, "duration": {"nanoseconds": nanoseconds},
        }})
    };
    let hour = 3_600_000_000_000;
    assert_eq!(operate(master, &set(hour)).await.status, 200);
    let level = |answer: &Value| answer["get_logging_level"]["level"].clone();
    let read = json!({"type": "GET_LOGGING_LEVEL"});
    assert_eq!(level(&operate(master, &read).await.json()), json!(2));
    assert_eq!(operate(master, &set(1)).await.status, 200);
    shown(&cluster, "GET_LOGGING_LEVEL", "the usual level", |answer| {
        level(answer) == json!(0)
    })
    .await;
    let log = json!({"type": "READ_FILE", "read_file": {"path": "/master/log", "offset": 0}});
    let answer = operate(master, &log).await.json();
    assert_eq!(answer["read_file"], json!({"size": 0, "data": ""}));
    let other = json!({"type": "READ_FILE", "read_file": {"path": "/etc/passwd", "offset": 0}});
    assert_eq!(operate(master, &other).await.status, 404);
}
