//! When the master has removed the framework, Marathon ends, and registers anew
//! when it is started again.

use serde_json::{Value, json};

use crate::client::Client;
use crate::instance::Instance;
use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_framework_is_registered_anew_by_the_next_start() {
    let world = World::new().await;
    let line = format!(
        "--master {} --data_dir {}",
        world.master(),
        world.directory()
    );
    let runs = |app: &Value| app["app"]["tasksRunning"] == 2;
    let framework_id = async |instance: &Instance| -> String {
        let info = instance.get("/v2/info").await;
        info["frameworkId"].as_str().unwrap().to_owned()
    };
    let mut marathon = Instance::start(&line);
    marathon.get("/v2/info").await;
    let app = world.app("/web", 2);
    let (status, answer) = marathon.client.request("POST", "/v2/apps", &app).await;
    assert_eq!(status, 201, "{answer}");
    marathon.until("/v2/apps/web", "running", runs).await;
    let before = framework_id(&marathon).await;

    let teardown = json!({
        "type": "TEARDOWN", "teardown": {"framework_id": {"value": before}},
    });
    let master = Client::new(world.master_address());
    let (status, answer) = master.request("POST", "/api/v1", &teardown).await;
    assert!((200..300).contains(&status), "{status} {answer}");
    let status = marathon.end().await;
    assert_eq!(status.code(), Some(110), "{:?}", marathon.said());

    let marathon = Instance::start(&line);
    marathon.until("/v2/apps/web", "running again", runs).await;
    let after = framework_id(&marathon).await;
    assert_ne!(after, before);
    assert_eq!(world.frameworks().await, [(after, 2)].into());
}
