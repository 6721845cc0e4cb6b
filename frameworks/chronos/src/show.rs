//! Jobs as clients are shown them, in the order in which the original wrote the
//! fields. Fields that the original does not know are shown where they are set.

use serde::Serialize;

use crate::job::{
    Artifact, Container, Job, NotifyOn, Period, Policy, Timetable, Trigger, Variable,
};
use crate::progress::Progress;
use crate::timestamp::iso_or_empty;

/// A job and what became of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ShownJob<'a> {
    name: &'a str,
    command: &'a str,
    shell: bool,
    executor: &'a str,
    executor_flags: &'a str,
    task_info_data: &'a str,
    retries: u32,
    owner: &'a str,
    owner_name: &'a str,
    description: &'a str,
    success_count: u64,
    error_count: u64,
    last_success: String,
    last_error: String,
    cpus: f64,
    disk: f64,
    mem: f64,
    #[serde(skip_serializing_if = "is_nothing")]
    gpus: f64,
    disabled: bool,
    soft_error: bool,
    data_processing_job_type: bool,
    errors_since_last_success: u64,
    fetch: &'a [Artifact],
    uris: Vec<&'a str>,
    environment_variables: &'a [Variable],
    arguments: &'a [String],
    high_priority: bool,
    run_as_user: &'a str,
    concurrent: bool,
    max_completion_time: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    container: Option<&'a Container>,
    constraints: &'a [Vec<String>],
    #[serde(rename = "async")]
    is_async: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    epsilon: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    concurrency_policy: Option<Policy>,
    #[serde(skip_serializing_if = "is_off")]
    catch_up: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    starting_deadline_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue_timeout_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jitter_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_delay_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_backoff_factor: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_delay_max_seconds: Option<f64>,
    #[serde(skip_serializing_if = "is_off")]
    retry_unreachable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    successful_runs_history_limit: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failed_runs_history_limit: Option<u32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notify_on: Vec<NotifyOn>,
    #[serde(skip_serializing_if = "Option::is_none")]
    overdue_after_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parents: Option<Vec<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    schedule: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    schedule_time_zone: Option<&'a str>,
}

fn is_nothing(amount: &f64) -> bool {
    *amount == 0.0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_off(switch: &bool) -> bool {
    !switch
}

impl<'a> ShownJob<'a> {
    /// A job; what is fetched is shown in both forms.
    #[must_use]
    pub fn new(job: &'a Job, progress: &Progress) -> Self {
        let (parents, timetable) = match &job.trigger {
            Trigger::Parents(parents) => (Some(parents), None),
            Trigger::Schedule(timetable) => (None, Some(timetable)),
        };
        Self {
            name: &job.name,
            command: &job.command,
            shell: job.shell,
            executor: &job.executor,
            executor_flags: &job.executor_flags,
            task_info_data: &job.task_info_data,
            retries: job.retries,
            owner: &job.owner,
            owner_name: &job.owner_name,
            description: &job.description,
            success_count: progress.success_count,
            error_count: progress.error_count,
            last_success: iso_or_empty(progress.last_success_ms),
            last_error: iso_or_empty(progress.last_error_ms),
            cpus: job.cpus,
            disk: job.disk,
            mem: job.mem,
            gpus: job.gpus,
            disabled: job.disabled,
            soft_error: job.soft_error,
            data_processing_job_type: job.data_processing_job_type,
            errors_since_last_success: progress.errors_since_last_success,
            fetch: &job.fetch,
            uris: job.fetch.iter().map(|it| it.uri.as_str()).collect(),
            environment_variables: &job.environment_variables,
            arguments: &job.arguments,
            high_priority: job.high_priority,
            run_as_user: &job.run_as_user,
            concurrent: job.concurrent,
            max_completion_time: job.max_completion_time,
            container: job.container.as_ref(),
            constraints: &job.constraints,
            is_async: job.is_async,
            epsilon: job.epsilon.as_ref().map(Period::text),
            concurrency_policy: job.concurrency_policy,
            catch_up: job.catch_up,
            starting_deadline_seconds: job.starting_deadline_seconds,
            queue_timeout_seconds: job.queue_timeout_seconds,
            jitter_seconds: Some(job.jitter_seconds).filter(|seconds| *seconds > 0),
            retry_delay_seconds: job.retry_delay_seconds,
            retry_backoff_factor: job.retry_backoff_factor,
            retry_delay_max_seconds: job.retry_delay_max_seconds,
            retry_unreachable: job.retry_unreachable,
            successful_runs_history_limit: job.successful_runs_history_limit,
            failed_runs_history_limit: job.failed_runs_history_limit,
            notify_on: job.notify_on.iter().copied().collect(),
            overdue_after_seconds: job.overdue_after_seconds,
            parents: parents.map(|all| all.iter().map(String::as_str).collect()),
            schedule: timetable.map(Timetable::text),
            schedule_time_zone: timetable.map(Timetable::zone),
        }
    }
}
