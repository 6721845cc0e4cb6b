//! Paths and queries as libprocess takes them apart.

use percent_encoding::percent_decode_str;

/// Finds the endpoint of a path.
///
/// `process` is the name under which every endpoint answers too (`master`,
/// `slave(1)`). Trailing slashes and further components are ignored, the
/// longest known endpoint wins: `/api/v1/scheduler/x` is `api/v1/scheduler`.
/// `own` are endpoints that belong to no process and have no such prefix.
pub(crate) fn endpoint<'a>(
    path: &str,
    process: &str,
    endpoints: &[&'a str],
    own: &[&'a str],
) -> Option<&'a str> {
    let mut components: Vec<String> = Vec::new();
    for component in path.split('/').filter(|component| !component.is_empty()) {
        components.push(
            percent_decode_str(component)
                .decode_utf8()
                .ok()?
                .into_owned(),
        );
    }
    let longest = |components: &[String], names: &[&'a str]| {
        (1..=components.len()).rev().find_map(|count| {
            let name = components[..count].join("/");
            names.iter().copied().find(|known| *known == name)
        })
    };
    if !path.starts_with("//")
        && let Some(found) = longest(&components, own)
    {
        return Some(found);
    }
    match components.first() {
        Some(first) if first == process => longest(&components[1..], endpoints),
        _ => longest(&components, endpoints),
    }
}

/// The first value of a query parameter, with `+` and `%xx` decoded.
pub(crate) fn query_value(query: &str, name: &str) -> Option<String> {
    query.split(['&', ';']).find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(key)? == name).then(|| decode(value)).flatten()
    })
}

fn decode(text: &str) -> Option<String> {
    let text = text.replace('+', " ");
    Some(percent_decode_str(&text).decode_utf8().ok()?.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDPOINTS: &[&str] = &["api/v1", "api/v1/scheduler", "state", "health"];
    const OWN: &[&str] = &["version", "metrics/snapshot"];

    fn find(path: &str) -> Option<&'static str> {
        endpoint(path, "master", ENDPOINTS, OWN)
    }

    /// Every path of the recorded scene `fault-http-paths`.
    #[test]
    fn finds_endpoints_as_the_capture_shows() {
        assert_eq!(find("/version"), Some("version"));
        assert_eq!(find("/version/"), Some("version"));
        assert_eq!(find("/%76ersion"), Some("version"));
        assert_eq!(find("/api/v1/"), Some("api/v1"));
        assert_eq!(find("//api/v1"), Some("api/v1"));
        assert_eq!(find("/master/api/v1"), Some("api/v1"));
        assert_eq!(find("/master/api/v1/"), Some("api/v1"));
        assert_eq!(find("/api/v1/x"), Some("api/v1"));
        assert_eq!(find("/api/v1/scheduler/x"), Some("api/v1/scheduler"));
        for unknown in [
            "/no-such",
            "//version",
            "/master/version",
            "/master(1)/version",
            "/Version",
            "/version%2f",
            "/../version",
            "/master/../version",
            "/state.json",
            "/master/state.json",
            "/",
        ] {
            assert_eq!(find(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn decodes_query_values() {
        assert_eq!(
            query_value("a=1&path=%2Fx+y", "path").as_deref(),
            Some("/x y")
        );
        assert_eq!(query_value("a", "a").as_deref(), Some(""));
        assert_eq!(query_value("a=1", "b"), None);
    }
}
