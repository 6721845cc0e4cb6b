//! How long jobs take, and how their last tasks went.

use mesos_service::http::{Request as Http, Response};
use serde_json::{Value, json};

use crate::progress::{Durations, Outcome, PastRun};
use crate::run::Launched;
use crate::timestamp::{duration, short};

use super::{Answered, Api, unknown};

/// The quantiles that there are, as they are called.
const QUANTILES: [(&str, f64); 5] = [
    ("75thPercentile", 0.75),
    ("95thPercentile", 0.95),
    ("98thPercentile", 0.98),
    ("99thPercentile", 0.99),
    ("median", 0.5),
];

fn statistic(durations: &Durations, name: &str) -> Option<f64> {
    if name == "mean" {
        return Some(durations.mean_ms());
    }
    let found = QUANTILES.iter().find(|(known, _)| *known == name);
    found.map(|(_, quantile)| durations.quantile_ms(*quantile))
}

/// In seconds, the longest first.
pub(super) async fn all(api: Api, request: Http) -> Answered {
    let name = request.parameter("quantile").to_owned();
    let times = api.look(move |state| {
        let jobs = state.jobs.keys();
        let times = jobs.filter_map(|job| {
            let progress = state.progress.get(job)?;
            let ms = statistic(&progress.durations, &name)?;
            Some((job.clone(), ms / 1000.0))
        });
        times.collect::<Vec<(String, f64)>>()
    });
    let mut times = times.await?;
    times.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let times: Vec<Value> = times
        .into_iter()
        .map(|(job, time)| json!({"jobNameLabel": job, "time": time}))
        .collect();
    Ok(Response::ok(&times))
}

pub(super) async fn job(api: Api, request: Http) -> Answered {
    let name = request.parameter("name").to_owned();
    let wanted = name.clone();
    let found = api.look(move |state| {
        let job = state.jobs.get(&wanted)?.clone();
        let history = state.histories.get(&wanted).cloned().unwrap_or_default();
        let running = state.runs_of(&wanted);
        let running = running.filter_map(|(_, run)| run.launched().cloned());
        let running: Vec<Launched> = running.collect();
        Some((job, state.progress_of(&wanted), history, running))
    });
    let found = found.await?;
    let (job, progress, history, running) = found.ok_or_else(|| unknown(&name))?;
    let mut histogram = serde_json::Map::new();
    for (known, quantile) in QUANTILES {
        let ms = progress.durations.quantile_ms(quantile);
        histogram.insert(known.to_owned(), ms.into());
    }
    histogram.insert("mean".to_owned(), progress.durations.mean_ms().into());
    histogram.insert("count".to_owned(), progress.durations.count().into());
    let has_elements = job.data_processing_job_type;
    let running = running.iter().map(|launched| {
        let mut shown = json!({
            "taskId": launched.task_id,
            "jobName": name,
            "slaveId": launched.agent_id,
            "startTime": launched.started_ms.map_or("N/A".to_owned(), short),
            "endTime": "N/A",
            "status": if launched.started_ms.is_some() { "Running" } else { "Idle" },
        });
        if has_elements {
            shown["numElementsProcessed"] = launched.elements.into();
        }
        shown
    });
    let past = history.0.iter().filter(|past| !past.task_id.is_empty());
    let past = past.map(|past| {
        let mut shown = shown(&name, past);
        if has_elements {
            shown["numElementsProcessed"] = past.elements.into();
        }
        shown
    });
    let tasks: Vec<Value> = running.chain(past).collect();
    Ok(Response::ok(
        &json!({"histogram": histogram, "taskStatHistory": tasks}),
    ))
}

fn shown(job: &str, past: &PastRun) -> Value {
    let mut shown = json!({
        "taskId": past.task_id,
        "jobName": job,
        "slaveId": past.agent_id,
        "startTime": past.started_ms.map_or("N/A".to_owned(), short),
        "endTime": short(past.ended_ms),
        "status": if past.outcome == Outcome::Success { "Success" } else { "Fail" },
    });
    if let Some(started) = past.started_ms {
        shown["duration"] = duration(past.ended_ms - started).into();
    }
    shown
}
