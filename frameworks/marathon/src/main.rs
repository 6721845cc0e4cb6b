//! `marathon`: see `--help`.

use std::process::ExitCode;

use clap::Parser;
use marathon::args::Args;

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into()),
        )
        .init();
    match run(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("marathon: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<(), Box<dyn std::error::Error>> {
    let user = nix::unistd::User::from_uid(nix::unistd::geteuid())?;
    let user = user.map_or_else(|| "root".to_owned(), |user| user.name);
    let (high, _) = uuid::Uuid::new_v4().as_u64_pair();
    let running = marathon::io::start(args.config(&user, high)?).await?;
    eprintln!("marathon: http://{}", running.address);
    tokio::select! {
        ended = running.run() => Ok(ended?),
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}
