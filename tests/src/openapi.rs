//! Asks a server whatever its OpenAPI description allows, and much that it does
//! not, and compares each answer with what is described: the status, the media
//! type and the body.
//!
//! What is asked follows from a seed and from what was answered before: ids
//! that were seen are asked for again.

mod client;
mod generate;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use jsonschema::Validator;
use mesos_local::simulation::Dice;
use serde_json::{Value, json};

pub use client::Answer;
use generate::Generator;

/// One server and its description.
#[derive(Debug)]
pub struct Explorer {
    server: SocketAddr,
    document: Value,
    operations: Vec<Operation>,
    /// By the place of the schema in the document.
    validators: BTreeMap<String, Validator>,
    generator: Generator,
}

/// Something that can be asked.
#[derive(Debug, Clone)]
struct Operation {
    method: String,
    path: String,
    described: Value,
}

/// A request, so that it can be made again.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The method.
    pub method: String,
    /// The path with parameters and query.
    pub target: String,
    /// Its headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Option<String>,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Findings {
    /// Answers that are not as described.
    pub wrong: Vec<String>,
    /// Which statuses each operation was answered with.
    pub statuses: BTreeMap<String, BTreeSet<u16>>,
}

impl Explorer {
    /// Reads the description that a server has at a path.
    ///
    /// # Panics
    ///
    /// When there is none, or a schema in it is none.
    pub async fn of(server: SocketAddr, path: &str, seed: u64) -> Self {
        let asked = Asked {
            method: "GET".to_owned(),
            target: path.to_owned(),
            headers: Vec::new(),
            body: None,
        };
        // It may not be ready yet.
        let described = async {
            loop {
                match client::ask(server, &asked).await {
                    Ok(answer) if answer.status == 200 => return answer,
                    _ => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        };
        let answer = tokio::time::timeout(client::PATIENCE, described).await;
        let answer = answer.expect("a description in time");
        let document: Value = serde_json::from_str(&answer.body).expect("a description");
        let mut operations = Vec::new();
        for (path, methods) in document["paths"].as_object().expect("paths") {
            for (method, described) in methods.as_object().expect("methods") {
                operations.push(Operation {
                    method: method.to_uppercase(),
                    path: path.clone(),
                    described: described.clone(),
                });
            }
        }
        let generator = Generator::new(document.clone(), Dice::new(seed));
        Self {
            server,
            document,
            operations,
            validators: BTreeMap::new(),
            generator,
        }
    }

    /// Asks so many times, for everything but what `avoid` names as
    /// `METHOD path`.
    pub async fn explore(&mut self, times: usize, avoid: &[&str]) -> Findings {
        let name = |operation: &Operation| format!("{} {}", operation.method, operation.path);
        let operations: Vec<Operation> = self
            .operations
            .iter()
            .filter(|operation| !avoid.contains(&name(operation).as_str()))
            .cloned()
            .collect();
        let mut findings = Findings::default();
        for time in 0..times {
            // Everything in turn, then whatever comes.
            let index = match operations.get(time) {
                Some(_) => time,
                None => self.generator.below(operations.len()),
            };
            let operation = &operations[index];
            let asked = self
                .generator
                .request(&operation.path, &operation.described);
            let asked = Asked {
                method: operation.method.clone(),
                ..asked
            };
            let answer = match client::ask(self.server, &asked).await {
                Ok(answer) => answer,
                Err(error) => {
                    findings.wrong.push(format!("{asked:?}: {error}"));
                    continue;
                }
            };
            let statuses = findings.statuses.entry(name(operation)).or_default();
            statuses.insert(answer.status);
            if let Err(problem) = self.check(operation, &answer) {
                let body: String = answer.body.chars().take(300).collect();
                let text = format!("{asked:?}: {} {body}: {problem}", answer.status);
                findings.wrong.push(text);
            }
            if let Ok(body) = serde_json::from_str(&answer.body) {
                self.generator.learn(&body);
            }
        }
        findings
    }

    /// Whether an answer is as it is described.
    fn check(&mut self, operation: &Operation, answer: &Answer) -> Result<(), String> {
        if answer.status >= 500 && answer.status != 503 {
            return Err("the server failed".to_owned());
        }
        let status = answer.status.to_string();
        let mut response = &operation.described["responses"][&status];
        if let Some(link) = response["$ref"].as_str() {
            response = self.document.pointer(&link[1..]).unwrap_or(&Value::Null);
        }
        if response.is_null() {
            return Err("this status is not described".to_owned());
        }
        let contents = &response["content"];
        let media_type = answer.media_type.as_deref().unwrap_or_default();
        let essence = media_type.split(';').next().unwrap_or_default().trim();
        if contents.is_null() {
            let is_empty = answer.body.is_empty();
            return is_empty.then_some(()).ok_or("no body is described".into());
        }
        let content = &contents[essence];
        if content.is_null() {
            return Err(format!("{essence:?} is not described"));
        }
        let body = match essence {
            "application/json" => {
                serde_json::from_str(&answer.body).map_err(|error| format!("no JSON: {error}"))?
            }
            _ => Value::String(answer.body.clone()),
        };
        let schema = content["schema"].clone();
        let errors = self.errors(&schema, &body);
        errors.is_empty().then_some(()).ok_or(errors.join("; "))
    }

    fn errors(&mut self, schema: &Value, body: &Value) -> Vec<String> {
        let document = &self.document;
        let validator = self
            .validators
            .entry(schema.to_string())
            .or_insert_with(|| {
                let mut whole = schema.clone();
                // Where its links lead.
                whole["components"] = document["components"].clone();
                jsonschema::draft202012::new(&whole).expect("a schema")
            });
        let errors = validator.iter_errors(body);
        errors
            .map(|error| format!("{} at {:?}", error, error.instance_path().as_str()))
            .take(3)
            .collect()
    }
}

/// Whether a server that answers so would be found out; for tests of this.
#[must_use]
pub fn differs(described: &Value, answer: &Answer) -> bool {
    let document = json!({"paths": {}, "components": {}});
    let mut explorer = Explorer {
        server: SocketAddr::from(([127, 0, 0, 1], 0)),
        document: document.clone(),
        operations: Vec::new(),
        validators: BTreeMap::new(),
        generator: Generator::new(document, Dice::new(0)),
    };
    let operation = Operation {
        method: "GET".to_owned(),
        path: "/".to_owned(),
        described: described.clone(),
    };
    explorer.check(&operation, answer).is_err()
}
