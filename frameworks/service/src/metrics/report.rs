//! All numbers as JSON.

use std::sync::atomic::Ordering;

use serde_json::{Map, Value, json};

use super::meter::Rates;
use super::reservoir::Snapshot;
use super::{MetricsRegistry, Name, Series, gauge, held};

/// The names that Dropwizard gives to quantiles, in order.
const QUANTILES: [&str; 6] = ["p50", "p75", "p95", "p98", "p99", "p999"];

impl MetricsRegistry {
    /// All numbers by their kind and name.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let now = self.0.start.elapsed();
        let mut counters = Map::new();
        let mut gauges = Map::new();
        let mut histograms = Map::new();
        let mut meters = Map::new();
        let mut timers = Map::new();
        gauges.insert(
            format!("{}.uptime.gauge.seconds", self.0.config.prefix),
            json!({ "value": now.as_secs_f64() }),
        );
        for (name, series) in self.series().iter() {
            let name = labelled(name);
            match series {
                Series::Counter(counter) => {
                    let count = counter.load(Ordering::Relaxed);
                    counters.insert(name, json!({ "count": count }));
                }
                Series::Gauge(bits) => {
                    gauges.insert(name, json!({ "value": number(gauge(bits)) }));
                }
                Series::Meter(rated) => {
                    let rates = held(&rated.meter).rates(now);
                    let mut fields = of_rates(&rates);
                    fields.insert("units".to_owned(), "events/second".into());
                    meters.insert(name, fields.into());
                }
                Series::Histogram(sampled) => {
                    let snapshot = held(&sampled.reservoir).snapshot(now);
                    let mut fields = of_snapshot(&snapshot);
                    let Some(rated) = &sampled.rated else {
                        histograms.insert(name, fields.into());
                        continue;
                    };
                    let rates = held(&rated.meter).rates(now);
                    fields.append(&mut of_rates(&rates));
                    fields.insert("duration_units".to_owned(), "seconds".into());
                    fields.insert("rate_units".to_owned(), "calls/second".into());
                    timers.insert(name, fields.into());
                }
            }
        }
        json!({
            "version": "4.0.0",
            "gauges": gauges,
            "counters": counters,
            "histograms": histograms,
            "meters": meters,
            "timers": timers,
        })
    }
}

/// Labels have no place in this shape; they are put behind the name.
fn labelled(name: &Name) -> String {
    let values = name.labels.iter().map(|(_, value)| value.as_str());
    let parts: Vec<&str> = std::iter::once(name.name.as_str()).chain(values).collect();
    parts.join(".")
}

/// A whole number without a fraction.
fn number(value: f64) -> Value {
    let is_whole = value.fract() == 0.0 && value.abs() < 9e15;
    if is_whole {
        json!(value as i64)
    } else {
        json!(value)
    }
}

fn of_rates(rates: &Rates) -> Map<String, Value> {
    let mut fields = Map::new();
    let [one, five, fifteen] = rates.minutes;
    fields.insert("count".to_owned(), rates.count.into());
    for (name, rate) in [
        ("m1_rate", one),
        ("m5_rate", five),
        ("m15_rate", fifteen),
        ("mean_rate", rates.mean),
    ] {
        fields.insert(name.to_owned(), rate.into());
    }
    fields
}

fn of_snapshot(snapshot: &Snapshot) -> Map<String, Value> {
    let mut fields = Map::new();
    fields.insert("count".to_owned(), snapshot.count.into());
    for (name, value) in [
        ("max", snapshot.max),
        ("mean", snapshot.mean),
        ("min", snapshot.min),
        ("stddev", snapshot.deviation),
    ] {
        fields.insert(name.to_owned(), value.into());
    }
    for (name, value) in QUANTILES.into_iter().zip(snapshot.quantiles) {
        fields.insert(name.to_owned(), value.into());
    }
    fields
}
