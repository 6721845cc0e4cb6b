//! All numbers as Prometheus reads them: its text exposition format.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;

use super::meter::Rates;
use super::reservoir::QUANTILES;
use super::{MetricsRegistry, Name, Series, gauge, held};

impl MetricsRegistry {
    /// All numbers as text, of the media type
    /// `text/plain; version=0.0.4; charset=utf-8`.
    #[must_use]
    pub fn to_prometheus(&self) -> String {
        let now = self.0.start.elapsed();
        let mut page = Page::default();
        let uptime = Name {
            name: format!("{}.uptime.gauge.seconds", self.0.config.prefix),
            labels: Vec::new(),
        };
        page.sample("gauge", &uptime, "", now.as_secs_f64());
        for (name, series) in self.series().iter() {
            match series {
                Series::Counter(counter) => {
                    let count = counter.load(Ordering::Relaxed);
                    page.sample("counter", name, "", count as f64);
                }
                Series::Gauge(bits) => page.sample("gauge", name, "", gauge(bits)),
                Series::Meter(rated) => {
                    let rates = held(&rated.meter).rates(now);
                    page.sample("gauge", name, "_count", rates.count as f64);
                    page.rates(name, &rates);
                }
                Series::Histogram(sampled) => {
                    let shown = held(&sampled.reservoir).snapshot(now);
                    page.summary(name, shown.quantiles, shown.count);
                    page.sample("gauge", name, "_min", shown.min);
                    page.sample("gauge", name, "_mean", shown.mean);
                    page.sample("gauge", name, "_max", shown.max);
                    page.sample("gauge", name, "_stddev", shown.deviation);
                    if let Some(rated) = &sampled.rated {
                        page.rates(name, &held(&rated.meter).rates(now));
                    }
                }
            }
        }
        page.text()
    }
}

/// Lines by the name that they are of: all of one name have to stand together.
#[derive(Default)]
struct Page {
    families: std::collections::BTreeMap<String, (&'static str, String)>,
}

impl Page {
    fn sample(&mut self, kind: &'static str, name: &Name, suffix: &str, value: f64) {
        let family = format!("{}{suffix}", plain(&name.name));
        let labels = labels(&name.labels, None);
        let line = format!("{family}{labels} {}\n", number(value));
        self.family(kind, family).push_str(&line);
    }

    fn summary(&mut self, name: &Name, quantiles: [f64; 6], count: u64) {
        let family = plain(&name.name);
        let mut lines = String::new();
        for (quantile, value) in QUANTILES.into_iter().zip(quantiles) {
            let labels = labels(&name.labels, Some(quantile));
            let _ = writeln!(lines, "{family}{labels} {}", number(value));
        }
        let _ = writeln!(
            lines,
            "{family}_count{} {count}",
            labels(&name.labels, None)
        );
        self.family("summary", family).push_str(&lines);
    }

    fn rates(&mut self, name: &Name, rates: &Rates) {
        let [one, five, fifteen] = rates.minutes;
        self.sample("gauge", name, "_mean_rate", rates.mean);
        self.sample("gauge", name, "_m1_rate", one);
        self.sample("gauge", name, "_m5_rate", five);
        self.sample("gauge", name, "_m15_rate", fifteen);
    }

    fn family(&mut self, kind: &'static str, family: String) -> &mut String {
        let entry = self.families.entry(family);
        &mut entry.or_insert_with(|| (kind, String::new())).1
    }

    fn text(self) -> String {
        let mut text = String::new();
        for (family, (kind, lines)) in self.families {
            let _ = write!(text, "# TYPE {family} {kind}\n{lines}");
        }
        text
    }
}

/// What Prometheus takes as a name.
fn plain(name: &str) -> String {
    let mut plain: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    if plain.starts_with(|c: char| c.is_ascii_digit()) {
        plain.insert(0, '_');
    }
    plain
}

fn labels(labels: &[(String, String)], quantile: Option<f64>) -> String {
    let mut parts: Vec<String> = labels
        .iter()
        .map(|(name, value)| {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"");
            format!("{}=\"{}\"", plain(name), value.replace('\n', "\\n"))
        })
        .collect();
    parts.extend(quantile.map(|quantile| format!("quantile=\"{quantile}\"")));
    match parts.is_empty() {
        true => String::new(),
        false => format!("{{{}}}", parts.join(",")),
    }
}

fn number(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned()
    } else {
        value.to_string()
    }
}
