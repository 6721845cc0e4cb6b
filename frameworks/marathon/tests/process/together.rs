//! Three of them over a real ZooKeeper: one leads, the others answer for it, and
//! when it is killed the next one goes on with all that was answered.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::instance::{Instance, PATIENCE};
use crate::server::Server;
use crate::world::World;

fn line(world: &World, server: &Server) -> String {
    format!(
        "--master {} --zk zk://127.0.0.1:{}/marathon --zk_session_timeout 4000 \
         --decline_offer_duration 1000",
        world.master(),
        server.port
    )
}

/// The one that leads, as all of them say.
async fn leader(instances: &[Instance]) -> usize {
    let start = Instant::now();
    loop {
        let mut said = Vec::new();
        for instance in instances {
            let answer = instance.client.try_request("GET", "/v2/leader", None).await;
            if let Ok((200, body)) = answer {
                said.push(serde_json::from_str::<Value>(&body).unwrap()["leader"].clone());
            }
        }
        said.dedup();
        let named = |it: &Instance| said == [json!(it.address.to_string())];
        if let Some(index) = instances.iter().position(named) {
            return index;
        }
        assert!(start.elapsed() < PATIENCE, "they say {said:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn the_leader_is_killed_under_a_stream_of_posts() {
    let Some(mut server) = Server::start() else {
        return;
    };
    server.client().await;
    let world = World::new().await;
    let line = line(&world, &server);
    let mut instances: Vec<Instance> = (0..3).map(|_| Instance::start(&line)).collect();
    let mut answered: Vec<String> = Vec::new();
    let mut framework = None;
    while instances.len() > 1 {
        let leads = leader(&instances).await;
        for instance in &instances {
            post(instance, &world, &mut answered).await;
        }
        // The next one is asked by whoever answers; killed in the middle of it.
        let mut gone = instances.remove(leads);
        let (begun, posting) = tokio::sync::oneshot::channel();
        let killing = async {
            posting.await.unwrap();
            gone.kill();
            Instant::now()
        };
        let posts = async {
            let mut begun = Some(begun);
            let number = answered.len() + 20;
            while answered.len() < number {
                let next = answered.len() % instances.len();
                if answered.len() + 10 == number
                    && let Some(begun) = begun.take()
                {
                    begun.send(()).unwrap();
                }
                post(&instances[next], &world, &mut answered).await;
            }
            Instant::now()
        };
        let (killed, done) = tokio::join!(killing, posts);
        println!(
            "ten more posts {:?} after the leader was killed",
            done - killed
        );
        // The session's timeout, and some seconds on a machine that is busy.
        assert!(done - killed < Duration::from_secs(60));
        let id = instances[0].get("/v2/info").await["frameworkId"].clone();
        assert_eq!(*framework.get_or_insert(id.clone()), id);
        for id in &answered {
            let (status, app) = instances[0].client.get(&format!("/v2/apps{id}")).await;
            assert_eq!(status, 200, "{id}: {app}");
        }
    }
    let is_done = |it: &Value| *it == json!([]);
    instances[0].until("/v2/deployments", "done", is_done).await;
    let frameworks = world.frameworks().await;
    let expected = (
        framework.unwrap().as_str().unwrap().to_owned(),
        answered.len(),
    );
    assert_eq!(frameworks, [expected].into());
    assert!(world.begun().values().all(|times| *times == 1));

    // A moment without ZooKeeper changes nothing, and a long one ends it.
    server.restart();
    post(&instances[0], &world, &mut answered).await;
    assert_eq!(leader(&instances).await, 0);
    drop(server);
    let status = instances[0].end().await;
    assert_eq!(status.code(), Some(103), "{:?}", instances[0].said());
}

/// Makes the next app; asks again as long as there is no answer.
async fn post(instance: &Instance, world: &World, answered: &mut Vec<String>) {
    let id = format!("/stream/{}", answered.len());
    let body = world.app(&id, 1).to_string();
    let start = Instant::now();
    let mut failures = 0;
    loop {
        let answer = instance.client.try_request("POST", "/v2/apps", Some(&body));
        match answer.await {
            Ok((201, _)) => break,
            // Made, and not answered.
            Ok((409, text)) if failures > 0 && text.contains("already exists") => break,
            answer => {
                failures += 1;
                let is_between = matches!(answer, Err(_) | Ok((500.., _)));
                assert!(is_between && start.elapsed() < PATIENCE, "{id}: {answer:?}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
    answered.push(id);
}

#[tokio::test]
async fn followers_answer_for_the_leader() {
    let Some(server) = Server::start() else {
        return;
    };
    server.client().await;
    let world = World::new().await;
    let line = format!(
        "{} --leader_proxy_read_timeout 60000",
        line(&world, &server)
    );
    let mut instances: Vec<Instance> = (0..2).map(|_| Instance::start(&line)).collect();
    let leads = leader(&instances).await;
    let leader = instances.remove(leads);
    let follower = instances.remove(0);
    let ask = async |instance: &Instance, path: &str, headers: &str| {
        instance
            .client
            .exchange("GET", path, headers, None)
            .await
            .unwrap()
    };
    let named = format!("X-Marathon-Leader: http://{}", leader.address).to_lowercase();
    for instance in [&leader, &follower] {
        let (status, head, body) = ask(instance, "/v2/info", "").await;
        assert_eq!(status, 200);
        assert!(head.to_lowercase().contains(&named), "{head}");
        let info: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(info["leader"], leader.address.to_string());
        assert_eq!(info["elected"], true);
        let zk = format!("zk://127.0.0.1:{}/marathon", server.port);
        assert_eq!(info["zookeeper_config"]["zk"], zk.as_str());
    }
    for path in ["/ping", "/metrics", "/v2/apps", "/api-console/index.html"] {
        assert_eq!(ask(&follower, path, "").await.0, 200, "{path}");
    }
    let via = format!("X-Marathon-Via: {}\r\n", follower.address);
    let (status, _, body) = ask(&follower, "/v2/apps", &via).await;
    assert_eq!(status, 502, "{body}");
    let (status, head, _) = ask(&follower, "/v2/events?event_type=x", "").await;
    let location = format!("location: http://{}/v2/events?event_type=x", leader.address);
    assert_eq!(status, 302);
    assert!(head.to_lowercase().contains(&location), "{head}");

    // The leader is told to go by way of the follower, which takes its place.
    let (status, answer) = follower.client.raw("DELETE", "/v2/leader", "").await;
    assert_eq!(
        (status, &answer["message"]),
        (200, &json!("Leadership abdicated"))
    );
    let is_it = |it: &Value| it["leader"] == follower.address.to_string();
    follower.until("/v2/leader", "its own", is_it).await;
    let mut leader = leader;
    assert_eq!(leader.end().await.code(), Some(103));
}

#[tokio::test]
async fn a_zookeeper_that_is_not_there_is_named() {
    // A port on which nobody listens.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let line = format!("--master local --zk zk://127.0.0.1:{port}/m --zk_connection_timeout 500");
    let mut marathon = Instance::start(&line);
    assert_eq!(marathon.end().await.code(), Some(100));
    let is_named = |line: &String| line.contains(&format!("zk://127.0.0.1:{port}/m"));
    assert!(
        marathon.said().iter().any(is_named),
        "{:?}",
        marathon.said()
    );
}
