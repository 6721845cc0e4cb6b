//! Which Mesos is spoken here, and which build speaks it.

use std::time::UNIX_EPOCH;

use mesos_sdk::v1;

/// The version whose observable behaviour is followed.
pub(crate) const MESOS_VERSION: &str = "1.12.0";

/// What `/version` and GET_VERSION tell: Mesos's version, and of this program
/// the package's version and when its file was written.
pub(crate) fn info() -> v1::VersionInfo {
    let built = std::env::current_exe()
        .and_then(std::fs::metadata)
        .and_then(|metadata| metadata.modified())
        .ok()
        .and_then(|modified| modified.duration_since(UNIX_EPOCH).ok())
        .map_or(0, |elapsed| elapsed.as_secs());
    v1::VersionInfo {
        version: MESOS_VERSION.to_owned(),
        build_date: Some(date(built)),
        build_time: Some(built as f64),
        build_user: Some(env!("CARGO_PKG_NAME").to_owned()),
        git_sha: Some(concat!(env!("CARGO_PKG_NAME"), "-", env!("CARGO_PKG_VERSION")).to_owned()),
        ..Default::default()
    }
}

/// Seconds since the epoch as `2026-11-21 00:20:43 UTC`.
fn date(seconds: u64) -> String {
    let (mut days, time) = (seconds / 86_400, seconds % 86_400);
    let mut year = 1970;
    let is_leap =
        |year: u64| year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + u64::from(is_leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
    format!(
        "{year}-{month:02}-{:02} {hour:02}:{minute:02}:{second:02} UTC",
        days + 1
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_dates_as_mesos_does() {
        assert_eq!(date(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(date(1_795_220_443), "2026-11-21 00:20:43 UTC");
        assert_eq!(date(1_709_164_800), "2024-02-29 00:00:00 UTC");
        assert_eq!(date(1_735_689_599), "2024-12-31 23:59:59 UTC");
    }
}
