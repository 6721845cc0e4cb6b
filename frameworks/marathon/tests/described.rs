//! The API is as its OpenAPI description says, whatever is asked.

use std::collections::BTreeSet;

use mesos_service::run::Stop;
use mesos_tests::openapi::{Answer, Explorer, differs};
use serde_json::json;

/// How much is asked; more with `MARATHON_REQUESTS`.
const REQUESTS: usize = 3000;

#[tokio::test]
async fn every_answer_is_as_described() {
    let line = "--master local --http_port 0 --http_address 127.0.0.1 --hostname localhost";
    let line = line.split(' ').map(str::to_owned);
    let args = marathon::args::parse(line, []).unwrap().flags;
    let user = std::env::var("USER").unwrap_or_else(|_| "root".to_owned());
    let config = args.config(&user, 1, Stop::new()).await.unwrap();
    let server = config.plan.listeners.addresses()[0];
    let running = tokio::spawn(marathon::io::run(config));

    let count = std::env::var("MARATHON_REQUESTS").map(|text| text.parse().unwrap());
    let seed = std::env::var("MARATHON_SEED").map_or(1, |text| text.parse().unwrap());
    let mut explorer = Explorer::of(server, "/v2/openapi.json", seed).await;
    let ends_it = ["DELETE /v2/leader"];
    let findings = explorer.explore(count.unwrap_or(REQUESTS), &ends_it).await;
    assert!(findings.wrong.is_empty(), "{}", findings.wrong.join("\n"));
    // It got beyond refusals nearly everywhere: what is asked for has often just
    // been deleted.
    let all = findings.statuses.len();
    let succeeded = |statuses: &&BTreeSet<u16>| statuses.iter().any(|status| *status < 400);
    let succeeded = findings.statuses.values().filter(succeeded).count();
    assert!(10 * succeeded >= 7 * all, "{:#?}", findings.statuses);
    assert!(!running.is_finished());
    running.abort();
}

#[test]
fn what_is_not_as_described_is_found() {
    let described = json!({"responses": {
        "200": {"content": {"application/json": {"schema": {"type": "integer"}}}},
        "204": {"description": "nothing"},
    }});
    let answer = |status, media_type: &str, body: &str| Answer {
        status,
        media_type: Some(media_type.to_owned()),
        body: body.to_owned(),
    };
    let json = "application/json";
    assert!(!differs(&described, &answer(200, json, "1")));
    assert!(!differs(&described, &answer(204, json, "")));
    for (status, media_type, body) in [
        (200, json, "\"1\""),
        (200, json, "1 1"),
        (200, "text/plain", "1"),
        (201, json, "1"),
        (204, json, "1"),
        (500, json, "1"),
    ] {
        let answer = answer(status, media_type, body);
        assert!(differs(&described, &answer), "{answer:?}");
    }
}
