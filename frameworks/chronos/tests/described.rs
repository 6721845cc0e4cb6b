//! The API is as its OpenAPI description says, whatever is asked.

use std::collections::BTreeSet;

use mesos_service::run::Stop;
use mesos_tests::openapi::Explorer;

/// How much is asked; more with `CHRONOS_REQUESTS`.
const REQUESTS: usize = 3000;

#[tokio::test]
async fn every_answer_is_as_described() {
    let line = "--master local --http_port 0 --http_address 127.0.0.1 --hostname localhost";
    let line = line.split(' ').map(str::to_owned);
    let args = chronos::args::parse(line, []).unwrap().flags;
    let user = std::env::var("USER").unwrap_or_else(|_| "root".to_owned());
    let config = args.config(&user, 1, Stop::new()).await.unwrap();
    let server = config.listeners.addresses()[0];
    let running = tokio::spawn(chronos::io::live(config));

    let count = std::env::var("CHRONOS_REQUESTS").map(|text| text.parse().unwrap());
    let seed = std::env::var("CHRONOS_SEED").map_or(1, |text| text.parse().unwrap());
    let mut explorer = Explorer::of(server, "/openapi.json", seed).await;
    let findings = explorer.explore(count.unwrap_or(REQUESTS), &[]).await;
    assert!(findings.wrong.is_empty(), "{}", findings.wrong.join("\n"));
    // It got beyond refusals almost everywhere.
    let all = findings.statuses.len();
    let succeeded = |statuses: &&BTreeSet<u16>| statuses.iter().any(|status| *status < 400);
    let succeeded = findings.statuses.values().filter(succeeded).count();
    assert!(4 * succeeded >= 3 * all, "{:#?}", findings.statuses);
    assert!(!running.is_finished());
    running.abort();
}
