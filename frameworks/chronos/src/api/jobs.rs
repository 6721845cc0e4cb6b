//! Jobs: list, search, create, run, delete.

use std::sync::Arc;

use http::StatusCode;
use mesos_service::http::{Request as Http, Response};
use serde_json::json;

use crate::input::{self, Kind};
use crate::job::Job;
use crate::progress::Progress;
use crate::request::{Reply, Request};
use crate::show::ShownJob;
use crate::state::State;

use super::{Answered, Api, error, now_ms, unknown};

/// How many jobs a search gives unless it says.
const SEARCH_LIMIT: usize = 10;

type Known = (Arc<Job>, Arc<Progress>);

fn all(state: &State) -> Vec<Known> {
    let jobs = state.jobs.values();
    jobs.map(|job| (job.clone(), state.progress_of(&job.name)))
        .collect()
}

fn shown(known: &[Known]) -> Response {
    let shown = known
        .iter()
        .map(|(job, progress)| ShownJob::new(job, progress));
    let shown: Vec<ShownJob<'_>> = shown.collect();
    Response::ok(&shown).tagged()
}

pub(super) async fn list(api: Api, _: Http) -> Answered {
    Ok(shown(&api.look(all).await?))
}

pub(super) async fn get(api: Api, request: Http) -> Answered {
    let name = request.parameter("name").to_owned();
    let wanted = name.clone();
    let found = api.look(move |state| {
        let job = state.jobs.get(&wanted)?;
        Some((job.clone(), state.progress_of(&wanted)))
    });
    let (job, progress) = found.await?.ok_or_else(|| unknown(&name))?;
    Ok(Response::ok(&ShownJob::new(&job, &progress)).tagged())
}

pub(super) async fn summary(api: Api, _: Http) -> Answered {
    let known = api.look(|state| {
        let jobs = all(state).into_iter();
        let jobs = jobs.map(|(job, progress)| {
            let activity = state.activity(&job.name);
            let next = state.next_due(&job.name).filter(|_| !job.disabled);
            (job, progress, activity, next)
        });
        jobs.collect::<Vec<_>>()
    });
    let jobs: Vec<_> = known
        .await?
        .iter()
        .map(|(job, progress, activity, next)| {
            json!({
                "name": job.name,
                "status": progress.status(),
                "state": activity,
                "schedule": job.timetable().map_or("", |it| it.text()),
                "parents": job.parents().collect::<Vec<_>>(),
                "disabled": job.disabled,
                "nextRun": next.map(crate::timestamp::iso),
            })
        })
        .collect();
    Ok(Response::ok(&json!({"jobs": jobs})).tagged())
}

pub(super) async fn search(api: Api, request: Http) -> Answered {
    let text = |name: &str| request.query.get(name).unwrap_or_default().to_lowercase();
    let (name, command, any) = (text("name"), text("command"), text("any"));
    let number = |name: &str, default: usize| match request.query.get(name) {
        None | Some("") => Ok(default),
        Some(text) => text.parse().map_err(|_| {
            let message = format!("{name}: '{text}' is no whole number");
            error(StatusCode::BAD_REQUEST, &message)
        }),
    };
    let (limit, offset) = (number("limit", SEARCH_LIMIT)?, number("offset", 0)?);
    let found = api.look(move |state| {
        let fits = |job: &&Arc<Job>| {
            let (its_name, its_command) = (job.name.to_lowercase(), job.command.to_lowercase());
            let has_asked = !name.is_empty() || !command.is_empty();
            let is_it = its_name.contains(&name) && its_command.contains(&command);
            let is_any = its_name.contains(&any) || its_command.contains(&any);
            match (has_asked, any.is_empty()) {
                (_, true) => is_it,
                (true, false) => is_it || is_any,
                (false, false) => is_any,
            }
        };
        let found = state.jobs.values().filter(fits).skip(offset).take(limit);
        let found = found.map(|job| (job.clone(), state.progress_of(&job.name)));
        found.collect::<Vec<Known>>()
    });
    Ok(shown(&found.await?))
}

pub(super) async fn put_scheduled(api: Api, request: Http) -> Answered {
    put(api, request, Kind::Scheduled).await
}

pub(super) async fn put_dependent(api: Api, request: Http) -> Answered {
    put(api, request, Kind::Dependent).await
}

async fn put(api: Api, request: Http, kind: Kind) -> Answered {
    let read = input::read(&request.body, kind, now_ms(), &api.0.settings);
    let (job, progress) = read.map_err(|problems| {
        let message = problems.join("; ");
        error(StatusCode::BAD_REQUEST, &message)
    })?;
    let request = Request::Put {
        job: Arc::new(job),
        progress: Arc::new(progress),
    };
    api.ask(request).await
}

pub(super) async fn force(api: Api, request: Http) -> Answered {
    let arguments = request.query.get("arguments").map(str::to_owned);
    let force = Request::Force {
        job: request.parameter("name").to_owned(),
        arguments: arguments.filter(|text| !text.is_empty()),
    };
    api.ask(force).await
}

pub(super) async fn delete(api: Api, request: Http) -> Answered {
    let name = request.parameter("name").to_owned();
    api.ask(Request::Delete(name)).await
}

pub(super) async fn mark_success(api: Api, request: Http) -> Answered {
    let name = request.parameter("name").to_owned();
    let asked = super::Ask::Do(Request::MarkSuccess(name.clone()));
    let done = match api.0.handle.ask(asked).await {
        Ok(Reply::NoJob(_)) => false,
        Ok(Reply::Done) => true,
        Ok(Reply::Refused(why)) => return Err(error(StatusCode::BAD_REQUEST, &why)),
        Err(stopped) => {
            let message = stopped.to_string();
            return Err(error(StatusCode::SERVICE_UNAVAILABLE, &message));
        }
    };
    let text = format!("marked job {name} as successful: {done}");
    Ok(Response::text(StatusCode::OK, text))
}
