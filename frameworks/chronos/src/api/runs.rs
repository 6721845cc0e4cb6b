//! Runs: those that are not over, those that are, why they wait, and what they
//! have written.

use http::StatusCode;
use http::header::HeaderName;
use mesos_service::http::{Request as Http, Response};
use serde_json::{Value, json};

use crate::progress::{PastRun, Sandbox};
use crate::run::{Cause, Phase, Run, RunId};
use crate::state::State;
use crate::timestamp::iso;

use super::{Answered, Api, error, unknown};

/// The files of a task that are shown.
const FILES: [&str; 2] = ["stdout", "stderr"];

pub(super) async fn list(api: Api, request: Http) -> Answered {
    let name = request.parameter("name").to_owned();
    let wanted = name.clone();
    let found = api.look(move |state| {
        state.jobs.get(&wanted)?;
        let runs = state.runs_of(&wanted);
        let runs: Vec<Value> = runs.map(|(id, run)| present(state, id, run)).collect();
        let history = state.histories.get(&wanted).cloned().unwrap_or_default();
        Some((runs, history))
    });
    let (mut runs, history) = found.await?.ok_or_else(|| unknown(&name))?;
    runs.reverse();
    runs.extend(history.0.iter().map(past));
    Ok(Response::ok(&json!({"runs": runs})))
}

fn cause(run: &Run) -> &'static str {
    match run.cause {
        Cause::Schedule => "schedule",
        Cause::Parents => "parents",
        Cause::Forced => "forced",
    }
}

fn present(state: &State, id: RunId, run: &Run) -> Value {
    let mut shown = json!({
        "run": id.0,
        "due": iso(run.due_ms),
        "cause": cause(run),
        "attempt": run.attempt,
        "failures": run.failures,
        "occurrences": run.collapsed + 1,
    });
    match &run.phase {
        Phase::Waiting => {
            shown["state"] = "waiting".into();
            shown["notBefore"] = iso(run.not_before_ms).into();
            shown["expires"] = run.expires_ms.map(iso).into();
            shown["reason"] = state.refusals.get(&run.job).cloned().into();
        }
        Phase::Launched(launched) => {
            shown["state"] = match (launched.is_awaited, launched.kill, launched.started_ms) {
                (true, ..) => "awaited",
                (_, Some(_), _) => "killing",
                (_, None, Some(_)) => "running",
                (_, None, None) => "staging",
            }
            .into();
            shown["taskId"] = launched.task_id.clone().into();
            shown["agentId"] = launched.agent_id.clone().into();
            shown["host"] = launched.hostname.clone().into();
            shown["launched"] = iso(launched.launched_ms).into();
            shown["start"] = launched.started_ms.map(iso).into();
            shown["unreachableSince"] = launched.unreachable_ms.map(iso).into();
        }
    }
    shown
}

fn past(past: &PastRun) -> Value {
    json!({
        "due": iso(past.due_ms),
        "attempt": past.attempt,
        "occurrences": past.occurrences,
        "state": past.outcome.name(),
        "taskId": past.task_id,
        "agentId": past.agent_id,
        "host": past.hostname,
        "start": past.started_ms.map(iso),
        "end": iso(past.ended_ms),
        "message": past.message,
    })
}

/// What waits, and what it waits for.
pub(super) async fn queue(api: Api, _: Http) -> Answered {
    let queue = api.look(|state| {
        let waiting = state.runs.iter();
        let waiting = waiting.filter(|(_, run)| run.phase == Phase::Waiting);
        let waiting = waiting.map(|(id, run)| {
            let mut shown = present(state, *id, run);
            shown["job"] = run.job.clone().into();
            shown
        });
        waiting.collect::<Vec<Value>>()
    });
    Ok(Response::ok(&json!({"queue": queue.await?})))
}

/// What a task has written; `offset` and `length` choose a part.
pub(super) async fn output(api: Api, request: Http) -> Answered {
    let (name, task) = (request.parameter("name"), request.parameter("task"));
    let file = request.parameter("file").to_owned();
    if !FILES.contains(&file.as_str()) {
        let message = format!("'{file}' is neither stdout nor stderr");
        return Err(error(StatusCode::NOT_FOUND, &message));
    }
    let number = |field: &str| match request.query.get(field) {
        None | Some("") => Ok(None),
        Some(text) => text.parse::<u64>().map(Some).map_err(|_| {
            let message = format!("{field}: '{text}' is no whole number");
            error(StatusCode::BAD_REQUEST, &message)
        }),
    };
    let (offset, length) = (number("offset")?.unwrap_or(0), number("length")?);
    let (job, wanted) = (name.to_owned(), task.to_owned());
    let found = api.look(move |state| {
        state.jobs.get(&job)?;
        let framework_id = state.framework_id.clone().unwrap_or_default();
        Some((framework_id, find(state, &job, &wanted)))
    });
    let (framework_id, sandbox) = found.await?.ok_or_else(|| unknown(name))?;
    let Some(sandbox) = sandbox else {
        let message = format!("nothing is known of the output of a task '{task}'");
        return Err(error(StatusCode::NOT_FOUND, &message));
    };
    let read = api
        .0
        .sandboxes
        .read(&framework_id, &sandbox, &file, offset, length);
    let piece = read.await.map_err(|wrong| {
        let message = format!("the agent does not give the output: {wrong}");
        error(StatusCode::BAD_GATEWAY, &message)
    })?;
    let size = HeaderName::from_static("x-file-size");
    let text = "text/plain; charset=utf-8";
    let response = Response::content(StatusCode::OK, text, piece.data);
    Ok(response.with(size, piece.size.into()))
}

fn find(state: &State, job: &str, task: &str) -> Option<Sandbox> {
    if let Some(id) = state.tasks.get(task) {
        let launched = state.runs.get(id)?.launched()?;
        return Some(Sandbox {
            agent_url: launched.agent_url.clone()?,
            executor_id: launched.executor_id.clone(),
            container_id: launched.container_id.clone()?,
        });
    }
    let history = state.histories.get(job)?;
    let past = history.0.iter().find(|past| past.task_id == task)?;
    past.sandbox.clone()
}
