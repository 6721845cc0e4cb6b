//! Instants as text: one form of ISO 8601 everywhere, in UTC and with
//! milliseconds, so that texts compare as instants do.

use jiff::Timestamp;

/// Milliseconds since 1970 as `2026-01-31T08:00:00.000Z`.
#[must_use]
pub fn iso(at_ms: i64) -> String {
    let at = Timestamp::from_millisecond(at_ms).unwrap_or(match at_ms < 0 {
        true => Timestamp::MIN,
        false => Timestamp::MAX,
    });
    format!("{at:.3}")
}

/// An instant, or the empty text where there is none.
#[must_use]
pub fn iso_or_empty(at_ms: Option<i64>) -> String {
    at_ms.map(iso).unwrap_or_default()
}

/// Reads an instant in any form of ISO 8601 that names its offset.
#[must_use]
pub fn parse(text: &str) -> Option<i64> {
    Some(text.parse::<Timestamp>().ok()?.as_millisecond())
}

/// As the histories of tasks show it: `01/31/26 08:00:00`.
#[must_use]
pub fn short(at_ms: i64) -> String {
    match Timestamp::from_millisecond(at_ms) {
        Ok(at) => at.strftime("%m/%d/%y %H:%M:%S").to_string(),
        Err(_) => "N/A".to_owned(),
    }
}

/// A length of time as the histories of tasks show it: `1d2h3m4s`.
#[must_use]
pub fn duration(ms: i64) -> String {
    let seconds = ms.max(0) / 1000;
    let parts = [
        (seconds / 86_400, "d"),
        (seconds / 3600 % 24, "h"),
        (seconds / 60 % 60, "m"),
        (seconds % 60, "s"),
    ];
    let mut text = String::new();
    for (amount, unit) in parts {
        if amount > 0 || (unit == "s" && text.is_empty()) {
            text.push_str(&format!("{amount}{unit}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_have_one_form() {
        assert_eq!(iso(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(iso(1_420_843_781_398), "2015-01-09T22:49:41.398Z");
        assert_eq!(parse("2015-01-09T22:49:41.398Z"), Some(1_420_843_781_398));
        assert_eq!(
            parse("2015-01-09T23:49:41.398+01:00"),
            Some(1_420_843_781_398)
        );
        assert_eq!(parse("yesterday"), None);
        assert_eq!(iso_or_empty(None), "");
        assert_eq!(short(1_420_843_781_398), "01/09/15 22:49:41");
    }

    #[test]
    fn lengths_leave_out_what_is_nothing() {
        assert_eq!(duration(93_784_000), "1d2h3m4s");
        assert_eq!(duration(60_000), "1m");
        assert_eq!(duration(999), "0s");
    }
}
