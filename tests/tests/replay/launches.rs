//! Scenes whose tasks are launched again one after the other: what is read of the
//! record, and how what is told of each task is compared.

use mesos_tests::compare::story;
use mesos_tests::fixture::Fixture;
use mesos_tests::framework::{Framework, launch};
use serde_json::Value;

/// The tasks that a scene launches, in order.
pub(crate) fn tasks(scene: &Value) -> Vec<Value> {
    let launched = |action: &Value| {
        let operations = &action["request"]["accept"]["operations"];
        Some(operations[0]["launch"]["task_infos"].as_array()?.clone())
    };
    let actions = scene["actions"].as_array().unwrap();
    actions.iter().filter_map(launched).flatten().collect()
}

pub(crate) fn task_id(task: &Value) -> &str {
    task["task_id"]["value"].as_str().unwrap()
}

/// What a stream heard.
pub(crate) fn records<'a>(scene: &'a Value, stream: &str) -> &'a [Value] {
    let records = &scene["streams"][stream]["response"]["records"];
    records.as_array().unwrap()
}

/// The states that were told of a task, in order.
pub(crate) fn states(records: &[Value], task: &str) -> Vec<String> {
    let steps = story(records).remove(task).unwrap_or_default();
    let word = |step: &String| step.split(' ').next().unwrap_or_default().to_owned();
    let mut states: Vec<String> = steps.iter().map(word).collect();
    states.dedup();
    states
}

pub(crate) async fn launch_one(f: &Framework<'_>, task: &Value) -> Value {
    let offer = f.offer().await;
    let mut task = task.clone();
    task["agent_id"] = offer["agent_id"].clone();
    let response = f.accept(&offer["id"], launch([task])).await;
    assert_eq!(response.status.as_u16(), 202, "{}", response.text());
    offer
}

/// Waits for these states and acknowledges every update until the last of them.
pub(crate) async fn follow(f: &Framework<'_>, task: &str, states: &[String]) -> Value {
    let mut last = Value::Null;
    for state in states {
        last = f.update(task, state).await;
        if last["uuid"].is_string() {
            f.acknowledge(&last).await;
        }
    }
    last
}

/// Compares stories step by step; a message may go on where the recorded ends.
pub(crate) fn check_told(
    scene: &str,
    recorded: &[Value],
    got: &[Value],
    tasks: &[Value],
    different: &[(&str, &str)],
) {
    let (recorded, got) = (story(recorded), story(got));
    let lacking = Vec::new();
    for task in tasks {
        let task = task_id(task);
        if different.iter().any(|(known, _)| *known == task) {
            continue;
        }
        let expected = &recorded[task];
        let found = got.get(task).unwrap_or(&lacking);
        assert_eq!(expected.len(), found.len(), "{scene}: {task}: {found:#?}");
        for (expected, found) in expected.iter().zip(found) {
            assert!(
                agree(expected, found),
                "{scene}: {task}: {found}\n   instead of {expected}"
            );
        }
    }
}

/// A step is words, a quoted message, and words again.
fn agree(expected: &str, found: &str) -> bool {
    let parts = |step: &str| {
        let (start, rest) = step.split_once('"').unwrap();
        let (message, end) = rest.rsplit_once('"').unwrap();
        // What an engine says of an image depends on it and on the network.
        let message = match message.split_once("stderr='") {
            Some((command, _)) => command.replace("docker -H unix://<path>", "docker -H <engine>"),
            None => message.to_owned(),
        };
        let message = message.replace("docker -H unix:<path>", "docker -H <engine>");
        (start.to_owned(), message, end.to_owned())
    };
    let (expected, found) = (parts(expected), parts(found));
    let says_more = found
        .1
        .strip_prefix(&expected.1)
        .is_some_and(|more| more.is_empty() || more.starts_with(": "));
    expected.0 == found.0 && expected.2 == found.2 && says_more
}

/// A file of a task's sandbox.
pub(crate) async fn sandbox_file(
    fixture: &Fixture,
    f: &Framework<'_>,
    task: &str,
    file: &str,
) -> String {
    let path = format!(
        "/files/download?path=/frameworks/{}/executors/{task}/runs/latest/{file}",
        f.id
    );
    let headers = http::HeaderMap::new();
    let response = fixture.transport.get(&fixture.agent, &path, headers).await;
    String::from_utf8(response.unwrap().body.into()).unwrap()
}
