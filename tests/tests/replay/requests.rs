//! Requests that are refused, and subscriptions that are.

use mesos_tests::captures;
use mesos_tests::fixture::Fixture;
use mesos_tests::framework::SCHEDULER;
use serde_json::json;

use crate::group::{Group, body_of};

/// Requests that need nothing but a master.
pub(crate) const REQUESTS: &[&str] = &[
    "http-bad-accept",
    "http-bad-content-type",
    "http-bad-json",
    "http-bad-protobuf",
    "http-call-unknown-framework",
    "http-call-without-framework-id",
    "http-empty-content-type",
    "http-empty-object",
    "http-get-405",
    "http-subscribe-id-mismatch",
    "http-subscribe-missing-body",
    "http-subscribe-missing-required-user",
    "http-subscribe-with-stream-id",
    "http-unknown-type",
];

/// Subscriptions that are refused on their stream.
pub(crate) const REFUSED_SUBSCRIPTIONS: &[&str] =
    &["subscribe-bad-role", "subscribe-role-and-roles"];

#[tokio::test]
async fn requests_that_are_refused() {
    let fixture = Fixture::start().await;
    let group = Group::new(REQUESTS);
    for name in REQUESTS {
        let request = &captures::read(name)["request"];
        let path = request["path"].as_str().unwrap();
        let headers = request["headers"].as_object().unwrap();
        let headers: Vec<_> = headers
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_str().unwrap()))
            .collect();
        let response = if request["method"] == "GET" {
            fixture
                .transport
                .get(&fixture.master, path, http::HeaderMap::new())
                .await
                .unwrap()
        } else {
            fixture.post(path, &headers, &body_of(request)).await
        };
        group.check(name, &response);
    }
    group.all_used();
}

in_both_encodings!(subscriptions_that_are_refused);

async fn subscriptions_that_are_refused(fixture: Fixture) {
    let group = Group::new(REFUSED_SUBSCRIPTIONS);
    for name in REFUSED_SUBSCRIPTIONS {
        let recorded = group.read(name);
        let stream = fixture.open(SCHEDULER, &recorded["request"]["body"]).await;
        assert_eq!(stream.status, 200);
        stream.records.closed().await;
        assert_eq!(
            json!(stream.records.all()),
            recorded["response"]["records"],
            "{name}"
        );
        assert!(stream.headers.contains_key("Mesos-Stream-Id"));
    }
    group.all_used();
}
