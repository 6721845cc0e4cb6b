//! `marathon`: see `--help`.

use std::process::ExitCode;

use marathon::args::{self, Args, Invalid};
use marathon::io::Error;
use mesos_service::logging::LogLevels;
use mesos_service::run::{Ended, RunError, Stop};

/// What is logged unless something else is asked for.
const FILTER: &str = "warn,marathon=info,mesos_service=info";

/// What supervisors of the original know.
mod status {
    pub(super) const USAGE: u8 = 112;
    pub(super) const ZOOKEEPER: u8 = 100;
    pub(super) const LEADERSHIP_LOST: u8 = 103;
    pub(super) const FRAMEWORK: u8 = 106;
    pub(super) const NO_FRAMEWORK_ID: u8 = 108;
    pub(super) const REMOVED: u8 = 110;
    pub(super) const PORT: u8 = 111;
}

#[tokio::main]
async fn main() -> ExitCode {
    let parsed = match args::parse(std::env::args().skip(1), std::env::vars()) {
        Ok(parsed) => parsed,
        Err(asked) => {
            let is_help = asked.is_help;
            let shown = asked.show();
            return match is_help {
                true => shown,
                false => ExitCode::from(status::USAGE),
            };
        }
    };
    let filter = LogLevels::filter(parsed.flags.logging_level.as_deref(), FILTER);
    let levels = LogLevels::install(&filter);
    for notice in parsed.notices {
        tracing::warn!("{notice}");
    }
    match live(parsed.flags, levels).await {
        Ok(status) => status,
        Err(error) => {
            eprintln!("marathon: {error}");
            ExitCode::from(of(&*error))
        }
    }
}

type AnyError = Box<dyn std::error::Error + Send + Sync>;

async fn live(args: Args, levels: LogLevels) -> Result<ExitCode, AnyError> {
    let user = nix::unistd::User::from_uid(nix::unistd::geteuid())?;
    let user = user.map_or_else(|| "root".to_owned(), |user| user.name);
    let (high, _) = uuid::Uuid::new_v4().as_u64_pair();
    let stop = Stop::new();
    stop.on_signals()?;
    let mut config = args.config(&user, high, stop).await?;
    config.log_levels = Some(levels);
    config.metrics.install()?;
    eprintln!("marathon: {}", config.about.url());
    match Box::pin(marathon::io::run(config)).await? {
        Ended::Stopped => Ok(ExitCode::SUCCESS),
        _ => {
            eprintln!("marathon: this instance does not lead any more");
            Ok(ExitCode::from(status::LEADERSHIP_LOST))
        }
    }
}

/// The exit status that an error is known by.
fn of(error: &(dyn std::error::Error + 'static)) -> u8 {
    if let Some(invalid) = error.downcast_ref::<Invalid>() {
        return if invalid.is_port() {
            status::PORT
        } else {
            status::USAGE
        };
    }
    match error.downcast_ref::<RunError>() {
        Some(RunError::Connect(_)) => status::ZOOKEEPER,
        Some(RunError::Framework(error)) => match error.downcast_ref::<Error>() {
            Some(Error::Framework(mesos_sdk::Error::Removed { .. })) => status::REMOVED,
            Some(Error::Framework(_)) => status::FRAMEWORK,
            Some(Error::NoFramework { .. }) => status::NO_FRAMEWORK_ID,
            _ => 1,
        },
        _ => 1,
    }
}
