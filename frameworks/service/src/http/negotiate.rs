//! What a client says it takes.

use http::{HeaderMap, HeaderName, header};

/// The first of some media types that the client takes, by its `Accept`; the
/// first where it says nothing. Of those it takes, its own order of quality
/// decides, and ours among equals.
#[must_use]
pub fn accepts<'a>(headers: &HeaderMap, offered: &[&'a str]) -> Option<&'a str> {
    if !headers.contains_key(header::ACCEPT) {
        return offered.first().copied();
    }
    let mut best: Option<(f64, &'a str)> = None;
    for media_type in offered {
        let quality = quality(headers, &header::ACCEPT, |range| {
            specificity(range, media_type)
        });
        if quality > best.map_or(0.0, |(quality, _)| quality) {
            best = Some((quality, media_type));
        }
    }
    best.map(|(_, media_type)| media_type)
}

/// Whether the client takes compressed bodies.
pub(super) fn accepts_gzip(headers: &HeaderMap) -> bool {
    let fit = |range: &str| match range {
        "*" => Some(0),
        range if range.eq_ignore_ascii_case("gzip") => Some(1),
        _ => None,
    };
    quality(headers, &header::ACCEPT_ENCODING, fit) > 0.0
}

/// The quality of the most specific range that fits; 0 where none does.
fn quality(headers: &HeaderMap, name: &HeaderName, fit: impl Fn(&str) -> Option<u8>) -> f64 {
    let values = headers.get_all(name).iter();
    let ranges = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    let mut best: Option<(u8, f64)> = None;
    for range in ranges {
        let mut parts = range.split(';').map(str::trim);
        let Some(specificity) = fit(parts.next().unwrap_or_default()) else {
            continue;
        };
        let quality = parts
            .find_map(|part| part.strip_prefix("q=")?.parse().ok())
            .unwrap_or(1.0);
        if best.is_none_or(|(known, _)| specificity > known) {
            best = Some((specificity, quality));
        }
    }
    best.map_or(0.0, |(_, quality)| quality)
}

fn specificity(range: &str, media_type: &str) -> Option<u8> {
    let (kind, _) = media_type.split_once('/')?;
    if range.eq_ignore_ascii_case(media_type) {
        Some(2)
    } else if range == "*/*" || range == "*" {
        Some(0)
    } else {
        let range = range.strip_suffix("/*")?;
        range.eq_ignore_ascii_case(kind).then_some(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_chooses() {
        let offered = ["application/json", "text/plain"];
        for (accept, expected) in [
            (None, Some("application/json")),
            (Some("*/*"), Some("application/json")),
            (Some("text/plain"), Some("text/plain")),
            (Some("text/*;q=0.5, */*;q=0.1"), Some("text/plain")),
            (
                Some("text/html, application/json;q=0.9"),
                Some("application/json"),
            ),
            (Some("application/json;q=0, */*"), Some("text/plain")),
            (Some("text/event-stream"), None),
            (Some(""), None),
        ] {
            let value = accept.map(|text: &str| (header::ACCEPT, text.parse().unwrap()));
            let headers: HeaderMap = value.into_iter().collect();
            assert_eq!(accepts(&headers, &offered), expected, "{accept:?}");
        }
    }

    #[test]
    fn gzip_is_asked_for() {
        for (accept, expected) in [
            (None, false),
            (Some("gzip, deflate"), true),
            (Some("*"), true),
            (Some("gzip;q=0, *"), false),
            (Some("identity"), false),
        ] {
            let value = accept.map(|text: &str| (header::ACCEPT_ENCODING, text.parse().unwrap()));
            let headers: HeaderMap = value.into_iter().collect();
            assert_eq!(accepts_gzip(&headers), expected, "{accept:?}");
        }
    }
}
