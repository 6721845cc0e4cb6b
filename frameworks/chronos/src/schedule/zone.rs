//! A zone's clock: which instant a local time is, and the other way round.

use std::sync::LazyLock;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone, TimeZoneDatabase};

use super::ScheduleError;

/// The database comes with the program: what it says does not depend on the
/// machine, so leaders on two machines agree.
static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// The last second that has a name in every zone: 9999-12-30T22:00:00Z.
pub(super) const LATEST_MS: i64 = 253_402_207_200_000;

/// Ids of three letters that jobs were written with, and what they meant.
const LEGACY_IDS: [(&str, &str); 28] = [
    ("ACT", "Australia/Darwin"),
    ("AET", "Australia/Sydney"),
    ("AGT", "America/Argentina/Buenos_Aires"),
    ("ART", "Africa/Cairo"),
    ("AST", "America/Anchorage"),
    ("BET", "America/Sao_Paulo"),
    ("BST", "Asia/Dhaka"),
    ("CAT", "Africa/Harare"),
    ("CNT", "America/St_Johns"),
    ("CST", "America/Chicago"),
    ("CTT", "Asia/Shanghai"),
    ("EAT", "Africa/Addis_Ababa"),
    ("ECT", "Europe/Paris"),
    ("EST", "America/Panama"),
    ("HST", "Pacific/Honolulu"),
    ("IET", "America/Indiana/Indianapolis"),
    ("IST", "Asia/Kolkata"),
    ("JST", "Asia/Tokyo"),
    ("MIT", "Pacific/Apia"),
    ("MST", "America/Phoenix"),
    ("NET", "Asia/Yerevan"),
    ("NST", "Pacific/Auckland"),
    ("PLT", "Asia/Karachi"),
    ("PNT", "America/Phoenix"),
    ("PRT", "America/Puerto_Rico"),
    ("PST", "America/Los_Angeles"),
    ("SST", "Pacific/Guadalcanal"),
    ("VST", "Asia/Ho_Chi_Minh"),
];

/// A clock on a wall somewhere.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Zone(TimeZone);

impl Zone {
    pub(super) fn utc() -> Self {
        Self(TimeZone::UTC)
    }

    pub(super) fn fixed(offset: Offset) -> Self {
        Self(TimeZone::fixed(offset))
    }

    /// The zone of that name: one of the IANA database, an older id, or an
    /// offset as `GMT+02:00` or `+02:00`.
    pub(super) fn find(name: &str) -> Result<Self, ScheduleError> {
        let legacy = LEGACY_IDS.iter().find(|(id, _)| *id == name);
        let known = legacy.map_or(name, |(_, known)| known);
        if let Ok(zone) = ZONES.get(known) {
            return Ok(Self(zone));
        }
        let offset = ["GMT", "UTC", ""]
            .iter()
            .find_map(|prefix| name.strip_prefix(prefix).and_then(parse_offset));
        if let Some(offset) = offset {
            return Ok(Self::fixed(offset));
        }
        Err(ScheduleError::zone(name, problem(name)))
    }

    /// What the clock shows then; nothing outside the years it knows.
    pub(super) fn local(&self, instant_ms: i64) -> Option<DateTime> {
        let instant = Timestamp::from_millisecond(instant_ms).ok()?;
        Some(self.0.to_datetime(instant))
    }

    pub(super) fn offset(&self, instant_ms: i64) -> Option<Offset> {
        let instant = Timestamp::from_millisecond(instant_ms).ok()?;
        Some(self.0.to_offset(instant))
    }

    /// The instant at which a local time is due: the first one of a repeated
    /// local time, the first one after the gap of a skipped one.
    pub(super) fn instant(&self, local: DateTime) -> Option<i64> {
        let offset = match self.0.to_ambiguous_timestamp(local).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset,
            AmbiguousOffset::Fold { before, .. } => before,
            AmbiguousOffset::Gap { after, .. } => return self.end_of_gap(local, after),
        };
        Some(offset.to_timestamp(local).ok()?.as_millisecond())
    }

    /// The instant of a local time by a clock at that offset, when this zone's
    /// clock ever shows that.
    pub(super) fn instant_at(&self, local: DateTime, offset: Offset) -> Option<i64> {
        let instant = offset.to_timestamp(local).ok()?;
        (self.0.to_offset(instant) == offset).then(|| instant.as_millisecond())
    }

    fn end_of_gap(&self, local: DateTime, after: Offset) -> Option<i64> {
        let before_gap = after.to_timestamp(local).ok()?;
        self.0
            .following(before_gap)
            .map(|transition| transition.timestamp())
            .find(|transition| self.0.to_offset(*transition) == after)
            .map(Timestamp::as_millisecond)
    }

    /// The local time before which all that is due at all is due by then: what
    /// the clock shows, or shows for the second time, the end of what it repeats.
    pub(super) fn due_before(&self, instant_ms: i64) -> Option<DateTime> {
        let local = self.local(instant_ms)?;
        let AmbiguousOffset::Fold { before, after } = self.0.to_ambiguous_timestamp(local).offset()
        else {
            return Some(local);
        };
        if self.offset(instant_ms)? != after {
            return Some(local);
        }
        let first_time = before.to_timestamp(local).ok()?;
        let repeats = self
            .0
            .following(first_time)
            .map(|transition| transition.timestamp())
            .find(|transition| self.0.to_offset(*transition) == after)?;
        Some(before.to_datetime(repeats))
    }

    /// The local times that the clock skips between those instants: from, and
    /// to what it shows next.
    pub(super) fn gaps(
        &self,
        after_ms: i64,
        until_ms: i64,
    ) -> impl Iterator<Item = (DateTime, DateTime)> {
        let after = Timestamp::from_millisecond(after_ms).unwrap_or(Timestamp::MIN);
        self.0
            .following(after)
            .map(|transition| transition.timestamp())
            .take_while(move |transition| transition.as_millisecond() <= until_ms)
            .filter_map(|transition| {
                let instant_before = Timestamp::from_nanosecond(transition.as_nanosecond() - 1);
                let before = self.0.to_offset(instant_before.ok()?);
                let after = self.0.to_offset(transition);
                (after > before).then(|| {
                    (
                        before.to_datetime(transition),
                        after.to_datetime(transition),
                    )
                })
            })
    }
}

/// Reads `Z`, `+02`, `+0200` or `+02:00`.
pub(super) fn parse_offset(text: &str) -> Option<Offset> {
    if text == "Z" {
        return Some(Offset::UTC);
    }
    let (sign, digits) = match text.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let (hours, minutes) = match digits.len() {
        1 | 2 => (digits, "0"),
        4 if !digits.contains(':') => digits.split_at_checked(2)?,
        4 | 5 => digits.split_once(':')?,
        _ => return None,
    };
    let number = |text: &str| -> Option<i32> {
        (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
            .then(|| text.parse().ok())?
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    if hours > 18 || minutes > 59 {
        return None;
    }
    Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok()
}

/// What is wrong with a name, with those that may have been meant.
fn problem(name: &str) -> String {
    let end = format!("/{}", name.to_lowercase().replace(' ', "_"));
    let meant: Vec<String> = ZONES
        .available()
        .map(|known| known.to_string())
        .filter(|known| known.to_lowercase().ends_with(&end))
        .take(3)
        .collect();
    if meant.is_empty() {
        "is no zone of the IANA database, as Europe/Berlin or UTC is".to_owned()
    } else {
        format!(
            "is no zone of the IANA database, as {} is",
            meant.join(" or ")
        )
    }
}
