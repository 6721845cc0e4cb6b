//! Numbers about what goes on, and what owners are told.

use mesos_service::clock::{Clock as _, SystemClock};

use crate::effects::{Fact, Notice, NoticeKind};
use crate::notify::{Notification, Notifier};
use crate::run::TaskId;
use crate::timestamp::iso_or_empty;

/// Counts something.
pub(super) fn count(fact: &Fact) {
    match fact {
        Fact::Launched { late_ms } => {
            metrics::counter!("jobs.launches.counter").increment(1);
            metrics::histogram!("jobs.launch.lateness.seconds").record(*late_ms as f64 / 1000.0);
        }
        Fact::Succeeded { job, took_ms } => {
            metrics::counter!("jobs.run.success", "job" => job.clone()).increment(1);
            metrics::histogram!("jobs.run.time", "job" => job.clone())
                .record((*took_ms).max(0) as f64);
        }
        Fact::Failed { job } => {
            metrics::counter!("jobs.run.failure", "job" => job.clone()).increment(1);
        }
        Fact::Missed { count } => {
            metrics::counter!("jobs.missed.counter").increment(*count);
        }
        Fact::Queue { high, normal } => {
            metrics::gauge!("jobs.highQueueSize").set(*high as f64);
            metrics::gauge!("jobs.queueSize").set(*normal as f64);
        }
    }
}

/// The master has taken a launch: how long after they were due first attempts
/// are on their way, jitter included.
pub(super) fn called(task_ids: &[String]) {
    let now_ms = SystemClock.now_ms();
    let ids = task_ids.iter().filter_map(|id| TaskId::parse(id));
    for id in ids.filter(|id| id.attempt == 0) {
        let late_ms = (now_ms - id.id_ms).max(0);
        metrics::histogram!("jobs.launch.called.seconds").record(late_ms as f64 / 1000.0);
    }
}

/// Tells an owner; it never waits.
pub(super) fn notify(notifier: &Notifier, cluster: Option<&str>, notice: Notice) {
    let kind = match notice.kind {
        NoticeKind::Removed => "removed",
        NoticeKind::Disabled => "disabled",
        NoticeKind::Failed => "failed",
        NoticeKind::Succeeded => "succeeded",
        NoticeKind::Overdue => "overdue",
        NoticeKind::Recovered => "recovered",
    };
    let prefix = cluster.map(|name| format!("[{name}] ")).unwrap_or_default();
    let (job, progress) = (&notice.job, &notice.progress);
    let owners = job.owner.split(',').map(|owner| owner.trim().to_owned());
    let uris: Vec<&str> = job.fetch.iter().map(|it| it.uri.as_str()).collect();
    let epsilon = job
        .epsilon
        .as_ref()
        .map(|epsilon| epsilon.text().to_owned());
    let facts = vec![
        ("job", job.name.clone()),
        ("command", job.command.clone()),
        ("cpus", job.cpus.to_string()),
        ("mem", job.mem.to_string()),
        ("retries", job.retries.to_string()),
        ("softError", job.soft_error.to_string()),
        ("executor", job.executor.clone()),
        ("executorFlags", job.executor_flags.clone()),
        ("uris", uris.join(",")),
        ("async", job.is_async.to_string()),
        ("epsilon", epsilon.unwrap_or_default()),
        ("successCount", progress.success_count.to_string()),
        ("errorCount", progress.error_count.to_string()),
        (
            "errorsSinceLastSuccess",
            progress.errors_since_last_success.to_string(),
        ),
        ("lastSuccess", iso_or_empty(progress.last_success_ms)),
        ("lastError", iso_or_empty(progress.last_error_ms)),
    ];
    notifier.notify(&Notification {
        kind,
        owners: owners.filter(|owner| !owner.is_empty()).collect(),
        subject: format!("{prefix}[Chronos] {}", notice.subject),
        message: notice.message,
        facts,
    });
}
