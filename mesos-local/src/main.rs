//! `mesos-local`: a master and agents in one process, from the command line.

mod arguments;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use mesos_local::{Cluster, ClusterConfig};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use arguments::Arguments;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let config = match arguments.into_config() {
        Ok(config) => config,
        Err(error) => error.exit(),
    };
    let filter = EnvFilter::try_from_env("MESOS_LOCAL_LOG").unwrap_or_else(|_| "warn".into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .init();
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    runtime.block_on(run(config))
}

async fn run(config: ClusterConfig) -> ExitCode {
    // Before anything is started, so that no signal finds a half of it.
    let signals = [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
    ];
    let mut listeners = Vec::new();
    for kind in signals {
        match signal(kind) {
            Ok(listener) => listeners.push(listener),
            Err(error) => return fail(&error),
        }
    }
    let simulated = config.simulated_agents.count;
    let cluster = match Cluster::start(config).await {
        Ok(cluster) => cluster,
        Err(error) => return fail(&error),
    };
    // Nobody may be reading; the cluster serves all the same.
    if let Err(error) = announce(&cluster, simulated, &mut io::stdout().lock()) {
        tracing::debug!(%error, "cannot write to standard output");
    }
    let waiting = listeners
        .iter_mut()
        .map(|listener| Box::pin(listener.recv()));
    futures::future::select_all(waiting).await;
    cluster.stop().await;
    ExitCode::SUCCESS
}

/// Says where everything listens.
fn announce(cluster: &Cluster, simulated: usize, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "master listening on {}", cluster.address())?;
    for agent in cluster.agents() {
        writeln!(
            out,
            "agent {} listening on {} as {}: {}",
            agent.index, agent.address, agent.hostname, agent.resources
        )?;
    }
    if simulated > 0 {
        writeln!(out, "{simulated} simulated agents")?;
    }
    let master = cluster.master_address();
    if !master.ip().is_loopback() {
        writeln!(
            out,
            "warning: {} is not a loopback address; whoever reaches it can run commands here",
            master.ip()
        )?;
    }
    out.flush()
}

fn fail(error: &dyn std::error::Error) -> ExitCode {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    // With standard error closed there is nobody left to tell.
    let _ = writeln!(io::stderr(), "mesos-local: {text}");
    ExitCode::FAILURE
}
