//! How much is logged, which may be changed while it runs.

use std::collections::BTreeMap;
use std::fmt;
use std::io::IsTerminal as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

/// The logger that is above all others.
const ROOT: &str = "ROOT";

/// The levels of parts of the program, which are called after their modules.
/// Clones change the same.
#[derive(Clone)]
pub struct LogLevels(Arc<Shared>);

type Apply = Box<dyn Fn(&str) -> Result<(), String> + Send + Sync>;

struct Shared {
    levels: Mutex<BTreeMap<String, Level>>,
    /// Makes a filter of `warn,marathon=debug` the one that counts.
    apply: Apply,
}

/// What was set, and which setting it was.
#[derive(Clone, Debug)]
struct Level {
    name: String,
    number: u64,
}

/// What is to be logged from now on, as it is asked for by `POST /logging`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LevelChange {
    /// `info` and so on.
    pub level: String,
    /// `ROOT`, or the name of a module.
    pub logger: String,
    /// For how long; for good where that is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_seconds: Option<u32>,
}

/// A level that cannot be set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LevelError {
    /// There is no such level.
    #[error("{0} is no level: off, error, warn, info, debug, trace and all are")]
    Level(String),
    /// There is no logger of such a name.
    #[error("'{0}' is no logger: ROOT is, and names of modules such as marathon::engine")]
    Logger(String),
    /// The filter cannot be changed.
    #[error("the levels cannot be changed: {0}")]
    Refused(String),
}

impl fmt::Debug for LogLevels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LogLevels").field(&*self.levels()).finish()
    }
}

impl LogLevels {
    /// Begins with a filter such as `warn,marathon=info`. `apply` makes others
    /// count.
    #[must_use]
    pub fn new(
        filter: &str,
        apply: impl Fn(&str) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        let parts = filter.split(',').filter(|part| !part.trim().is_empty());
        let levels = parts.map(|part| {
            let (logger, level) = part.rsplit_once('=').unwrap_or((ROOT, part));
            let level = Level {
                name: level.trim().to_lowercase(),
                number: 0,
            };
            (logger.trim().to_owned(), level)
        });
        Self(Arc::new(Shared {
            levels: Mutex::new(levels.collect()),
            apply: Box::new(apply),
        }))
    }

    /// Begins to log to standard error, as a filter such as `warn,marathon=info`
    /// says.
    ///
    /// # Panics
    ///
    /// When the program logs already.
    #[must_use]
    pub fn install(filter: &str) -> Self {
        let has_color = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let builder = tracing_subscriber::fmt()
            .with_writer(std::io::stderr)
            .with_ansi(has_color)
            .with_env_filter(EnvFilter::new(filter))
            .with_filter_reloading();
        let handle = builder.reload_handle();
        builder.init();
        Self::new(filter, move |filter| {
            let filter = EnvFilter::try_new(filter).map_err(|error| error.to_string())?;
            handle.reload(filter).map_err(|error| error.to_string())
        })
    }

    /// The filter that somebody asked for, or the one that `RUST_LOG` names, or
    /// else the program's own; those that make no sense are passed over.
    #[must_use]
    pub fn filter(asked: Option<&str>, own: &str) -> String {
        let environment = std::env::var("RUST_LOG").ok();
        let asked = asked.map(str::to_owned).or(environment);
        let makes_sense = |text: &String| !text.is_empty() && EnvFilter::try_new(text).is_ok();
        asked.filter(makes_sense).unwrap_or_else(|| own.to_owned())
    }

    /// Does what was asked for.
    ///
    /// # Errors
    ///
    /// When there is no such level or logger.
    pub fn change(&self, change: &LevelChange) -> Result<(), LevelError> {
        let duration = change.duration_seconds.map(u64::from);
        let duration = duration.map(Duration::from_secs);
        self.set(&change.logger, &change.level, duration)
    }

    /// The loggers that have levels of their own.
    #[must_use]
    pub fn shown(&self) -> BTreeMap<String, String> {
        let levels = self.levels();
        let shown = levels.iter();
        let shown = shown.map(|(logger, level)| (logger.clone(), level.name.to_uppercase()));
        shown.collect()
    }

    /// Sets a level, for good or for a time.
    ///
    /// # Errors
    ///
    /// When there is no such level or logger.
    pub fn set(
        &self,
        logger: &str,
        level: &str,
        duration: Option<Duration>,
    ) -> Result<(), LevelError> {
        let name = match level.to_lowercase().as_str() {
            "all" => "trace".to_owned(),
            "fatal" => "error".to_owned(),
            known @ ("off" | "error" | "warn" | "info" | "debug" | "trace") => known.to_owned(),
            _ => return Err(LevelError::Level(level.to_owned())),
        };
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "_:.-".contains(c);
        if logger.is_empty() || !logger.chars().all(is_plain) {
            return Err(LevelError::Logger(logger.to_owned()));
        }
        let (before, number) = {
            let mut levels = self.levels();
            let number = levels.values().map(|level| level.number).max();
            let number = number.unwrap_or_default() + 1;
            let before = levels.insert(logger.to_owned(), Level { name, number });
            (before, number)
        };
        self.apply()?;
        if let Some(duration) = duration {
            let (this, logger) = (self.clone(), logger.to_owned());
            tokio::spawn(async move {
                tokio::time::sleep(duration).await;
                this.reset(&logger, number, before);
            });
        }
        Ok(())
    }

    /// As it was before the setting of a number, unless another came after it.
    fn reset(&self, logger: &str, number: u64, before: Option<Level>) {
        {
            let mut levels = self.levels();
            if levels
                .get(logger)
                .is_none_or(|level| level.number != number)
            {
                return;
            }
            match before {
                Some(before) => levels.insert(logger.to_owned(), before),
                None => levels.remove(logger),
            };
        }
        if let Err(error) = self.apply() {
            tracing::warn!(%error, logger, "the level stays");
        }
    }

    fn apply(&self) -> Result<(), LevelError> {
        let levels = self.levels();
        let parts = levels.iter().map(|(logger, level)| match logger.as_str() {
            ROOT => level.name.clone(),
            logger => format!("{logger}={}", level.name),
        });
        let filter = parts.collect::<Vec<_>>().join(",");
        (self.0.apply)(&filter).map_err(LevelError::Refused)
    }

    fn levels(&self) -> MutexGuard<'_, BTreeMap<String, Level>> {
        let levels = self.0.levels.lock();
        levels.unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn levels_are_set_for_a_time_or_for_good() {
        let applied = Arc::new(Mutex::new(String::new()));
        let seen = Arc::clone(&applied);
        let levels = LogLevels::new("warn,marathon=info", move |filter| {
            filter.clone_into(&mut seen.lock().unwrap());
            Ok(())
        });
        let now = || applied.lock().unwrap().clone();
        assert_eq!(levels.shown()["ROOT"], "WARN");
        levels.set("marathon", "DEBUG", None).unwrap();
        assert_eq!(now(), "warn,marathon=debug");
        let second = Some(Duration::from_secs(1));
        levels.set("marathon", "trace", second).unwrap();
        levels.set("mesos_sdk", "all", second).unwrap();
        assert_eq!(now(), "warn,marathon=trace,mesos_sdk=trace");
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(now(), "warn,marathon=debug");
        // What was set meanwhile stays.
        levels.set("ROOT", "error", second).unwrap();
        levels.set("ROOT", "info", None).unwrap();
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(now(), "info,marathon=debug");
        let error = levels.set("ROOT", "loud", None).unwrap_err();
        assert_eq!(error, LevelError::Level("loud".to_owned()));
        for logger in ["", "a=b", "a,b", "a["] {
            let error = levels.set(logger, "info", None).unwrap_err();
            assert_eq!(error, LevelError::Logger(logger.to_owned()));
        }
    }
}
