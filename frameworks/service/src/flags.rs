//! Command lines as the originals take them: `--http_port` and `--http-port`,
//! `MARATHON_HTTP_PORT` in the environment, switches as `--checkpoint` and
//! `--disable_checkpoint`. The flags themselves are a `clap` structure of the
//! framework, in which a switch is a `bool` with `action = ArgAction::Set`.
//!
//! ```
//! use clap::{ArgAction, Parser};
//! use mesos_service::flags::{self, FlagRules};
//!
//! #[derive(Parser)]
//! #[command(name = "example", rename_all = "snake_case")]
//! struct Flags {
//!     /// The port that is listened on.
//!     #[arg(long, default_value_t = 8080)]
//!     http_port: u16,
//!     /// Whether tasks survive their agents.
//!     #[arg(long, default_value_t = true, action = ArgAction::Set)]
//!     checkpoint: bool,
//! }
//!
//! let rules = FlagRules { prefix: "EXAMPLE_", ..FlagRules::default() };
//! let environment = [("EXAMPLE_HTTP_PORT".to_owned(), "81".to_owned())];
//! let arguments = ["--disable_checkpoint".to_owned()];
//! let parsed = flags::parse::<Flags>(&rules, arguments, environment)?;
//! assert_eq!(parsed.flags.http_port, 81);
//! assert!(!parsed.flags.checkpoint);
//! # Ok::<(), flags::FlagsError>(())
//! ```

use std::any::TypeId;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Arg, Command, Parser};

mod http;

pub use http::{HttpFlags, HttpFlagsError, Listeners, Secret};

/// How a framework's flags are written.
#[derive(Debug, Clone, Copy, Default)]
pub struct FlagRules {
    /// What names in the environment begin with, such as `MARATHON_`.
    pub prefix: &'static str,
    /// Further names in the environment, and the flags that they stand for.
    pub environment: &'static [(&'static str, &'static str)],
    /// Flags that the original had.
    pub retired: &'static [RetiredFlag],
}

/// A flag of former times.
#[derive(Debug, Clone, Copy)]
pub struct RetiredFlag {
    /// Its name, with underscores and without dashes before it.
    pub name: &'static str,
    /// Whether a value belongs to it.
    pub takes_value: bool,
    /// What became of it, such as `it has no effect since offers are kept`.
    pub reason: &'static str,
    /// Whether it is an error to give it. Otherwise it is passed over.
    pub is_refused: bool,
}

/// What was given.
#[derive(Debug)]
pub struct Parsed<T> {
    /// The flags.
    pub flags: T,
    /// What a person should know about what was given; for the log.
    pub notices: Vec<String>,
}

/// The command line is no good, or asks for help.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
#[non_exhaustive]
pub struct FlagsError {
    /// What is to be shown.
    pub message: String,
    /// Whether it was asked for, and belongs on the standard output.
    pub is_help: bool,
}

/// The exit status of a command line that cannot be.
pub const USAGE: u8 = 2;

impl FlagsError {
    /// Shows it where it belongs: help on the standard output, anything else on
    /// that for errors. The status is what the program ends with.
    #[must_use]
    pub fn show(&self) -> ExitCode {
        // Who has closed the output does not want to read it.
        if self.is_help {
            let _ = write!(std::io::stdout(), "{}", self.message);
            return ExitCode::SUCCESS;
        }
        let _ = writeln!(std::io::stderr(), "{}", self.message.trim_end());
        ExitCode::from(USAGE)
    }
}

impl From<clap::Error> for FlagsError {
    fn from(error: clap::Error) -> Self {
        let is_help = matches!(
            error.kind(),
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
        );
        Self {
            message: error.render().to_string(),
            is_help,
        }
    }
}

/// Reads flags. The command line wins over the environment, and of two equal
/// flags the later one counts. `arguments` begin after the program's name.
///
/// # Errors
///
/// When a flag is unknown, refused, or has a value that it cannot have; and
/// when help is asked for.
pub fn parse<T: Parser>(
    rules: &FlagRules,
    arguments: impl IntoIterator<Item = String>,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Parsed<T>, FlagsError> {
    let command = T::command().args_override_self(true);
    let mut reader = Reader {
        rules,
        known: known(&command),
        canonical: vec![command.get_name().to_owned()],
        notices: Vec::new(),
    };
    let mut environment: Vec<(String, String)> = environment.into_iter().collect();
    environment.sort();
    for (name, value) in environment {
        reader.variable(&name, value)?;
    }
    reader.arguments(arguments.into_iter())?;
    let Reader {
        canonical, notices, ..
    } = reader;
    let mut matches = command.try_get_matches_from(canonical)?;
    let flags = T::from_arg_matches_mut(&mut matches)?;
    Ok(Parsed { flags, notices })
}

/// What a flag is followed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Nothing, and it can be reversed.
    Switch,
    /// Nothing.
    Alone,
    Value,
}

/// The flags of a command by their names with underscores: as clap knows them,
/// and what they are.
fn known(command: &Command) -> BTreeMap<String, (String, Kind)> {
    let kind = |arg: &Arg| {
        if !arg.get_action().takes_values() {
            Kind::Alone
        } else if arg.get_value_parser().type_id() == TypeId::of::<bool>() {
            Kind::Switch
        } else {
            Kind::Value
        }
    };
    let mut known = BTreeMap::new();
    for arg in command.get_arguments() {
        for long in arg.get_long_and_visible_aliases().into_iter().flatten() {
            known.insert(underscored(long), (long.to_owned(), kind(arg)));
        }
    }
    known
}

fn underscored(name: &str) -> String {
    name.replace('-', "_").to_ascii_lowercase()
}

struct Reader<'a> {
    rules: &'a FlagRules,
    known: BTreeMap<String, (String, Kind)>,
    /// As clap takes it.
    canonical: Vec<String>,
    notices: Vec<String>,
}

impl Reader<'_> {
    fn variable(&mut self, variable: &str, value: String) -> Result<(), FlagsError> {
        let alias = self.rules.environment.iter();
        let alias = alias.filter(|(name, _)| *name == variable);
        let name = match alias.map(|(_, flag)| (*flag).to_owned()).next() {
            Some(flag) => flag,
            None if self.rules.prefix.is_empty() => return Ok(()),
            None => match variable.strip_prefix(self.rules.prefix) {
                Some(rest) => underscored(rest),
                None => return Ok(()),
            },
        };
        if let Some(retired) = self.retired(&name) {
            return self.retire(retired, variable);
        }
        if let Some((long, kind)) = self.known.get(&name).cloned() {
            match kind {
                Kind::Switch => self.switch(&long, !is_off(&value)),
                Kind::Value => self.canonical.push(format!("--{long}={value}")),
                // Help is asked for on the command line.
                Kind::Alone => {}
            }
        } else if let Some(long) = self.reversed(&name) {
            self.switch(&long, is_off(&value));
        } else {
            // Others use the prefix, too: what runs tasks sets such variables.
            let text = format!("{variable} in the environment stands for no flag");
            self.notices.push(text);
        }
        Ok(())
    }

    fn arguments(&mut self, mut arguments: impl Iterator<Item = String>) -> Result<(), FlagsError> {
        while let Some(argument) = arguments.next() {
            let Some(text) = argument.strip_prefix("--").filter(|text| !text.is_empty()) else {
                let is_end = argument == "--";
                self.canonical.push(argument);
                if is_end {
                    self.canonical.extend(arguments);
                    return Ok(());
                }
                continue;
            };
            let (name, value) = match text.split_once('=') {
                Some((name, value)) => (underscored(name), Some(value.to_owned())),
                None => (underscored(text), None),
            };
            if let Some(retired) = self.retired(&name) {
                self.retire(retired, &format!("--{name}"))?;
                if retired.takes_value && value.is_none() {
                    arguments.next();
                }
            } else if let Some((long, kind)) = self.known.get(&name).cloned() {
                match (kind, value) {
                    (Kind::Switch, None) => self.switch(&long, true),
                    (_, Some(value)) => self.canonical.push(format!("--{long}={value}")),
                    (Kind::Alone, None) => self.canonical.push(format!("--{long}")),
                    (Kind::Value, None) => {
                        self.canonical.push(format!("--{long}"));
                        // It may look like a flag, and is none.
                        if let Some(value) = arguments.next() {
                            let with = format!("--{long}={value}");
                            self.canonical.pop();
                            self.canonical.push(with);
                        }
                    }
                }
            } else if let Some(long) = self.reversed(&name).filter(|_| value.is_none()) {
                self.switch(&long, false);
            } else {
                // clap says that it is unknown, and what was meant perhaps.
                self.canonical.push(argument);
            }
        }
        Ok(())
    }

    fn switch(&mut self, long: &str, is_on: bool) {
        self.canonical.push(format!("--{long}={is_on}"));
    }

    /// The switch that `disable_..` turns off.
    fn reversed(&self, name: &str) -> Option<String> {
        let (long, kind) = self.known.get(name.strip_prefix("disable_")?)?;
        (*kind == Kind::Switch).then(|| long.clone())
    }

    fn retired(&self, name: &str) -> Option<&'static RetiredFlag> {
        let retired: &'static [RetiredFlag] = self.rules.retired;
        let is_it = |flag: &&RetiredFlag| {
            flag.name == name || name.strip_prefix("disable_") == Some(flag.name)
        };
        retired.iter().find(is_it)
    }

    fn retire(&mut self, flag: &RetiredFlag, given: &str) -> Result<(), FlagsError> {
        let text = format!("{given} is a flag of former times: {}", flag.reason);
        if flag.is_refused {
            return Err(FlagsError {
                message: text,
                is_help: false,
            });
        }
        self.notices.push(text);
        Ok(())
    }
}

/// Whether the value of a switch in the environment turns it off. An empty one
/// does not: that it is there is enough.
fn is_off(value: &str) -> bool {
    matches!(value.to_ascii_lowercase().as_str(), "false" | "0" | "off")
}

#[cfg(test)]
mod tests;
