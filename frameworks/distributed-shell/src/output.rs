//! What the user sees: the output of the commands on standard output, what
//! happens on standard error, or both as JSON lines on standard output.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, IsTerminal as _, Write},
    path::PathBuf,
};

use anstyle::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use mesos_sdk::v1::TaskState;
use serde_json::json;

use crate::shell::{Counts, Notice, Shell};

/// A line longer than this is printed in pieces.
const LONGEST_LINE: usize = 64 * 1024;

/// Which of a task's two outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// How output is shown.
#[derive(Debug, Clone, Default)]
pub(crate) struct Presentation {
    pub(crate) tag: bool,
    pub(crate) json: bool,
    pub(crate) quiet: bool,
    pub(crate) output_dir: Option<PathBuf>,
    /// Bytes pass as they are: there is one command and nothing to mix with.
    pub(crate) raw: bool,
}

/// Prints. An error means that nobody reads us any more, or a full disk.
#[derive(Debug)]
pub(crate) struct Printer {
    style: Presentation,
    /// Unfinished lines.
    pending: BTreeMap<(usize, Stream), Vec<u8>>,
    progress: Option<ProgressBar>,
}

impl Printer {
    pub(crate) fn new(style: Presentation) -> io::Result<Self> {
        if let Some(dir) = &style.output_dir {
            fs::create_dir_all(dir)?;
        }
        let wants_progress = !style.quiet && !style.json && io::stderr().is_terminal();
        Ok(Self {
            style,
            pending: BTreeMap::new(),
            progress: wants_progress.then(progress_bar),
        })
    }

    /// Output of a command, as it was written.
    pub(crate) fn output(
        &mut self,
        shell: &Shell,
        run: usize,
        stream: Stream,
        data: &[u8],
    ) -> io::Result<()> {
        self.keep(run, stream, data)?;
        if self.style.raw && !self.style.json && !self.style.tag {
            return self.write(stream, data);
        }
        let mut pending = self.pending.remove(&(run, stream)).unwrap_or_default();
        pending.extend_from_slice(data);
        let complete = match pending.iter().rposition(|byte| *byte == b'\n') {
            Some(at) => at + 1,
            None if pending.len() > LONGEST_LINE => pending.len(),
            None => 0,
        };
        let rest = pending.split_off(complete);
        if !rest.is_empty() {
            self.pending.insert((run, stream), rest);
        }
        self.lines(shell, run, stream, &pending)
    }

    /// The task's outputs are at their end: what is left is a last line
    /// without a line feed.
    pub(crate) fn output_ended(&mut self, shell: &Shell, run: usize) -> io::Result<()> {
        for stream in [Stream::Stdout, Stream::Stderr] {
            if let Some(mut rest) = self.pending.remove(&(run, stream)) {
                if !self.style.json {
                    rest.push(b'\n');
                }
                self.lines(shell, run, stream, &rest)?;
            }
        }
        Ok(())
    }

    /// Says what happened.
    pub(crate) fn notice(&mut self, shell: &Shell, notice: &Notice) -> io::Result<()> {
        if self.style.json {
            return self.json(&notice_json(shell, notice));
        }
        if self.style.quiet {
            return Ok(());
        }
        if let Some(progress) = &self.progress {
            show_progress(progress, shell.counts());
        }
        let Some((colour, text)) = notice_text(shell, notice) else {
            return Ok(());
        };
        let style = Style::new().fg_color(Some(colour.into()));
        self.say(&format!("{style}{text}{style:#}"));
        Ok(())
    }

    /// An error line: shown even when quiet.
    pub(crate) fn error(&self, text: &str) {
        self.say(&format!("distributed-shell: {text}"));
    }

    pub(crate) fn finish(&mut self) {
        if let Some(progress) = self.progress.take() {
            progress.finish_and_clear();
        }
    }

    fn say(&self, line: &str) {
        let print = || {
            // A closed standard error is no reason to stop the commands.
            let _ = writeln!(anstream::stderr().lock(), "{line}");
        };
        match &self.progress {
            Some(progress) => progress.suspend(print),
            None => print(),
        }
    }

    fn lines(&mut self, shell: &Shell, run: usize, stream: Stream, lines: &[u8]) -> io::Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        let host = shell.run(run).hostname.as_deref().unwrap_or("?");
        let mut text = Vec::with_capacity(lines.len() + 64);
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            if self.style.json {
                let object = json!({
                    "type": "output",
                    "command": shell.run(run).command + 1,
                    "run": run + 1,
                    "host": host,
                    "stream": stream.name(),
                    "data": String::from_utf8_lossy(line),
                });
                writeln!(text, "{object}")?;
                continue;
            }
            if self.style.tag {
                write!(text, "[{} {host}] ", run + 1)?;
            }
            text.extend_from_slice(line);
        }
        let to = if self.style.json {
            Stream::Stdout
        } else {
            stream
        };
        self.write(to, &text)
    }

    fn json(&self, object: &serde_json::Value) -> io::Result<()> {
        self.write(Stream::Stdout, format!("{object}\n").as_bytes())
    }

    fn write(&self, stream: Stream, data: &[u8]) -> io::Result<()> {
        let print = || match stream {
            Stream::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(data)?;
                out.flush()
            }
            Stream::Stderr => io::stderr().lock().write_all(data),
        };
        match &self.progress {
            Some(progress) => progress.suspend(print),
            None => print(),
        }
    }

    fn keep(&self, run: usize, stream: Stream, data: &[u8]) -> io::Result<()> {
        let Some(dir) = &self.style.output_dir else {
            return Ok(());
        };
        let path = dir.join(format!("{}.{}", run + 1, stream.name()));
        let mut file = File::options().create(true).append(true).open(path)?;
        file.write_all(data)
    }
}

fn progress_bar() -> ProgressBar {
    let progress = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{spinner} {msg} [{elapsed_precise}]")
        .unwrap_or_else(|_| ProgressStyle::default_spinner());
    progress.set_style(style);
    progress.enable_steady_tick(std::time::Duration::from_millis(200));
    progress
}

fn show_progress(progress: &ProgressBar, counts: Counts) {
    let Counts {
        total,
        running,
        ended,
        failed,
    } = counts;
    progress.set_message(format!(
        "{ended} of {total} done, {running} running, {failed} failed"
    ));
}

fn notice_text(shell: &Shell, notice: &Notice) -> Option<(AnsiColor, String)> {
    let name = |run: &usize| format!("[{}]", run + 1);
    Some(match notice {
        Notice::Registered { framework_id } => (
            AnsiColor::Blue,
            format!("registered as framework {framework_id}"),
        ),
        Notice::Launched { run, hostname, .. } => (
            AnsiColor::BrightBlack,
            format!("{} on {hostname}: {}", name(run), shell.run(*run).text),
        ),
        Notice::State {
            run,
            state,
            message,
            ..
        } => (state_colour(*state), {
            let state = state.as_str_name();
            if message.is_empty() {
                format!("{} {state}", name(run))
            } else {
                format!("{} {state}: {message}", name(run))
            }
        }),
        Notice::Again { run, why } => (
            AnsiColor::Yellow,
            format!("{} runs again: {why}", name(run)),
        ),
        Notice::NothingFits { why } => (
            AnsiColor::Yellow,
            format!("still waiting for an offer that fits: {why}"),
        ),
        Notice::Ended { .. } => return None,
        Notice::Interrupted { running } => (
            AnsiColor::Yellow,
            format!("interrupted: killing {running} running tasks"),
        ),
        Notice::TimedOut => (
            AnsiColor::Yellow,
            "the time given with --timeout is over".to_owned(),
        ),
    })
}

fn state_colour(state: TaskState) -> AnsiColor {
    match state {
        TaskState::TaskFinished => AnsiColor::Green,
        TaskState::TaskStaging
        | TaskState::TaskStarting
        | TaskState::TaskRunning
        | TaskState::TaskKilling => AnsiColor::BrightBlack,
        _ => AnsiColor::Red,
    }
}

fn notice_json(shell: &Shell, notice: &Notice) -> serde_json::Value {
    let command = |run: &usize| shell.run(*run).command + 1;
    match notice {
        Notice::Registered { framework_id } => {
            json!({"type": "registered", "framework_id": framework_id})
        }
        Notice::Launched {
            run,
            task_id,
            hostname,
        } => json!({
            "type": "launched", "command": command(run), "run": run + 1,
            "task_id": task_id, "host": hostname, "text": shell.run(*run).text,
        }),
        Notice::State {
            run,
            task_id,
            state,
            message,
        } => json!({
            "type": "state", "command": command(run), "run": run + 1, "task_id": task_id,
            "state": state.as_str_name(), "message": message,
        }),
        Notice::Again { run, why } => {
            json!({"type": "again", "command": command(run), "run": run + 1, "why": why})
        }
        Notice::NothingFits { why } => json!({"type": "waiting", "why": why}),
        Notice::Ended { run, outcome } => json!({
            "type": "ended", "command": command(run), "run": run + 1,
            "status": outcome.exit_status(), "outcome": outcome.to_string(),
        }),
        Notice::Interrupted { running } => json!({"type": "interrupted", "running": running}),
        Notice::TimedOut => json!({"type": "timed_out"}),
    }
}
