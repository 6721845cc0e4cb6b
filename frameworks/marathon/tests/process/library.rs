//! A client library that was written for Marathon, as it is: Debian's package
//! `python3-marathon`. Where it is not installed the test says so and passes;
//! with `MESOS_TESTS_REQUIRE_ALL` it fails.

use std::process::{Command, Output};

use crate::instance::Instance;

/// What runs Python with the library.
fn python() -> Option<String> {
    let named = std::env::var("PYTHON_WITH_MARATHON").ok();
    let known = ["python3", "/usr/bin/python3"].map(str::to_owned);
    let has_it = |python: &String| {
        let asked = Command::new(python)
            .args(["-c", "import marathon"])
            .output();
        asked.is_ok_and(|output| output.status.success())
    };
    let found = named.into_iter().chain(known).find(has_it);
    if found.is_none() {
        println!("skipped: Debian's package python3-marathon is not installed");
        assert!(std::env::var_os("MESOS_TESTS_REQUIRE_ALL").is_none());
    }
    found
}

async fn used(python: String, server: String) -> Output {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/library.py");
    let using = move || Command::new(python).args([script, &server]).output();
    tokio::task::spawn_blocking(using).await.unwrap().unwrap()
}

#[tokio::test]
async fn it_works_as_it_is_events_included() {
    let Some(python) = python() else {
        return;
    };
    let marathon = Instance::start("--master local");
    let output = used(python, format!("http://{}", marathon.address)).await;
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.ends_with("ok\n"),
        "{output:#?}"
    );
}
