//! Numbers about what goes on, collected behind the `metrics` facade and shown
//! as JSON in the shape that Dropwizard made common, and as Prometheus's text.
//!
//! The name says what kind of number it is, as the originals' names do: a
//! counter whose name ends with `.meter` is shown with its rates, a histogram
//! with `.timer` in its name as a timer. Histograms whose names end with
//! `seconds` are of seconds, others of whole numbers. The prefix is put before
//! names that contain a dot.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use ::metrics::{
    Counter, CounterFn, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};
use meter::Meter;
use reservoir::Reservoir;

mod meter;
mod prometheus;
mod report;
mod reservoir;

/// What may be set about metrics.
#[derive(Debug, Clone)]
pub struct MetricsConfig {
    /// What names begin with, such as `marathon`.
    pub prefix: String,
    /// Histograms show what was recorded within this time, and up to as much
    /// again before.
    pub window: Duration,
}

impl MetricsConfig {
    /// A window of a minute.
    #[must_use]
    pub fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
            window: Duration::from_secs(60),
        }
    }
}

/// Collects numbers. Clones collect into the same.
#[derive(Clone)]
pub struct MetricsRegistry(Arc<Shared>);

struct Shared {
    config: MetricsConfig,
    start: Instant,
    series: Mutex<BTreeMap<Name, Series>>,
}

/// What a series is called.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    name: String,
    labels: Vec<(String, String)>,
}

#[derive(Clone)]
enum Series {
    Counter(Arc<AtomicU64>),
    Gauge(Arc<AtomicU64>),
    Meter(Arc<Rated>),
    Histogram(Arc<Sampled>),
}

/// A counter with rates.
struct Rated {
    start: Instant,
    meter: Mutex<Meter>,
}

/// A histogram, and where it is a timer, its rates.
struct Sampled {
    start: Instant,
    reservoir: Mutex<Reservoir>,
    rated: Option<Rated>,
}

/// Another recorder has been installed already.
#[derive(Debug, thiserror::Error)]
#[error("metrics are collected elsewhere already")]
#[non_exhaustive]
pub struct InstallError;

impl fmt::Debug for MetricsRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsRegistry")
            .field("config", &self.0.config)
            .finish_non_exhaustive()
    }
}

impl MetricsRegistry {
    /// A registry without numbers.
    #[must_use]
    pub fn new(config: MetricsConfig) -> Self {
        Self(Arc::new(Shared {
            config,
            start: Instant::now(),
            series: Mutex::default(),
        }))
    }

    /// Collects all numbers of this process.
    ///
    /// # Errors
    ///
    /// When something else does.
    pub fn install(&self) -> Result<(), InstallError> {
        ::metrics::set_global_recorder(self.clone()).map_err(|_| InstallError)
    }

    fn register(&self, key: &Key, make: impl FnOnce(&str, Instant) -> Series) -> Series {
        let label = |label: &::metrics::Label| (label.key().to_owned(), label.value().to_owned());
        let mut labels: Vec<_> = key.labels().map(label).collect();
        labels.sort();
        let name = match key.name() {
            name if name.contains('.') => format!("{}.{name}", self.0.config.prefix),
            name => name.to_owned(),
        };
        let name = Name { name, labels };
        let mut series = self.series();
        let found = series
            .entry(name)
            .or_insert_with(|| make(key.name(), self.0.start));
        found.clone()
    }

    fn series(&self) -> MutexGuard<'_, BTreeMap<Name, Series>> {
        held(&self.0.series)
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nothing panics while it counts")
}

impl Rated {
    fn new(start: Instant) -> Self {
        Self {
            start,
            meter: Mutex::new(Meter::new(start.elapsed())),
        }
    }

    fn mark(&self, count: u64) {
        held(&self.meter).mark(count, self.start.elapsed());
    }
}

impl CounterFn for Rated {
    fn increment(&self, value: u64) {
        self.mark(value);
    }

    fn absolute(&self, value: u64) {
        let mut meter = held(&self.meter);
        let more = value.saturating_sub(meter.count());
        meter.mark(more, self.start.elapsed());
    }
}

impl HistogramFn for Sampled {
    fn record(&self, value: f64) {
        held(&self.reservoir).record(value, self.start.elapsed());
        if let Some(rated) = &self.rated {
            rated.mark(1);
        }
    }
}

impl Recorder for MetricsRegistry {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let series = self.register(key, |name, start| match name.ends_with(".meter") {
            true => Series::Meter(Arc::new(Rated::new(start))),
            false => Series::Counter(Arc::default()),
        });
        match series {
            Series::Counter(counter) => Counter::from_arc(counter),
            Series::Meter(meter) => Counter::from_arc(meter),
            // One name is one kind; what does not fit is not counted.
            Series::Gauge(_) | Series::Histogram(_) => Counter::noop(),
        }
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        match self.register(key, |_, _| Series::Gauge(Arc::default())) {
            Series::Gauge(gauge) => Gauge::from_arc(gauge),
            _ => Gauge::noop(),
        }
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        let window = self.0.config.window;
        let series = self.register(key, |name, start| {
            let reservoir = Reservoir::new(name.ends_with("seconds"), window);
            Series::Histogram(Arc::new(Sampled {
                start,
                reservoir: Mutex::new(reservoir),
                rated: name.contains(".timer").then(|| Rated::new(start)),
            }))
        });
        match series {
            Series::Histogram(histogram) => Histogram::from_arc(histogram),
            _ => Histogram::noop(),
        }
    }
}

fn gauge(bits: &AtomicU64) -> f64 {
    f64::from_bits(bits.load(Ordering::Relaxed))
}

#[cfg(test)]
mod tests;
