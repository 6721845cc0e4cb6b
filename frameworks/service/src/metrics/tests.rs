//! Both outputs of numbers of all kinds.

use serde_json::{Value, json};

use super::*;

fn registry() -> MetricsRegistry {
    let registry = MetricsRegistry::new(MetricsConfig::new("marathon"));
    ::metrics::with_local_recorder(&registry, || {
        ::metrics::counter!("deployments.counter").increment(2);
        ::metrics::counter!("deployments.counter").increment(1);
        ::metrics::gauge!("apps.active.gauge").set(7.0);
        ::metrics::gauge!("load.gauge").set(0.5);
        ::metrics::counter!("http.responses.2xx.rate.meter").increment(5);
        ::metrics::histogram!("http.requests.duration.timer.seconds").record(0.25);
        ::metrics::histogram!("offers.size.histogram").record(40.0);
        for kind in ["ACCEPT", "DECLINE \"x\""] {
            ::metrics::counter!("mesos_sdk_calls_total", "type" => kind).increment(1);
        }
    });
    registry
}

#[test]
fn json_has_the_common_shape() {
    let all = registry().to_json();
    assert_eq!(all["version"], "4.0.0");
    assert_eq!(
        all["counters"]["marathon.deployments.counter"],
        json!({ "count": 3 })
    );
    assert_eq!(
        all["gauges"]["marathon.apps.active.gauge"],
        json!({ "value": 7 })
    );
    assert_eq!(
        all["gauges"]["marathon.load.gauge"],
        json!({ "value": 0.5 })
    );
    assert!(all["gauges"]["marathon.uptime.gauge.seconds"]["value"].is_f64());
    assert_eq!(all["counters"]["mesos_sdk_calls_total.ACCEPT"]["count"], 1);
    let names = |value: &Value| -> Vec<String> {
        let mut names: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
        names.sort();
        names
    };
    let meter = &all["meters"]["marathon.http.responses.2xx.rate.meter"];
    let expected = [
        "count",
        "m15_rate",
        "m1_rate",
        "m5_rate",
        "mean_rate",
        "units",
    ];
    assert_eq!(names(meter), expected);
    assert_eq!(
        (&meter["count"], &meter["units"]),
        (&json!(5), &json!("events/second"))
    );
    let histogram = &all["histograms"]["marathon.offers.size.histogram"];
    let expected = [
        "count", "max", "mean", "min", "p50", "p75", "p95", "p98", "p99", "p999", "stddev",
    ];
    assert_eq!(names(histogram), expected);
    assert_eq!(histogram["p99"], 40.0);
    let timer = &all["timers"]["marathon.http.requests.duration.timer.seconds"];
    assert_eq!(names(timer).len(), 11 + 4 + 2);
    assert_eq!(timer["duration_units"], "seconds");
    assert!((timer["p50"].as_f64().unwrap() - 0.25).abs() < 0.001);
}

#[test]
fn prometheus_has_one_type_a_name_and_every_sample_once() {
    let text = registry().to_prometheus();
    for line in [
        "# TYPE marathon_deployments_counter counter\nmarathon_deployments_counter 3\n",
        "# TYPE marathon_apps_active_gauge gauge\nmarathon_apps_active_gauge 7\n",
        "mesos_sdk_calls_total{type=\"DECLINE \\\"x\\\"\"} 1\n",
        "# TYPE marathon_http_requests_duration_timer_seconds summary\n",
        "marathon_http_requests_duration_timer_seconds{quantile=\"0.999\"} ",
        "marathon_http_requests_duration_timer_seconds_count 1\n",
        "marathon_http_requests_duration_timer_seconds_m1_rate ",
        "marathon_offers_size_histogram_max 40\n",
        "marathon_http_responses_2xx_rate_meter_count 5\n",
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
    let mut samples = std::collections::BTreeSet::new();
    for line in text.lines() {
        let sample = line.rsplit_once(' ').unwrap().0;
        assert!(samples.insert(sample), "{sample} stands twice");
    }
}
