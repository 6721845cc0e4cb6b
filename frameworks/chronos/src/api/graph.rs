//! What depends on what.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use http::StatusCode;
use mesos_service::http::{Request as Http, Response};

use crate::state::State;

use super::{Answered, Api};

/// A job, and those it runs after.
struct Node {
    name: String,
    status: &'static str,
    activity: String,
    parents: Vec<String>,
}

fn nodes(state: &State) -> Vec<Node> {
    let jobs = state.jobs.values();
    jobs.map(|job| Node {
        name: job.name.clone(),
        status: state.progress_of(&job.name).status(),
        activity: state.activity(&job.name),
        parents: job.parents().cloned().collect(),
    })
    .collect()
}

pub(super) async fn dot(api: Api, _: Http) -> Answered {
    let nodes = api.look(nodes).await?;
    let numbers = (1..).zip(&nodes).map(|(number, node)| (&node.name, number));
    let numbers: BTreeMap<&String, usize> = numbers.collect();
    let mut text = String::from("digraph G {\n");
    for node in &nodes {
        let label = node.name.replace('\\', "\\\\").replace('"', "\\\"");
        // Writing to a string does not fail.
        let _ = writeln!(text, "  {} [ label=\"{label}\" ];", numbers[&node.name]);
    }
    for node in &nodes {
        for parent in &node.parents {
            if let Some(number) = numbers.get(parent) {
                let _ = writeln!(text, "  {number} -> {};", numbers[&node.name]);
            }
        }
    }
    text.push_str("}\n");
    Ok(Response::text(StatusCode::OK, text))
}

pub(super) async fn csv(api: Api, _: Http) -> Answered {
    let nodes = api.look(nodes).await?;
    let mut text = String::new();
    for node in &nodes {
        let (name, status, activity) = (&node.name, node.status, &node.activity);
        let _ = writeln!(text, "node,{name},{status},{activity}");
    }
    for node in &nodes {
        for parent in &node.parents {
            let _ = writeln!(text, "link,{parent},{}", node.name);
        }
    }
    Ok(Response::text(StatusCode::OK, text))
}
