//! Runs shell commands as tasks of an Apache Mesos cluster.
//!
//! `shell` decides, `session` waits, sends and prints, the rest are the parts
//! they are made of.

mod args;
mod demand;
mod follow;
mod outcome;
mod output;
mod session;
mod shell;

use std::{
    fs,
    io::{self, Read as _, Write as _},
    path::Path,
    process::ExitCode,
};

use anstream::eprintln;
use args::Args;
use clap::{CommandFactory as _, Parser as _};

/// The command line cannot be used.
const USAGE: u8 = 2;
/// More than this on standard input is refused.
const LARGEST_FILE: u64 = 256 * 1024 * 1024;

fn main() -> ExitCode {
    let mut args = Args::parse();
    if let Some(shell) = args.completions {
        let mut script = Vec::new();
        clap_complete::generate(
            shell,
            &mut Args::command(),
            "distributed-shell",
            &mut script,
        );
        return printed(io::stdout().write_all(&script));
    }
    if let Some(path) = args.file.take() {
        match commands_from(&path) {
            Ok(commands) => args.commands.extend(commands),
            Err(error) => {
                eprintln!("distributed-shell: {}: {error}", path.display());
                return ExitCode::from(USAGE);
            }
        }
    }
    if args.dry_run {
        return dry_run(&args);
    }
    if args.commands.is_empty() {
        // An empty --file: nothing to do is done.
        return ExitCode::SUCCESS;
    }
    start_log();
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("distributed-shell: cannot start: {error}");
            return ExitCode::from(session::UNUSABLE);
        }
    };
    let status = runtime.block_on(session::run(args));
    // Nothing that still reads or waits in the background holds the exit up.
    runtime.shutdown_background();
    ExitCode::from(status)
}

/// One command a line; empty lines and lines that start with `#` are none.
fn commands_from(path: &Path) -> io::Result<Vec<String>> {
    let mut text = String::new();
    let read = if path == Path::new("-") {
        io::stdin()
            .lock()
            .take(LARGEST_FILE)
            .read_to_string(&mut text)?
    } else {
        fs::File::open(path)?
            .take(LARGEST_FILE)
            .read_to_string(&mut text)?
    };
    if read as u64 == LARGEST_FILE {
        return Err(io::Error::other("is larger than 256 MiB"));
    }
    Ok(text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect())
}

fn dry_run(args: &Args) -> ExitCode {
    let mut out = io::stdout().lock();
    let times = if args.on_every_agent {
        " on every agent"
    } else {
        ""
    };
    let commands = if args.commands.len() == 1 {
        "command"
    } else {
        "commands"
    };
    let head = writeln!(
        out,
        "{} {commands}{times} as framework {} of role {} at {}: {} cpus, {} MiB memory, {} MiB disk, {} gpus, {} ports each",
        args.commands.len(),
        args.name,
        args.role,
        args.master(),
        args.cpus,
        args.mem,
        args.disk,
        args.gpus,
        args.ports,
    );
    let lines = args
        .commands
        .iter()
        .enumerate()
        .map(|(index, command)| writeln!(out, "[{}] {command}", index + 1));
    printed(head.and_then(|()| lines.into_iter().collect()))
}

/// What to exit with after something was printed for its own sake.
fn printed(result: io::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // `| head` has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("distributed-shell: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The log is silent unless RUST_LOG asks for it.
fn start_log() {
    if std::env::var_os("RUST_LOG").is_some() {
        tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
            .with_writer(io::stderr)
            .init();
    }
}
