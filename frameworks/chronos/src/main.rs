//! `chronos`: see `--help`.

use std::process::ExitCode;

use chronos::args::{self, Args, Invalid};
use mesos_service::flags;
use mesos_service::logging::LogLevels;
use mesos_service::run::{Ended, Stop};

/// What is logged unless RUST_LOG asks for something else.
const FILTER: &str = "warn,chronos=info,mesos_service=info";

/// What supervisors go by.
mod status {
    pub(super) const LEADERSHIP_LOST: u8 = 103;
}

#[tokio::main]
async fn main() -> ExitCode {
    let parsed = match args::parse(std::env::args().skip(1), std::env::vars()) {
        Ok(parsed) => parsed,
        Err(asked) => return asked.show(),
    };
    let levels = LogLevels::install(&LogLevels::filter(None, FILTER));
    for notice in parsed.notices {
        tracing::warn!("{notice}");
    }
    match live(&parsed.flags, levels).await {
        Ok(status) => status,
        Err(error) => {
            eprintln!("chronos: {error}");
            match error.is::<Invalid>() {
                true => ExitCode::from(flags::USAGE),
                false => ExitCode::FAILURE,
            }
        }
    }
}

type AnyError = Box<dyn std::error::Error + Send + Sync>;

async fn live(args: &Args, levels: LogLevels) -> Result<ExitCode, AnyError> {
    let user = nix::unistd::User::from_uid(nix::unistd::geteuid())?;
    let user = user.map_or_else(|| "root".to_owned(), |user| user.name);
    let (seed, _) = uuid::Uuid::new_v4().as_u64_pair();
    let stop = Stop::new();
    stop.on_signals()?;
    let mut config = args.config(&user, seed, stop).await?;
    config.log_levels = Some(levels);
    config.metrics.install()?;
    for address in config.listeners.addresses() {
        eprintln!("chronos: listens on {address}");
    }
    match Box::pin(chronos::io::live(config)).await? {
        Ended::Stopped => Ok(ExitCode::SUCCESS),
        _ => {
            eprintln!("chronos: this instance does not lead any more");
            Ok(ExitCode::from(status::LEADERSHIP_LOST))
        }
    }
}
