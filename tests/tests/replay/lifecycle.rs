//! The lives of tasks and of a framework.

use mesos_tests::fixture::Fixture;
use mesos_tests::framework::{Framework, framework_info, launch, resources, task};
use serde_json::{Value, json};

use crate::group::{Group, check_story};

pub(crate) const LIFECYCLE: &[&str] = &[
    "accept-bad-task-id",
    "accept-duplicate-task-id",
    "accept-launch",
    "accept-negative-resource",
    "accept-no-command",
    "accept-no-operations",
    "accept-no-resources",
    "accept-overcommit",
    "accept-stale-offer",
    "accept-unknown-offer",
    "accept-wrong-agent",
    "ack-again-task_running",
    "ack-again-task_starting",
    "ack-bad-uuid",
    "ack-task_running",
    "ack-task_starting",
    "ack-unknown",
    "call-after-teardown",
    "call-on-old-stream",
    "decline",
    "decline-unknown",
    "kill",
    "kill-unknown",
    "message-unknown",
    "missing-stream-id",
    "reconcile-explicit",
    "reconcile-implicit",
    "reconcile-unknown",
    "request",
    "revive",
    "shutdown-executor",
    "stream-after-teardown",
    "stream-failover",
    "stream-lifecycle",
    "subscribe-unknown-framework-id",
    "suppress",
    "teardown",
    "wrong-stream-id",
];

in_both_encodings!(the_life_of_tasks_and_of_a_framework);

async fn the_life_of_tasks_and_of_a_framework(fixture: Fixture) {
    let group = Group::new(LIFECYCLE);
    let f = Framework::subscribe(&fixture, framework_info("lifecycle"), None).await;

    // A task that ends by itself.
    let offer = f.offer().await;
    let operations = launch([task(&offer, "task-life", "echo hello; sleep 0.1")]);
    group.check("accept-launch", &f.accept(&offer["id"], operations).await);
    for state in ["TASK_STARTING", "TASK_RUNNING"] {
        let status = f.update("task-life", state).await;
        let state = state.to_lowercase();
        group.check(&format!("ack-{state}"), &f.acknowledge(&status).await);
        group.check(&format!("ack-again-{state}"), &f.acknowledge(&status).await);
    }
    f.follow("task-life", &["TASK_FINISHED"]).await;
    // Failures.
    f.launch(|offer| task(offer, "task-exit-3", "exit 3")).await;
    f.follow(
        "task-exit-3",
        &["TASK_STARTING", "TASK_RUNNING", "TASK_FAILED"],
    )
    .await;
    f.launch(|offer| {
        let mut task = task(offer, "task-no-command", "");
        task["command"] = json!({"shell": false, "value": "/no/such/program", "arguments": ["x"]});
        task
    })
    .await;
    f.follow(
        "task-no-command",
        &["TASK_STARTING", "TASK_RUNNING", "TASK_FAILED"],
    )
    .await;

    // Reconciliation and killing.
    let offer = f
        .launch(|offer| task(offer, "task-kill", "sleep 1000"))
        .await;
    let agent_id = offer["agent_id"].clone();
    f.follow("task-kill", &["TASK_STARTING", "TASK_RUNNING"])
        .await;
    let count = || {
        f.stream
            .records
            .all()
            .iter()
            .filter(|r| r["update"]["status"]["reason"] == "REASON_RECONCILIATION")
            .count()
    };
    let reconcile =
        |tasks: Value| f.send(json!({"type": "RECONCILE", "reconcile": {"tasks": tasks}}));
    let known = json!([{"task_id": {"value": "task-kill"}, "agent_id": agent_id}]);
    group.check("reconcile-explicit", &reconcile(known).await);
    f.stream
        .records
        .wait("an answer", |_| (count() == 1).then_some(()))
        .await;
    group.check("reconcile-implicit", &reconcile(json!([])).await);
    f.stream
        .records
        .wait("an answer", |_| (count() == 2).then_some(()))
        .await;
    let ghosts = json!([
        {"task_id": {"value": "ghost"}},
        {"task_id": {"value": "ghost2"}, "agent_id": {"value": "no-such-agent"}},
        {"task_id": {"value": "ghost3"}, "agent_id": agent_id},
    ]);
    group.check("reconcile-unknown", &reconcile(ghosts).await);
    f.stream
        .records
        .wait("answers", |_| (count() == 5).then_some(()))
        .await;
    let kill =
        json!({"type": "KILL", "kill": {"task_id": {"value": "task-kill"}, "agent_id": agent_id}});
    group.check("kill", &f.send(kill).await);
    f.follow("task-kill", &["TASK_KILLING", "TASK_KILLED"])
        .await;
    let kill = json!({"type": "KILL", "kill": {"task_id": {"value": "ghost"}}});
    group.check("kill-unknown", &f.send(kill).await);
    f.stream
        .records
        .wait("an answer", |_| (count() == 6).then_some(()))
        .await;

    refused_launches(&group, &f).await;
    calls_of_all_kinds(&group, &fixture, &f).await;
    let recorded = group.read("stream-lifecycle");
    let tasks = [
        "task-life",
        "task-exit-3",
        "task-no-command",
        "task-kill",
        "ghost",
        "ghost2",
        "ghost3",
        "task-too-big",
        "task-stale-offer",
        "task-bad-offer",
        "bad/id",
        "task-other-agent",
        "task-no-resources",
        "task-no-command-nor-executor",
        "x",
    ];
    check_story(
        "stream-lifecycle",
        &recorded,
        &f.stream.records.all(),
        &tasks,
    );

    let (_, number) = f.id.rsplit_once('-').unwrap();
    let number = number.to_owned();
    failover(&group, &fixture, f).await;
    teardown(&group, &fixture, &number).await;
    group.all_used();
}

async fn refused_launches(group: &Group, f: &Framework<'_>) {
    let refused = |name: &'static str, make: fn(&Value) -> Value, state: &'static str| async move {
        let offer = f.offer().await;
        let task = make(&offer);
        let id = task["task_id"]["value"].as_str().unwrap().to_owned();
        group.check(name, &f.accept(&offer["id"], launch([task])).await);
        f.update(&id, state).await;
        offer
    };
    let too_big = |offer: &Value| {
        with(
            offer,
            "task-too-big",
            "resources",
            resources(10_000.0, 32.0),
        )
    };
    let offer = refused("accept-overcommit", too_big, "TASK_ERROR").await;
    let stale = task(&offer, "task-stale-offer", "true");
    group.check(
        "accept-stale-offer",
        &f.accept(&offer["id"], launch([stale])).await,
    );
    f.update("task-stale-offer", "TASK_DROPPED").await;
    let unknown = task(&offer, "task-bad-offer", "true");
    group.check(
        "accept-unknown-offer",
        &f.accept(&json!({"value": "no-such-offer"}), launch([unknown]))
            .await,
    );
    f.update("task-bad-offer", "TASK_DROPPED").await;
    refused(
        "accept-bad-task-id",
        |offer| task(offer, "bad/id", "true"),
        "TASK_ERROR",
    )
    .await;
    let other = |offer: &Value| {
        with(
            offer,
            "task-other-agent",
            "agent_id",
            json!({"value": "other-agent"}),
        )
    };
    refused("accept-wrong-agent", other, "TASK_ERROR").await;
    refused(
        "accept-no-resources",
        |offer| with(offer, "task-no-resources", "resources", json!([])),
        "TASK_ERROR",
    )
    .await;
    let nothing = |offer: &Value| {
        let mut task = task(offer, "task-no-command-nor-executor", "true");
        task.as_object_mut().unwrap().remove("command");
        task
    };
    refused("accept-no-command", nothing, "TASK_ERROR").await;
    let negative = |offer: &Value| {
        with(
            offer,
            "x",
            "resources",
            json!([{"name": "cpus", "type": "SCALAR", "scalar": {"value": -1}}]),
        )
    };
    refused("accept-negative-resource", negative, "TASK_ERROR").await;
    let offer = f.offer().await;
    let twice = launch([
        task(&offer, "task-dup", "sleep 1000"),
        task(&offer, "task-dup", "sleep 1000"),
    ]);
    group.check(
        "accept-duplicate-task-id",
        &f.accept(&offer["id"], twice).await,
    );
    f.update("task-dup", "TASK_ERROR").await;
    f.update("task-dup", "TASK_STARTING").await;
    let offer = f.offer().await;
    group.check(
        "accept-no-operations",
        &f.accept(&offer["id"], json!([])).await,
    );
}

fn with(offer: &Value, id: &str, field: &str, value: Value) -> Value {
    let mut task = task(offer, id, "true");
    task[field] = value;
    task
}

async fn calls_of_all_kinds(group: &Group, fixture: &Fixture, f: &Framework<'_>) {
    let offer = f.offer().await;
    let decline = json!({"type": "DECLINE", "decline": {"offer_ids": [offer["id"]], "filters": {"refuse_seconds": 1.0}}});
    group.check("decline", &f.send(decline).await);
    let decline = json!({"type": "DECLINE", "decline": {"offer_ids": [{"value": "nope"}]}});
    group.check("decline-unknown", &f.send(decline).await);
    group.check("suppress", &f.send(json!({"type": "SUPPRESS"})).await);
    group.check("revive", &f.send(json!({"type": "REVIVE"})).await);
    let acknowledge = |uuid: &str| json!({"type": "ACKNOWLEDGE", "acknowledge": {"agent_id": {"value": "nope"}, "task_id": {"value": "nope"}, "uuid": uuid}});
    group.check(
        "ack-unknown",
        &f.send(acknowledge("AAAAAAAAAAAAAAAAAAAAAA==")).await,
    );
    group.check("ack-bad-uuid", &f.send(acknowledge("c2hvcnQ=")).await);
    let other = "3ae15b53-9a37-4dda-b58b-c25f4b178123";
    group.check(
        "wrong-stream-id",
        &f.send_on(other, json!({"type": "REVIVE"})).await,
    );
    let revive = json!({"type": "REVIVE", "framework_id": {"value": f.id}});
    group.check("missing-stream-id", &fixture.call(None, &revive).await);
    let message = json!({"type": "MESSAGE", "message": {"agent_id": {"value": "nope"}, "executor_id": {"value": "nope"}, "data": "aGk="}});
    group.check("message-unknown", &f.send(message).await);
    group.check(
        "request",
        &f.send(json!({"type": "REQUEST", "request": {"requests": []}}))
            .await,
    );
}

async fn failover(group: &Group, fixture: &Fixture, f: Framework<'_>) {
    f.launch(|offer| task(offer, "task-survives", "sleep 1000"))
        .await;
    f.follow("task-survives", &["TASK_STARTING", "TASK_RUNNING"])
        .await;
    let second = Framework::subscribe(fixture, framework_info("lifecycle"), Some(&f.id)).await;
    f.stream.records.closed().await;
    let last = f.stream.records.all().pop();
    assert_eq!(
        last,
        Some(json!({"type": "ERROR", "error": {"message": "Framework failed over"}}))
    );
    group.check(
        "call-on-old-stream",
        &f.send(json!({"type": "REVIVE"})).await,
    );
    // What the first one did not acknowledge comes at once.
    second.update("task-dup", "TASK_STARTING").await;
    second
        .send(json!({"type": "RECONCILE", "reconcile": {"tasks": []}}))
        .await;
    let running = second.update("task-survives", "TASK_RUNNING").await;
    let shutdown = json!({"type": "SHUTDOWN", "shutdown": {"executor_id": {"value": "task-survives"}, "agent_id": running["agent_id"]}});
    group.check("shutdown-executor", &second.send(shutdown).await);
    second.update("task-survives", "TASK_KILLING").await;
    let recorded = group.read("stream-failover");
    check_story(
        "stream-failover",
        &recorded,
        &second.stream.records.all(),
        &["task-survives", "task-dup"],
    );
    assert_eq!(
        second
            .send(json!({"type": "TEARDOWN"}))
            .await
            .status
            .as_u16(),
        202
    );
}

async fn teardown(group: &Group, fixture: &Fixture, number: &str) {
    // An id that the master has never seen is taken as one from before it. It
    // has a number that no dialogue with this master had.
    let unknown = group.read("subscribe-unknown-framework-id");
    let id = unknown["request"]["body"]["framework_id"]["value"].as_str();
    let (start, end) = id.unwrap().rsplit_once('-').unwrap();
    let id = format!("{start}-{number:0>width$}", width = end.len());
    let f = Framework::subscribe(fixture, framework_info("unknown-id"), Some(&id)).await;
    assert_eq!(f.id, id);
    group.check("teardown", &f.send(json!({"type": "TEARDOWN"})).await);
    f.stream.records.closed().await;
    let kinds = |records: &Value| -> Vec<String> {
        let kinds = records
            .as_array()
            .unwrap()
            .iter()
            .map(|r| r["type"].as_str().unwrap().to_owned());
        kinds.filter(|kind| kind != "OFFERS").collect()
    };
    let recorded = group.read("stream-after-teardown");
    assert_eq!(
        kinds(&json!(f.stream.records.all())),
        kinds(&recorded["response"]["records"])
    );
    group.check(
        "call-after-teardown",
        &f.send(json!({"type": "REVIVE"})).await,
    );
}
