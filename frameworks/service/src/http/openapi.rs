//! The description of an API that programs read: an OpenAPI document.

use serde_json::{Map, Value};

use super::{Response, Router};

/// An OpenAPI document in JSON.
///
/// ```
/// use mesos_service::http::Description;
///
/// let description = Description::parse(
///     r#"{"openapi": "3.1.0", "paths": {"/ping": {"get": {"summary": "pong"}}}}"#,
/// );
/// let operation = &description.operations()[0];
/// assert_eq!((operation.method.as_str(), operation.path.as_str()), ("GET", "/ping"));
/// ```
#[derive(Debug, Clone)]
pub struct Description(Value);

/// Something that can be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// `GET` and so on.
    pub method: String,
    /// With parameters in braces.
    pub path: String,
    /// What it is for.
    pub summary: String,
    /// The names of what may follow the path.
    pub query: Vec<String>,
}

impl Description {
    /// Reads a document that is part of the program.
    ///
    /// # Panics
    ///
    /// When it is no JSON.
    #[must_use]
    pub fn parse(document: &str) -> Self {
        Self(serde_json::from_str(document).expect("a description is JSON"))
    }

    /// The document, as it is answered.
    #[must_use]
    pub fn response(&self) -> Response {
        Response::ok(&self.0).tagged()
    }

    /// All that can be asked, by path and method.
    #[must_use]
    pub fn operations(&self) -> Vec<Operation> {
        let empty = Map::new();
        let paths = self.0["paths"].as_object().unwrap_or(&empty);
        let mut operations = Vec::new();
        for (path, methods) in paths {
            for (method, operation) in methods.as_object().unwrap_or(&empty) {
                operations.push(Operation {
                    method: method.to_uppercase(),
                    path: path.clone(),
                    summary: text(&operation["summary"]),
                    query: self.query(operation),
                });
            }
        }
        operations
    }

    fn query(&self, operation: &Value) -> Vec<String> {
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let parameters = parameters.map(|parameter| match parameter["$ref"].as_str() {
            Some(link) => self.0.pointer(&link[1..]).unwrap_or(&Value::Null),
            None => parameter,
        });
        let of_query = parameters.filter(|parameter| parameter["in"] == "query");
        of_query.map(|parameter| text(&parameter["name"])).collect()
    }

    /// What a router answers that is not described here, as `METHOD pattern`,
    /// and then what is described and it does not answer.
    #[must_use]
    pub fn differences<S>(&self, router: &Router<S>) -> [Vec<String>; 2]
    where
        S: Clone + Send + Sync + 'static,
    {
        let mut unknown = router.routes();
        let mut unanswered = Vec::new();
        for operation in self.operations() {
            let path = operation.path.replace(['{', '}'], "");
            match router.route_of(&operation.method, &path) {
                Some(route) => unknown.retain(|it| *it != route),
                None => unanswered.push(format!("{} {}", operation.method, operation.path)),
            }
        }
        [unknown, unanswered]
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Request;

    async fn answer((): (), _: Request) -> Response {
        Response::ok(&())
    }

    #[test]
    fn what_is_described_and_what_is_answered_are_compared() {
        let description = Description::parse(
            r##"{"paths": {
                "/apps/{app}": {"get": {"parameters": [{"$ref": "#/components/parameters/n"}]}},
                "/apps/{app}/tasks": {"get": {}, "put": {}}
            }, "components": {"parameters": {"n": {"in": "query", "name": "limit"}}}}"##,
        );
        assert_eq!(description.operations()[0].query, ["limit"]);
        let router = Router::new(())
            .get("/apps/{id...}", answer)
            .delete("/apps/{id...}", answer);
        let [unknown, unanswered] = description.differences(&router);
        assert_eq!(unknown, ["DELETE /apps/{id...}"]);
        assert_eq!(unanswered, ["PUT /apps/{app}/tasks"]);
    }
}
