//! The year 2026 from minute to minute, in zones whose changes are written down
//! here, with a calendar of its own.

pub(crate) const MINUTE_MS: i64 = 60_000;

/// A zone, its offset in minutes when the year begins, and its changes: when,
/// as month, day, hour and minute (UTC), and to which offset.
pub(crate) type Zone = (&'static str, i64, &'static [(u32, u32, u32, u32, i64)]);

pub(crate) const ZONES: [Zone; 9] = [
    (
        "America/New_York",
        -300,
        &[(3, 8, 7, 0, -240), (11, 1, 6, 0, -300)],
    ),
    (
        "Europe/Berlin",
        60,
        &[(3, 29, 1, 0, 120), (10, 25, 1, 0, 60)],
    ),
    (
        "Australia/Sydney",
        660,
        &[(4, 4, 16, 0, 600), (10, 3, 16, 0, 660)],
    ),
    // Half an hour only.
    (
        "Australia/Lord_Howe",
        660,
        &[(4, 4, 15, 0, 630), (10, 3, 15, 30, 660)],
    ),
    // Midnight is skipped.
    (
        "America/Santiago",
        -180,
        &[(4, 5, 3, 0, -240), (9, 6, 4, 0, -180)],
    ),
    (
        "Africa/Cairo",
        120,
        &[(4, 23, 22, 0, 180), (10, 29, 21, 0, 120)],
    ),
    // Two hours.
    (
        "Antarctica/Troll",
        0,
        &[(3, 29, 1, 0, 120), (10, 25, 1, 0, 0)],
    ),
    (
        "America/St_Johns",
        -210,
        &[(3, 8, 5, 30, -150), (11, 1, 4, 30, -210)],
    ),
    ("Asia/Kolkata", 330, &[]),
];

/// What a clock and a calendar show.
#[derive(Debug, Clone)]
pub(crate) struct Civil {
    pub(crate) month: u32,
    pub(crate) day: u32,
    pub(crate) hour: u32,
    pub(crate) minute: u32,
    /// From Sunday, 0.
    pub(crate) weekday: u32,
}

impl Civil {
    /// Counts years, months and days one by one.
    pub(crate) fn days_since_1970(year: i64, month: u32, day: u32) -> i64 {
        let years: i64 = (1970..year)
            .map(|year| if is_leap(year) { 366 } else { 365 })
            .sum();
        let months: i64 = (1..month)
            .map(|month| i64::from(days_in_month(year, month)))
            .sum();
        years + months + i64::from(day) - 1
    }
}

pub(crate) fn days_in_month(year: i64, month: u32) -> u32 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// Each minute of the year in a zone.
pub(crate) struct Year {
    zone: &'static Zone,
    /// In minutes since 1970: of which instant the clock shows what.
    minutes: Vec<(i64, i64)>,
    /// What each local minute looks like, from the first on.
    first_local: i64,
    civil: Vec<Civil>,
}

impl Year {
    pub(crate) fn step(zone: &'static Zone) -> Self {
        let at = |(month, day, hour, minute): (u32, u32, u32, u32)| {
            let days = Civil::days_since_1970(2026, month, day);
            (days * 24 + i64::from(hour)) * 60 + i64::from(minute)
        };
        let begin = at((1, 1, 0, 0));
        let changes: Vec<(i64, i64)> = zone
            .2
            .iter()
            .map(|(month, day, hour, minute, offset)| (at((*month, *day, *hour, *minute)), *offset))
            .collect();
        let mut offset = zone.1;
        let mut minutes = Vec::new();
        for instant in begin..begin + 365 * 24 * 60 {
            if let Some((_, change)) = changes.iter().find(|(at, _)| *at == instant) {
                offset = *change;
            }
            minutes.push((instant, instant + offset));
        }
        // From the day before to the day after, whatever the offset.
        let first_local = begin - 24 * 60;
        let mut civil = Vec::new();
        for (year, month, day) in days_around() {
            let weekday = (Civil::days_since_1970(year, month, day) + 4).rem_euclid(7);
            for minute in 0..24 * 60 {
                civil.push(Civil {
                    month,
                    day,
                    hour: minute / 60,
                    minute: minute % 60,
                    weekday: u32::try_from(weekday).unwrap(),
                });
            }
        }
        Self {
            zone,
            minutes,
            first_local,
            civil,
        }
    }

    pub(crate) fn zone(&self) -> &'static str {
        self.zone.0
    }

    pub(crate) fn begin_ms(&self) -> i64 {
        self.minutes[0].0 * MINUTE_MS
    }

    pub(crate) fn end_ms(&self) -> i64 {
        self.begin_ms() + 365 * 24 * 60 * MINUTE_MS
    }

    pub(crate) fn last_local(&self) -> i64 {
        self.minutes.last().unwrap().1
    }

    pub(crate) fn civil(&self, local: i64) -> &Civil {
        &self.civil[usize::try_from(local - self.first_local).unwrap()]
    }

    /// What is due in the year, with the local minute it is due for: when the
    /// clock shows a named minute for the first time, or has skipped one.
    pub(crate) fn due(&self, names: impl Fn(i64) -> bool) -> impl Iterator<Item = (i64, i64)> {
        let mut shown = self.minutes[0].1 - 1;
        self.minutes.iter().filter_map(move |(instant, local)| {
            let named = (shown + 1..=*local).find(|local| names(*local));
            shown = shown.max(*local);
            named.map(|local| (local, instant * MINUTE_MS))
        })
    }
}

fn days_around() -> impl Iterator<Item = (i64, u32, u32)> {
    let days = (1..=12)
        .flat_map(|month| (1..=days_in_month(2026, month)).map(move |day| (2026, month, day)));
    std::iter::once((2025, 12, 31))
        .chain(days)
        .chain(std::iter::once((2027, 1, 1)))
}
