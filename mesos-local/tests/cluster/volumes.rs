//! Operations of frameworks and the volumes that they make, with agents that
//! run real processes.

use std::time::Duration;

use mesos_local::{AgentSpec, Cluster};
use serde_json::{Value, json};

use crate::client::{Subscription, framework, operate, soon};
use crate::operator::{framework_of, shown, start};

pub(crate) fn volume(id: &str) -> Value {
    json!({
        "name": "disk", "type": "SCALAR", "scalar": {"value": 64.0},
        "reservations": [{"type": "DYNAMIC", "role": "db"}],
        "disk": {"persistence": {"id": id}, "volume": {"mode": "RW", "container_path": "data"}},
    })
}

pub(crate) fn reserved(name: &str, amount: f64) -> Value {
    json!({
        "name": name, "type": "SCALAR", "scalar": {"value": amount},
        "reservations": [{"type": "DYNAMIC", "role": "db"}],
    })
}

/// The statuses of operations until one of them is told to be in a state.
async fn operation(scheduler: &mut Subscription, id: &str, state: &str) -> Value {
    let event = scheduler
        .until_it(state, |event| {
            let status = &event["update_operation_status"]["status"];
            status["operation_id"]["value"] == id && status["state"] == state
        })
        .await;
    event["update_operation_status"]["status"].clone()
}

async fn accept(scheduler: &Subscription, offer: &Value, operations: Value) {
    let accept = json!({
        "offer_ids": [offer["id"]], "operations": operations, "filters": {"refuse_seconds": 0.0},
    });
    let answer = scheduler.call("ACCEPT", json!({"accept": accept})).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
}

async fn acknowledge(scheduler: &Subscription, status: &Value) {
    let acknowledge = json!({
        "agent_id": status["agent_id"],
        "operation_id": status["operation_id"],
        "uuid": status["uuid"]["value"],
    });
    let call = json!({"acknowledge_operation_status": acknowledge});
    let answer = scheduler.call("ACKNOWLEDGE_OPERATION_STATUS", call).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
}

/// The next offer that has the volume; others are of what a task just left.
async fn offer_with_volume(scheduler: &mut Subscription) -> Value {
    loop {
        let offer = scheduler.offer().await;
        if offer.to_string().contains("container_path") {
            return offer;
        }
        decline(scheduler, &offer).await;
    }
}

async fn decline(scheduler: &Subscription, offer: &Value) {
    let decline = json!({"offer_ids": [offer["id"]], "filters": {"refuse_seconds": 0.0}});
    let answer = scheduler.call("DECLINE", json!({"decline": decline})).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
}

fn writer(offer: &Value, id: &str, command: &str) -> Value {
    json!([{"type": "LAUNCH", "launch": {"task_infos": [{
        "name": id, "task_id": {"value": id}, "agent_id": offer["agent_id"],
        "command": {"value": command, "shell": true},
        "resources": [
            {"name": "cpus", "type": "SCALAR", "scalar": {"value": 0.1}},
            {"name": "mem", "type": "SCALAR", "scalar": {"value": 32.0}},
            volume("v"),
        ],
    }]}}])
}

#[tokio::test]
async fn a_volume_outlives_its_tasks_and_goes_when_it_is_destroyed() {
    let cluster = start().await;
    let mut scheduler = Subscription::open(cluster.master_address(), framework_of("db")).await;
    let offer = scheduler.offer().await;
    let make = json!([reserve("reserve"), create("create", &volume("v"))]);
    accept(&scheduler, &offer, make).await;
    let directory = cluster.work_dir().join("agent-0/volumes/roles/db/v");
    for id in ["reserve", "create"] {
        let status = operation(&mut scheduler, id, "OPERATION_FINISHED").await;
        acknowledge(&scheduler, &status).await;
    }
    assert!(directory.is_dir());
    let offer = offer_with_volume(&mut scheduler).await;
    let write = "echo kept > data/file";
    accept(&scheduler, &offer, writer(&offer, "writes", write)).await;
    scheduler.state("writes", "TASK_FINISHED").await;
    let offer = offer_with_volume(&mut scheduler).await;
    let read = "test \"$(cat data/file)\" = kept";
    accept(&scheduler, &offer, writer(&offer, "reads", read)).await;
    scheduler.state("reads", "TASK_FINISHED").await;
    assert_eq!(
        std::fs::read_to_string(directory.join("file")).unwrap(),
        "kept\n"
    );
    // Nothing is left to acknowledge.
    shown(&cluster, "GET_OPERATIONS", "no operation", |answer| {
        answer["get_operations"] == json!({})
    })
    .await;
    let offer = offer_with_volume(&mut scheduler).await;
    accept(&scheduler, &offer, destroy("destroy", &volume("v"))).await;
    operation(&mut scheduler, "destroy", "OPERATION_FINISHED").await;
    assert!(!directory.exists());
    let reconcile = json!({"reconcile_operations": {"operations": []}});
    scheduler.call("RECONCILE_OPERATIONS", reconcile).await;
    let told = operation(&mut scheduler, "destroy", "OPERATION_FINISHED").await;
    assert_eq!(told["uuid"], Value::Null);
}

fn reserve(id: &str) -> Value {
    json!({
        "type": "RESERVE", "id": {"value": id},
        "reserve": {"resources": [reserved("disk", 64.0)]},
    })
}

fn create(id: &str, volume: &Value) -> Value {
    json!({"type": "CREATE", "id": {"value": id}, "create": {"volumes": [volume]}})
}

fn destroy(id: &str, volume: &Value) -> Value {
    json!([{"type": "DESTROY", "id": {"value": id}, "destroy": {"volumes": [volume]}}])
}

#[tokio::test]
async fn an_operation_is_told_until_it_is_acknowledged_whatever_restarts() {
    let cluster = Cluster::builder()
        .agent(AgentSpec::new("cpus:8;mem:1024;disk:1024"))
        .configure(|config| config.update_retry = Duration::from_millis(200))
        .start()
        .await;
    let cluster = cluster.unwrap();
    let master = cluster.master_address();
    let mut info = framework_of("db");
    let mut scheduler = Subscription::open(master, info.clone()).await;
    let offer = scheduler.offer().await;
    let make = json!([reserve("reserve"), create("create", &volume("v"))]);
    accept(&scheduler, &offer, make).await;
    let first = operation(&mut scheduler, "create", "OPERATION_FINISHED").await;

    cluster.fail_over_master().await;
    info["id"] = json!({"value": scheduler.framework_id});
    let mut scheduler = Subscription::open(master, info).await;
    let again = operation(&mut scheduler, "create", "OPERATION_FINISHED").await;
    assert_eq!(again, first);

    cluster.kill_agent(0).await;
    cluster.start_agent(0).await;
    let again = operation(&mut scheduler, "create", "OPERATION_FINISHED").await;
    assert_eq!(again, first);
    let offer = offer_with_volume(&mut scheduler).await;
    acknowledge(&scheduler, &again).await;
    let reserved = operation(&mut scheduler, "reserve", "OPERATION_FINISHED").await;
    acknowledge(&scheduler, &reserved).await;
    let is_over = |answer: &Value| answer["get_operations"] == json!({});
    shown(&cluster, "GET_OPERATIONS", "no operation", is_over).await;
    let agent = cluster.agent_addresses()[0];
    soon("an agent without operations", async {
        loop {
            let answer = operate(agent, &json!({"type": "GET_OPERATIONS"})).await;
            if is_over(&answer.json()) {
                return;
            }
        }
    })
    .await;
    // What is acknowledged is known no more.
    let asked = json!([
        {"operation_id": {"value": "create"}, "agent_id": offer["agent_id"]},
    ]);
    let reconcile = json!({"reconcile_operations": {"operations": asked}});
    scheduler.call("RECONCILE_OPERATIONS", reconcile).await;
    let told = operation(&mut scheduler, "create", "OPERATION_UNKNOWN").await;
    assert_eq!(told["message"], "Reconciliation: Operation is unknown");
}

#[tokio::test]
async fn a_shared_volume_has_many_users_and_stays_while_it_has_one() {
    let cluster = start().await;
    let mut info = framework("sharing");
    info["roles"] = json!(["db"]);
    let capabilities = info["capabilities"].as_array_mut().expect("a list");
    capabilities.push(json!({"type": "SHARED_RESOURCES"}));
    let mut scheduler = Subscription::open(cluster.master_address(), info).await;
    let mut shared = volume("v");
    shared["shared"] = json!({});
    let offer = scheduler.offer().await;
    let make = json!([reserve("reserve"), create("create", &shared)]);
    accept(&scheduler, &offer, make).await;
    for id in ["reserve", "create"] {
        let status = operation(&mut scheduler, id, "OPERATION_FINISHED").await;
        acknowledge(&scheduler, &status).await;
    }
    let using = |offer: &Value, id: &str, command: &str| {
        let mut launch = writer(offer, id, command);
        launch[0]["launch"]["task_infos"][0]["resources"][2] = shared.clone();
        launch
    };
    let offer = offer_with_volume(&mut scheduler).await;
    let waits = "until test -e data/file; do sleep 0.05; done; touch seen; sleep 1000";
    accept(&scheduler, &offer, using(&offer, "waits", waits)).await;
    scheduler.state("waits", "TASK_RUNNING").await;
    let offer = offer_with_volume(&mut scheduler).await;
    let writes = using(&offer, "writes", "touch data/file");
    accept(&scheduler, &offer, writes).await;
    scheduler.state("writes", "TASK_FINISHED").await;
    let offer = offer_with_volume(&mut scheduler).await;
    accept(&scheduler, &offer, destroy("too early", &shared)).await;
    let refused = operation(&mut scheduler, "too early", "OPERATION_ERROR").await;
    let message = refused["message"].as_str().unwrap_or_default();
    assert!(message.contains("in use"), "{message}");
    let directory = cluster.work_dir().join("agent-0/volumes/roles/db/v");
    assert!(directory.join("file").exists());
    let kill = json!({"kill": {"task_id": {"value": "waits"}}});
    scheduler.call("KILL", kill).await;
    scheduler.state("waits", "TASK_KILLED").await;
    let offer = offer_with_volume(&mut scheduler).await;
    accept(&scheduler, &offer, destroy("destroy", &shared)).await;
    operation(&mut scheduler, "destroy", "OPERATION_FINISHED").await;
    assert!(!directory.exists());
}
