//! What masters write into ZooKeeper, and how those answer that do not lead.

use http::{StatusCode, header};
use serde_json::Value;

use crate::programs::Program;
use crate::server::{Server, in_time};

/// What the recorded group of two real masters shows; see
/// `tests/data/captures/zookeeper-detection.json`.
#[tokio::test]
async fn masters_elect_and_followers_send_on() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let client = server.client().await;
    let group = format!("zk://127.0.0.1:{}/some/mesos", server.port);
    let mut secrets = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut secrets, b"agents a-secret\n").unwrap();
    let secrets = secrets.path().to_str().unwrap();
    let master = [
        "--agents",
        "0",
        "--authenticate-agents",
        "--credentials",
        secrets,
    ];
    let first = Program::start(&group, &master);
    in_time("a leader", async {
        while first.leader().await != Some(first.master.port()) {}
    })
    .await;
    let second = Program::start(&group, &master);
    let agent = ["--agents", "1", "--agents-only", "--credential", secrets];
    let third = Program::start(&group, &agent);
    for follower in [&second, &third] {
        in_time("the leader's name", async {
            while follower.leader().await != Some(first.master.port()) {}
        })
        .await;
    }

    // The znodes are those of a real master: names, fields, and types.
    let mut children = client.list_children("/some/mesos").await.unwrap();
    children.sort();
    let expected = [
        "json.info_0000000000",
        "json.info_0000000001",
        "mesos-local-registry",
    ];
    // The sequence counts every child that ever was.
    assert_eq!(children.len(), expected.len(), "{children:?}");
    assert_eq!(children[0], expected[0]);
    assert!(
        children[1].starts_with("json.info_00000000"),
        "{children:?}"
    );
    let path = format!("/some/mesos/{}", children[0]);
    let (data, stat) = client.get_data(&path).await.unwrap();
    assert_ne!(stat.ephemeral_owner, 0);
    let info: Value = serde_json::from_slice(&data).unwrap();
    let port = first.master.port();
    assert_eq!(info["address"]["hostname"], "localhost");
    assert_eq!(info["address"]["ip"], "127.0.0.1");
    assert_eq!(info["address"]["port"], port);
    assert_eq!(info["hostname"], "localhost");
    assert_eq!(info["ip"], 16_777_343);
    assert_eq!(info["pid"], format!("master@127.0.0.1:{port}"));
    assert_eq!(info["port"], port);
    assert_eq!(info["version"], "1.12.0");
    let capabilities = &info["capabilities"];
    let kinds: Vec<&Value> = (0..3).map(|n| &capabilities[n]["type"]).collect();
    assert_eq!(kinds, ["AGENT_UPDATE", "AGENT_DRAINING", "QUOTA_V2"]);

    // Followers send on, with the path as the leader's process has it.
    for (path, there) in [
        ("/redirect", ""),
        ("/master/redirect", ""),
        ("/api/v1/scheduler", "/master/api/v1/scheduler"),
        ("/api/v1", "/master/api/v1"),
        ("/state", "/master/state"),
        ("/master/tasks?limit=1", "/master/tasks?limit=1"),
    ] {
        let answer = second.get(path).await;
        assert_eq!(answer.status, StatusCode::TEMPORARY_REDIRECT, "{path}");
        let location = &answer.headers[header::LOCATION];
        assert_eq!(*location, format!("//localhost:{port}{there}"), "{path}");
    }
    assert_eq!(
        second.get("/redirect/x").await.status,
        StatusCode::NOT_FOUND
    );
    for path in ["/health", "/version", "/metrics/snapshot"] {
        assert_eq!(second.get(path).await.status, StatusCode::OK, "{path}");
    }
    // Nobody but agents that say who they are may join.
    assert_eq!(
        first.get("/mesos-local/link").await.status,
        StatusCode::UNAUTHORIZED
    );
    // The agent of the third process is with the leader of the first.
    in_time("the agent", async {
        loop {
            let state: Value = serde_json::from_slice(&first.get("/state").await.body).unwrap();
            if state["activated_slaves"] == 1.0 {
                return;
            }
        }
    })
    .await;

    // The next one leads as soon as the leader has left; `kills` has those that
    // do not say so.
    first.stop();
    in_time("the next leader", async {
        while second.leader().await != Some(second.master.port()) {}
    })
    .await;
    in_time("the agent", async {
        loop {
            let state: Value = serde_json::from_slice(&second.get("/state").await.body).unwrap();
            if state["activated_slaves"] == 1.0 {
                // It was registered with the one before: its id stays.
                let id = state["slaves"][0]["id"].as_str().unwrap();
                assert!(!id.starts_with(state["id"].as_str().unwrap()), "{id}");
                return;
            }
        }
    })
    .await;

    // ZooKeeper crashes and comes back; whoever leads then has the agent.
    server.restart();
    in_time("a leader with the agent", async {
        loop {
            let leader = second.leader().await;
            let state = second.get("/state").await;
            let has_agent = serde_json::from_slice(&state.body)
                .is_ok_and(|state: Value| state["activated_slaves"] == 1.0);
            if leader == Some(second.master.port()) && has_agent {
                return;
            }
        }
    })
    .await;
}
