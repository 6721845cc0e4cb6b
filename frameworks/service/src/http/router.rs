//! Which function answers which path.

use std::future::Future;
use std::sync::Arc;

use futures::future::BoxFuture;
use http::{HeaderValue, Method, StatusCode, header};
use percent_encoding::percent_decode_str;

use super::{Handler, IntoResponse, Request, Response};

/// Functions by method and path, which share a value such as the API's state.
///
/// A pattern is literal but for parameters: `{id}` stands for one segment,
/// `{id...}` for one or more of them, as ids that contain slashes need. Text may
/// follow the latter within its last segment (`{id...}::status`). Empty segments
/// of a path do not count, so `/v2/apps//web/` is `/v2/apps/web`. Where several
/// patterns fit a path, those with more literal segments are tried first; one
/// that has no function for the method is passed over.
///
/// ```
/// use mesos_service::http::{Request, Response, Router};
///
/// async fn app(greeting: &'static str, request: Request) -> Response {
///     Response::ok(&format!("{greeting} {}", request.parameter("id")))
/// }
///
/// let router = Router::new("hello").get("/v2/apps/{id...}", app);
/// # let _: Router<&'static str> = router;
/// ```
pub struct Router<S> {
    state: S,
    routes: Vec<Route<S>>,
    fallback: Function<S>,
}

type Function<S> = Arc<dyn Fn(S, Request) -> BoxFuture<'static, Response> + Send + Sync>;

struct Route<S> {
    method: Method,
    pattern: Pattern,
    function: Function<S>,
}

/// What parameters of a pattern stand for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// The value, decoded; empty where there is none of the name.
    #[must_use]
    pub fn get(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value)
    }
}

impl<S: Clone + Send + Sync + 'static> Router<S> {
    /// Answers everything with 404 so far.
    pub fn new(state: S) -> Self {
        let fallback: Function<S> = Arc::new(|_, _| {
            Box::pin(std::future::ready(Response::error(
                StatusCode::NOT_FOUND,
                "URI not found",
            )))
        });
        Self {
            state,
            routes: Vec::new(),
            fallback,
        }
    }

    /// Answers a method and a pattern by a function.
    ///
    /// # Panics
    ///
    /// When the pattern does not begin with a slash or a brace in it is not
    /// closed.
    #[must_use]
    pub fn route<F, R>(
        mut self,
        method: Method,
        pattern: &str,
        function: impl Fn(S, Request) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = R> + Send + 'static,
        R: IntoResponse,
    {
        self.routes.push(Route {
            method,
            pattern: Pattern::new(pattern),
            function: boxed(function),
        });
        // Stable: what was added first comes first among equals.
        let rank = |route: &Route<S>| std::cmp::Reverse(route.pattern.rank());
        self.routes.sort_by_key(rank);
        self
    }

    /// Answers GET, and HEAD with it.
    #[must_use]
    pub fn get<F, R>(
        self,
        pattern: &str,
        function: impl Fn(S, Request) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = R> + Send + 'static,
        R: IntoResponse,
    {
        self.route(Method::GET, pattern, function)
    }

    /// Answers POST.
    #[must_use]
    pub fn post<F, R>(
        self,
        pattern: &str,
        function: impl Fn(S, Request) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = R> + Send + 'static,
        R: IntoResponse,
    {
        self.route(Method::POST, pattern, function)
    }

    /// Answers PUT.
    #[must_use]
    pub fn put<F, R>(
        self,
        pattern: &str,
        function: impl Fn(S, Request) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = R> + Send + 'static,
        R: IntoResponse,
    {
        self.route(Method::PUT, pattern, function)
    }

    /// Answers DELETE.
    #[must_use]
    pub fn delete<F, R>(
        self,
        pattern: &str,
        function: impl Fn(S, Request) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = R> + Send + 'static,
        R: IntoResponse,
    {
        self.route(Method::DELETE, pattern, function)
    }

    /// Answers paths that no pattern fits.
    #[must_use]
    pub fn otherwise<F, R>(
        mut self,
        function: impl Fn(S, Request) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = R> + Send + 'static,
        R: IntoResponse,
    {
        self.fallback = boxed(function);
        self
    }

    /// What is answered, as `METHOD pattern`.
    #[must_use]
    pub fn routes(&self) -> Vec<String> {
        self.routes.iter().map(Route::name).collect()
    }

    /// Which of the routes answers that.
    #[must_use]
    pub fn route_of(&self, method: &str, path: &str) -> Option<String> {
        let segments = segments(path)?;
        let of_method = self.routes.iter().filter(|it| it.method == method);
        let mut fitting = of_method.filter(|it| it.pattern.parameters(&segments).is_some());
        fitting.next().map(Route::name)
    }

    fn find(&self, method: &Method, path: &str) -> Found<'_, S> {
        let Some(segments) = segments(path) else {
            return Found::Nothing;
        };
        let mut allowed: Vec<&Method> = Vec::new();
        for route in &self.routes {
            let Some(parameters) = route.pattern.parameters(&segments) else {
                continue;
            };
            let is_head = *method == Method::HEAD && route.method == Method::GET;
            if route.method == *method || is_head {
                return Found::Function(&route.function, parameters);
            }
            if !allowed.contains(&&route.method) {
                allowed.push(&route.method);
            }
        }
        if allowed.is_empty() {
            return Found::Nothing;
        }
        let mut allowed: Vec<&str> = allowed.into_iter().map(Method::as_str).collect();
        if allowed.contains(&"GET") {
            allowed.push("HEAD");
        }
        allowed.push("OPTIONS");
        Found::Methods(allowed.join(", "))
    }
}

fn segments(path: &str) -> Option<Vec<String>> {
    path.split('/')
        .filter(|segment| !segment.is_empty())
        .map(|segment| Some(percent_decode_str(segment).decode_utf8().ok()?.into_owned()))
        .collect()
}

impl<S> Route<S> {
    fn name(&self) -> String {
        format!("{} {}", self.method, self.pattern.text)
    }
}

enum Found<'a, S> {
    Function(&'a Function<S>, Parameters),
    Methods(String),
    Nothing,
}

fn boxed<S, F, R>(function: impl Fn(S, Request) -> F + Send + Sync + 'static) -> Function<S>
where
    F: Future<Output = R> + Send + 'static,
    R: IntoResponse,
{
    Arc::new(move |state, request| {
        let answering = function(state, request);
        Box::pin(async move { answering.await.into_response() })
    })
}

impl<S: Clone + Send + Sync + 'static> Handler for Router<S> {
    fn handle(&self, mut request: Request) -> BoxFuture<'static, Response> {
        match self.find(&request.method, &request.path) {
            Found::Function(function, parameters) => {
                request.parameters = parameters;
                function(self.state.clone(), request)
            }
            Found::Methods(allowed) => {
                let response = if request.method == Method::OPTIONS {
                    Response::empty(StatusCode::OK)
                } else {
                    let text = format!("{} is not allowed here", request.method);
                    Response::error(StatusCode::METHOD_NOT_ALLOWED, &text)
                };
                let allow = HeaderValue::try_from(allowed);
                let allow = allow.expect("names of methods are visible characters");
                Box::pin(std::future::ready(response.with(header::ALLOW, allow)))
            }
            Found::Nothing => (self.fallback)(self.state.clone(), request),
        }
    }
}

impl<S> std::fmt::Debug for Router<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.routes.iter().map(Route::name))
            .finish()
    }
}

#[derive(Debug)]
struct Pattern {
    text: String,
    parts: Vec<Part>,
}

#[derive(Debug)]
enum Part {
    Literal(String),
    One(String),
    /// As many segments as there are, the last of which ends so.
    Many {
        name: String,
        end: String,
    },
}

impl Pattern {
    fn new(text: &str) -> Self {
        assert!(
            text.starts_with('/'),
            "a pattern begins with a slash: {text}"
        );
        let segments = text.split('/').filter(|segment| !segment.is_empty());
        let part = |segment: &str| match segment.strip_prefix('{') {
            None => Part::Literal(segment.to_owned()),
            Some(rest) => {
                let (name, end) = rest.split_once('}').expect("a brace is closed");
                match name.strip_suffix("...") {
                    Some(name) => Part::Many {
                        name: name.to_owned(),
                        end: end.to_owned(),
                    },
                    None => Part::One(name.to_owned()),
                }
            }
        };
        Self {
            text: text.to_owned(),
            parts: segments.map(part).collect(),
        }
    }

    /// Higher is tried first.
    fn rank(&self) -> (usize, usize, usize) {
        let count = |is: fn(&Part) -> bool| self.parts.iter().filter(|part| is(part)).count();
        (
            count(|part| matches!(part, Part::Literal(_))),
            count(|part| matches!(part, Part::Many { end, .. } if !end.is_empty())),
            count(|part| matches!(part, Part::One(_))),
        )
    }

    fn parameters(&self, segments: &[String]) -> Option<Parameters> {
        let mut found = Vec::new();
        fits(&self.parts, segments, &mut found).then(|| {
            found.reverse();
            Parameters(found)
        })
    }
}

/// Whether parts fit segments to their ends; the parameters are added from the
/// last to the first.
fn fits(parts: &[Part], segments: &[String], found: &mut Vec<(String, String)>) -> bool {
    let Some((part, parts)) = parts.split_first() else {
        return segments.is_empty();
    };
    match part {
        Part::Literal(text) => {
            let first = segments.split_first();
            first.is_some_and(|(first, rest)| first == text && fits(parts, rest, found))
        }
        Part::One(name) => {
            let Some((first, rest)) = segments.split_first() else {
                return false;
            };
            let is_fit = fits(parts, rest, found);
            if is_fit {
                found.push((name.clone(), first.clone()));
            }
            is_fit
        }
        Part::Many { name, end } => (1..=segments.len()).rev().any(|count| {
            let (these, rest) = segments.split_at(count);
            let value = these.join("/");
            let value = value.strip_suffix(end.as_str()).filter(|it| !it.is_empty());
            let Some(value) = value else {
                return false;
            };
            let is_fit = fits(parts, rest, found);
            if is_fit {
                found.push((name.clone(), value.to_owned()));
            }
            is_fit
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Names = Router<()>;

    fn add(router: Names, method: Method, pattern: &'static str) -> Names {
        router.route(method, pattern, move |(), request: Request| async move {
            Response::text(
                StatusCode::OK,
                format!("{pattern} {:?}", request.parameters.0),
            )
        })
    }

    fn router() -> Names {
        let mut router = Router::new(());
        for (method, pattern) in [
            (Method::GET, "/v2/apps"),
            (Method::GET, "/v2/apps/{id...}"),
            (Method::DELETE, "/v2/apps/{id...}"),
            (Method::POST, "/v2/apps/{id...}/restart"),
            (Method::GET, "/v2/apps/{id...}/versions"),
            (Method::GET, "/v2/apps/{id...}/versions/{version}"),
            (Method::DELETE, "/v2/apps/{id...}/tasks/{task}"),
            (Method::GET, "/v2/pods/{id...}"),
            (Method::GET, "/v2/pods/{id...}::status"),
            (Method::DELETE, "/v2/pods/{id...}::instances/{instance}"),
            (Method::GET, "/v2/groups/versions"),
            (Method::GET, "/v2/groups/{id...}"),
        ] {
            router = add(router, method, pattern);
        }
        router
    }

    fn found(method: Method, path: &str) -> String {
        let router = router();
        match router.find(&method, path) {
            Found::Function(_, parameters) => {
                let values = parameters.0.into_iter().map(|(_, value)| value);
                values.collect::<Vec<_>>().join(" ")
            }
            Found::Methods(methods) => format!("only {methods}"),
            Found::Nothing => "nothing".to_owned(),
        }
    }

    #[test]
    fn ids_contain_slashes() {
        assert_eq!(found(Method::GET, "/v2/apps"), "");
        assert_eq!(found(Method::GET, "/v2/apps/"), "");
        assert_eq!(found(Method::GET, "/v2/apps//shop/web"), "shop/web");
        assert_eq!(found(Method::GET, "/v2/apps/shop%2Fweb/"), "shop/web");
        assert_eq!(found(Method::GET, "/v2/apps/a/b/versions/1"), "a/b 1");
        assert_eq!(
            found(Method::GET, "/v2/apps/a/versions/versions"),
            "a versions"
        );
        assert_eq!(found(Method::DELETE, "/v2/apps/a/b/tasks/x"), "a/b x");
        assert_eq!(found(Method::GET, "/v2/pods/a/b::status"), "a/b");
        assert_eq!(found(Method::GET, "/v2/pods/a::b"), "a::b");
        assert_eq!(found(Method::DELETE, "/v2/pods/a::instances/i"), "a i");
        assert_eq!(found(Method::GET, "/v2/groups/versions"), "");
    }

    #[test]
    fn the_method_decides_among_patterns() {
        assert_eq!(found(Method::POST, "/v2/apps/a/restart"), "a");
        assert_eq!(found(Method::DELETE, "/v2/apps/a/restart"), "a/restart");
        assert_eq!(found(Method::HEAD, "/v2/apps/a"), "a");
        let allowed = "only GET, DELETE, HEAD, OPTIONS";
        assert_eq!(found(Method::PUT, "/v2/apps/a"), allowed);
        assert_eq!(found(Method::GET, "/v2/none"), "nothing");
        assert_eq!(found(Method::GET, "/v2/apps/%ff"), "nothing");
    }
}
