//! Jobs as clients send them: either generation's form, checked and completed.
//! Whether parents exist and nothing comes after itself the engine checks.

mod container;
mod fields;

use std::collections::BTreeSet;

use serde_json::Value;

use crate::engine::constraints_of;
use crate::job::{Artifact, Job, NotifyOn, Period, Policy, Timetable, Trigger, Variable};
use crate::progress::Progress;
use crate::schedule::ScheduleError;
use crate::state::Settings;
use crate::timestamp;

use fields::Fields;

/// Which endpoint a job was sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// That of jobs that time makes run.
    Scheduled,
    /// That of jobs that run after others.
    Dependent,
}

/// The longest name; ids of tasks contain it.
const MAX_NAME: usize = 180;

/// Reads a job.
///
/// # Errors
///
/// Everything that is wrong with it, each beginning with the name of the field.
pub fn read(
    body: &[u8],
    kind: Kind,
    now_ms: i64,
    settings: &Settings,
) -> Result<(Job, Progress), Vec<String>> {
    let value: Value = serde_json::from_slice(body)
        .map_err(|error| vec![format!("the body is no JSON: {error}")])?;
    let Value::Object(map) = value else {
        return Err(vec!["the body is no JSON object".to_owned()]);
    };
    let mut fields = Fields::new(&map);
    let job = job(&mut fields, kind, now_ms, settings);
    let progress = progress(&mut fields);
    match fields.problems() {
        problems if problems.is_empty() => Ok((job, progress)),
        problems => Err(problems),
    }
}

fn job(fields: &mut Fields<'_>, kind: Kind, now_ms: i64, settings: &Settings) -> Job {
    let name = fields.text("name");
    check_name(fields, &name);
    let or_default = |amount: f64, default: f64| if amount > 0.0 { amount } else { default };
    let job = Job {
        command: fields.text("command"),
        shell: fields.switch("shell", true),
        arguments: fields.texts("arguments"),
        executor: fields.text("executor"),
        executor_flags: fields.text("executorFlags"),
        task_info_data: fields.text("taskInfoData"),
        retries: u32::try_from(fields.whole("retries").unwrap_or(2)).unwrap_or(u32::MAX),
        owner: fields.text("owner"),
        owner_name: fields.text("ownerName"),
        description: fields.text("description"),
        cpus: or_default(fields.amount("cpus"), settings.task_cpus),
        mem: or_default(fields.amount("mem"), settings.task_mem),
        disk: or_default(fields.amount("disk"), settings.task_disk),
        gpus: fields.amount("gpus"),
        disabled: fields.switch("disabled", false) || fields.switch("suspend", false),
        soft_error: fields.switch("softError", false),
        data_processing_job_type: fields.switch("dataProcessingJobType", false),
        high_priority: fields.switch("highPriority", false),
        run_as_user: match fields.text("runAsUser") {
            user if user.is_empty() => settings.user.clone(),
            user => user,
        },
        max_completion_time: fields.whole("maxCompletionTime").unwrap_or(0),
        fetch: artifacts(fields),
        environment_variables: variables(fields),
        constraints: constraints(fields),
        container: container::read(fields),
        is_async: fields.switch("async", false),
        epsilon: epsilon(fields),
        concurrent: fields.switch("concurrent", false),
        concurrency_policy: policy(fields),
        catch_up: fields.switch("catchUp", false),
        starting_deadline_seconds: fields.whole("startingDeadlineSeconds"),
        queue_timeout_seconds: fields.whole("queueTimeoutSeconds"),
        jitter_seconds: fields.whole("jitterSeconds").unwrap_or(0),
        retry_delay_seconds: fields.optional_amount("retryDelaySeconds"),
        retry_backoff_factor: fields.optional_amount("retryBackoffFactor"),
        retry_delay_max_seconds: fields.optional_amount("retryDelayMaxSeconds"),
        retry_unreachable: fields.switch("retryUnreachable", false),
        successful_runs_history_limit: history_limit(fields, "successfulRunsHistoryLimit"),
        failed_runs_history_limit: history_limit(fields, "failedRunsHistoryLimit"),
        notify_on: notify_on(fields),
        overdue_after_seconds: fields.whole("overdueAfterSeconds"),
        trigger: trigger(fields, kind, now_ms),
        name,
    };
    if job.retry_backoff_factor.is_some_and(|factor| factor < 1.0) {
        fields.wrong("retryBackoffFactor", "it must be at least 1");
    }
    job
}

fn check_name(fields: &mut Fields<'_>, name: &str) {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || " ._#-".contains(c);
    let problem = if name.is_empty() {
        "a job needs a name".to_owned()
    } else if let Some(other) = name.chars().find(|c| !is_allowed(*c)) {
        format!("'{name}' contains '{other}'; letters, digits, spaces and ._#- are allowed")
    } else if name.trim() != name {
        format!("'{name}' begins or ends with a space")
    } else if name.len() > MAX_NAME {
        format!("it is longer than {MAX_NAME} bytes")
    } else {
        return;
    };
    fields.wrong("name", &problem);
}

fn trigger(fields: &mut Fields<'_>, kind: Kind, now_ms: i64) -> Trigger {
    let parents: BTreeSet<String> = fields.texts("parents").into_iter().collect();
    let schedule = fields.text("schedule");
    let cron = fields.text("cron");
    let zone = fields.text("scheduleTimeZone");
    if kind == Kind::Dependent {
        if parents.is_empty() {
            fields.wrong("parents", "a dependent job needs at least one");
        }
        return Trigger::Parents(parents);
    }
    if !parents.is_empty() {
        fields.wrong(
            "parents",
            "this is the endpoint of scheduled jobs; jobs with parents go to 'dependency'",
        );
    }
    if !schedule.is_empty() && !cron.is_empty() && schedule != cron {
        fields.wrong(
            "cron",
            "there is schedule, too, and only one of them can be",
        );
    }
    let (field, text) = match (schedule.is_empty(), cron.is_empty()) {
        (false, _) => ("schedule", schedule),
        (true, false) => ("cron", cron),
        (true, true) => ("schedule", "R1//PT24H".to_owned()),
    };
    match Timetable::parse(&text, &zone, now_ms) {
        Ok(timetable) => Trigger::Schedule(timetable),
        Err(error) => {
            let (field, text) = match &error {
                ScheduleError::Zone { name, problem } => {
                    ("scheduleTimeZone", format!("'{name}' {problem}"))
                }
                _ => (field, format!("Cannot parse schedule '{text}': {error}")),
            };
            fields.wrong(field, &text);
            // What is wrong is not used.
            Trigger::Parents(BTreeSet::new())
        }
    }
}

fn epsilon(fields: &mut Fields<'_>) -> Option<Period> {
    let text = fields.text("epsilon");
    if text.is_empty() {
        return None;
    }
    Period::try_from(text)
        .map_err(|problem| fields.wrong("epsilon", &problem))
        .ok()
}

fn policy(fields: &mut Fields<'_>) -> Option<Policy> {
    match fields.text("concurrencyPolicy").as_str() {
        "" => None,
        "Allow" => Some(Policy::Allow),
        "Forbid" => Some(Policy::Forbid),
        "Replace" => Some(Policy::Replace),
        other => {
            let problem = format!("'{other}' is none of Allow, Forbid and Replace");
            fields.wrong("concurrencyPolicy", &problem);
            None
        }
    }
}

/// More than this is not kept of one job.
const MOST_REMEMBERED: u64 = 1000;

fn history_limit(fields: &mut Fields<'_>, name: &'static str) -> Option<u32> {
    let limit = fields.whole(name)?;
    if limit > MOST_REMEMBERED {
        fields.wrong(name, &format!("it is more than {MOST_REMEMBERED}"));
    }
    u32::try_from(limit).ok()
}

fn notify_on(fields: &mut Fields<'_>) -> BTreeSet<NotifyOn> {
    let mut all = BTreeSet::new();
    for name in fields.texts("notifyOn") {
        match name.as_str() {
            "success" => drop(all.insert(NotifyOn::Success)),
            "overdue" => drop(all.insert(NotifyOn::Overdue)),
            "recovery" => drop(all.insert(NotifyOn::Recovery)),
            // That is told in any case.
            "failure" => {}
            other => {
                let problem = format!("'{other}' is none of failure, success, overdue, recovery");
                fields.wrong("notifyOn", &problem);
            }
        }
    }
    all
}

fn variables(fields: &mut Fields<'_>) -> Vec<Variable> {
    let mut all = Vec::new();
    for mut variable in fields.objects("environmentVariables") {
        let name = variable.text("name");
        if name.is_empty() {
            variable.wrong("name", "a variable needs one");
        }
        all.push(Variable {
            value: variable.text("value"),
            name,
        });
        fields.adopt("environmentVariables", variable);
    }
    all
}

fn artifacts(fields: &mut Fields<'_>) -> Vec<Artifact> {
    let mut all = Vec::new();
    for mut artifact in fields.objects("fetch") {
        let uri = artifact.text("uri");
        if uri.is_empty() {
            artifact.wrong("uri", "it says what is fetched");
        }
        all.push(Artifact {
            output_file: artifact.text("output_file"),
            executable: artifact.switch("executable", false),
            cache: artifact.switch("cache", false),
            extract: artifact.switch("extract", true),
            uri,
        });
        fields.adopt("fetch", artifact);
    }
    // The older form; both are shown, and may be sent back.
    let uris = fields.texts("uris");
    if all.is_empty() {
        let plain = |uri| Artifact {
            uri,
            output_file: String::new(),
            executable: false,
            cache: false,
            extract: true,
        };
        return uris.into_iter().map(plain).collect();
    }
    if !uris.is_empty() && !uris.iter().eq(all.iter().map(|it| &it.uri)) {
        fields.wrong("uris", "there is fetch, too, and it names others");
    }
    all
}

fn constraints(fields: &mut Fields<'_>) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    for parts in fields.lists("constraints") {
        if let Err(problem) = constraints_of(&parts) {
            let text = format!("{}: {problem}", parts.join(" "));
            fields.wrong("constraints", &text);
        }
        all.push(parts);
    }
    all
}

/// Counters of a job that comes from elsewhere.
fn progress(fields: &mut Fields<'_>) -> Progress {
    let mut at = |name| timestamp::parse(&fields.text(name));
    let (last_success_ms, last_error_ms) = (at("lastSuccess"), at("lastError"));
    Progress {
        success_count: fields.whole("successCount").unwrap_or(0),
        error_count: fields.whole("errorCount").unwrap_or(0),
        errors_since_last_success: fields.whole("errorsSinceLastSuccess").unwrap_or(0),
        last_success_ms,
        last_error_ms,
        ..Progress::default()
    }
}

#[cfg(test)]
mod tests;
