//! `mesos-fuzz TARGET`: runs one target, or all of them, for a while.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use mesos_fuzz::corpus::{self, Corpus};
use mesos_fuzz::run::{Until, run};
use mesos_fuzz::targets::{NAMES, find};

/// Gives what reads bytes from outside bytes that nobody thinks of.
#[derive(Debug, Parser)]
struct Arguments {
    /// recordio, protobuf, json, models, http, paths, or all of them one by one.
    target: String,
    /// How long each runs.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// The same seed makes the same inputs.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where an input that breaks a promise is written.
    #[arg(long, default_value = "findings")]
    findings: PathBuf,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let corpus = match Corpus::read(&corpus::directory()) {
        Ok(corpus) => corpus,
        Err(error) => {
            eprintln!("cannot read the recorded dialogues: {error}");
            return ExitCode::FAILURE;
        }
    };
    let names = match arguments.target.as_str() {
        "all" => NAMES.to_vec(),
        name => vec![name],
    };
    let until = Until::Elapsed(Duration::from_secs(arguments.seconds));
    let mut is_sound = true;
    for name in names {
        let Some((mut target, recorded)) = find(name, &corpus) else {
            eprintln!("there is no target {name}; there are {}", NAMES.join(", "));
            return ExitCode::FAILURE;
        };
        let report = run(target.as_mut(), &recorded, arguments.seed, until);
        println!("{report}");
        if let Some(finding) = &report.finding {
            is_sound = false;
            let path = arguments.findings.join(name);
            let written = std::fs::create_dir_all(&arguments.findings)
                .and_then(|()| std::fs::write(&path, &finding.input));
            match written {
                Ok(()) => println!("the input is in {}", path.display()),
                Err(error) => eprintln!("cannot write {}: {error}", path.display()),
            }
        }
    }
    if is_sound {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
