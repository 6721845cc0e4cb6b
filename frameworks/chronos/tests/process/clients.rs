//! The requests that clients of either generation make, byte for byte what
//! matters of them, and what they read in the answers.

use serde_json::{Value, json};

use crate::client::Answer;
use crate::instance::Instance;

/// What such a client makes of an answer: an error, nothing, or a value.
fn read(answer: &Answer) -> Result<Option<Value>, String> {
    let payload = match serde_json::from_str(&answer.body) {
        Ok(value) => Some(value),
        Err(_) if answer.body.is_empty() => None,
        Err(_) => Some(Value::String(answer.body.clone())),
    };
    if payload.is_none() && answer.status != 204 {
        return Err(format!("no body with {}", answer.status));
    }
    if answer.status >= 400 {
        let message = payload.as_ref().map(|it| it["message"].clone());
        return Err(message.unwrap_or_default().to_string());
    }
    Ok(payload)
}

/// Everything that a client of a generation offers, in turn.
async fn all_of(prefix: &str, verb_of_updates: &str, is_older: bool) {
    let chronos = Instance::start(&["--master", "local"]).await;
    let client = chronos.client;
    let call = async |method: &str, path: &str, body: Option<&Value>| {
        let headers = match body {
            Some(_) => "content-type: application/json\r\naccept-encoding: gzip, deflate\r\n",
            None => "user-agent: Python-httplib2/0.22.0 (gzip)\r\n",
        };
        let body = body.map(Value::to_string).unwrap_or_default();
        let path = format!("{prefix}{path}");
        let answer = client.try_ask(method, &path, headers, &body).await.unwrap();
        read(&answer)
    };
    let mut job = json!({
        "command": "echo 1", "name": "test chronos job with spaces", "owner": "",
        "disabled": false, "schedule": "R0/2014-01-01T00:00:00Z/PT60M",
    });
    if is_older {
        job["async"] = false.into();
        job["epsilon"] = "PT60S".into();
    }
    let path = "/scheduler/iso8601";
    assert_eq!(call("POST", path, Some(&job)).await, Ok(None));
    job["name"] = "myjob".into();
    assert_eq!(call("POST", path, Some(&job)).await, Ok(None));

    // A job as it is read has what a client checks before it sends it back.
    let jobs = call("GET", "/scheduler/jobs", None).await.unwrap().unwrap();
    let mut read_back = jobs[0].clone();
    for field in ["command", "name", "owner", "disabled", "async", "schedule"] {
        assert!(!read_back[field].is_null(), "{field}");
    }
    assert!(read_back.get("parents").is_none());
    assert_eq!(read_back["schedule"], job["schedule"]);
    assert_eq!(
        call(verb_of_updates, path, Some(&read_back)).await,
        Ok(None)
    );
    let again = call("GET", "/scheduler/jobs", None).await.unwrap().unwrap();
    assert_eq!(again, jobs);
    read_back["description"] = "changed".into();
    assert_eq!(
        call(verb_of_updates, path, Some(&read_back)).await,
        Ok(None)
    );
    let again = call("GET", "/scheduler/jobs", None).await.unwrap().unwrap();
    assert_eq!(again[0], read_back);

    let child = json!({
        "command": "echo 2", "name": "child", "owner": "", "disabled": false, "async": false,
        "parents": ["myjob"],
    });
    let dependency = "/scheduler/dependency";
    assert_eq!(call("POST", dependency, Some(&child)).await, Ok(None));
    assert_eq!(
        call(verb_of_updates, dependency, Some(&child)).await,
        Ok(None)
    );

    let found = call("GET", "/scheduler/jobs/search?name=myjob", None).await;
    assert_eq!(found.unwrap().unwrap()[0]["name"], "myjob");
    let found = call("GET", "/scheduler/jobs/search?command=echo+1", None).await;
    assert_eq!(found.unwrap().unwrap().as_array().unwrap().len(), 2);
    let stat = call("GET", "/scheduler/job/stat/myjob", None)
        .await
        .unwrap()
        .unwrap();
    let fresh = json!({
        "histogram": {
            "median": 0.0, "98thPercentile": 0.0, "75thPercentile": 0.0, "95thPercentile": 0.0,
            "99thPercentile": 0.0, "count": 0, "mean": 0.0,
        },
        "taskStatHistory": [],
    });
    assert_eq!(stat, fresh);
    for name in [
        "99thPercentile",
        "98thPercentile",
        "95thPercentile",
        "75thPercentile",
    ] {
        let path = format!("/scheduler/stats/{name}");
        let stats = call("GET", &path, None).await.unwrap().unwrap();
        assert_eq!(stats.as_array().unwrap().len(), 3);
        assert_eq!(stats[1], json!({"jobNameLabel": "myjob", "time": 0.0}));
    }
    let graph = call("GET", "/scheduler/graph/csv", None)
        .await
        .unwrap()
        .unwrap();
    let graph = graph.as_str().unwrap();
    assert_eq!(graph.lines().count(), 4, "{graph}");
    assert_eq!(graph.lines().last(), Some("link,myjob,child"));
    let leader = call("GET", "/scheduler/leader", None)
        .await
        .unwrap()
        .unwrap();
    let name = format!("127.0.0.1:{}", client.server.port());
    assert_eq!(leader, json!({ "leader": name }));

    // It runs by hand though its count is used up, and its child after it.
    assert_eq!(call("PUT", "/scheduler/job/myjob", None).await, Ok(None));
    let path = format!("{prefix}/scheduler/jobs");
    let is_done = |jobs: &Value| jobs[0]["name"] == "child" && jobs[0]["successCount"] == 1;
    client.until(&path, "run by hand", is_done).await;
    assert_eq!(
        call("DELETE", "/scheduler/task/kill/myjob", None).await,
        Ok(None)
    );
    let name = "/scheduler/job/test%20chronos%20job%20with%20spaces";
    assert_eq!(call("DELETE", name, None).await, Ok(None));
    let error = call("DELETE", name, None).await.unwrap_err();
    assert!(error.contains("there is no job"), "{error}");
    let wrong = json!({"name": "x", "command": "x", "schedule": "R/soon/PT1S"});
    let error = call("POST", "/scheduler/iso8601", Some(&wrong))
        .await
        .unwrap_err();
    assert!(error.contains("schedule"), "{error}");
    let metrics = client.get("/metrics").await;
    assert!(metrics["version"].is_string() && metrics["gauges"].is_object());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_the_second_generation_works() {
    all_of("", "PUT", true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_the_third_generation_works() {
    all_of("/v1", "POST", false).await;
}
