//! A year of schedules in zones whose clocks change in every way there is,
//! against a calculation that knows nothing of schedules: it steps from minute
//! to minute with a clock of its own and looks at what the clock shows.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod year;

use std::collections::BTreeMap;

use chronos::schedule::{Occurrence, Schedule};
use proptest::prelude::*;
use year::{Civil, MINUTE_MS, Year, ZONES, days_in_month};

/// How many schedules of each kind are tried in each zone, unless the
/// environment's `CHRONOS_TEST_YEARS` says otherwise.
const CASES: u32 = 5;

/// Compares a schedule with what is due in a year, and what it says at moments
/// in between.
fn agrees(schedule: &Schedule, year: &Year, due_ms: &[i64], moments: &[(u32, u32)]) {
    let (begin, end) = (year.begin_ms(), year.end_ms());
    let mut found = Vec::new();
    let mut next = schedule.next_after(begin - 1);
    while let Some(occurrence) = next.filter(|occurrence| occurrence.due_ms < end) {
        found.push(occurrence);
        next = schedule.next_after(occurrence.due_ms);
    }
    let found_ms: Vec<i64> = found.iter().map(|occurrence| occurrence.due_ms).collect();
    let differs = found_ms
        .iter()
        .zip(due_ms)
        .position(|(found, due)| found != due);
    if differs.is_some() || found_ms.len() != due_ms.len() {
        let at = differs.unwrap_or(found_ms.len().min(due_ms.len()));
        panic!(
            "{schedule} in {}: occurrence {at} of {} is due at {:?}, by stepping at {:?}",
            year.zone(),
            due_ms.len(),
            found_ms.get(at).map(|ms| moment(*ms)),
            due_ms.get(at).map(|ms| moment(*ms)),
        );
    }
    assert!(found.is_sorted_by(|one, other| one.index < other.index));
    for (one, other) in moments {
        // Moments of any second, and of what is due exactly.
        let at =
            |fraction: u32| begin + (end - begin) / 1000 * i64::from(fraction) / 1_000_000 * 1000;
        let near = |ms: i64| due_ms.get(due_ms.partition_point(|due| *due < ms)).copied();
        for moment_ms in [at(*one), near(at(*one)).unwrap_or(begin)] {
            let passed = due_ms.partition_point(|due| *due <= moment_ms);
            let previous = passed.checked_sub(1).map(|last| found[last]);
            if passed > 0 || schedule.count().is_some() {
                assert_eq!(
                    schedule.previous_at_or_before(moment_ms),
                    previous,
                    "{schedule}"
                );
            }
            if passed < found.len() {
                let next = schedule.next_after(moment_ms);
                assert_eq!(next, Some(found[passed]), "{schedule} in {}", year.zone());
            }
            let until = near(at(*other)).unwrap_or(end - 1);
            let counted = due_ms
                .partition_point(|due| *due <= until)
                .saturating_sub(passed);
            assert_eq!(
                schedule.count_between(moment_ms, until),
                counted as u64,
                "{schedule} in {} from {} to {}",
                year.zone(),
                moment(moment_ms),
                moment(until),
            );
        }
    }
}

fn moment(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).unwrap().to_string()
}

/// A field of a cron expression: its text, and the values it stands for.
type Field = (String, Vec<u32>);

fn values(least: u32, most: u32, how_many: usize) -> impl Strategy<Value = Field> {
    proptest::collection::btree_set(least..=most, 1..=how_many).prop_map(|values| {
        let texts: Vec<String> = values.iter().map(ToString::to_string).collect();
        (texts.join(","), values.into_iter().collect())
    })
}

fn field(least: u32, most: u32, how_many: usize) -> impl Strategy<Value = Field> {
    let range = (least..=most, least..=most).prop_map(|(one, other)| {
        let (first, last) = (one.min(other), one.max(other));
        (format!("{first}-{last}"), (first..=last).collect())
    });
    let all = Just(("*".to_owned(), (least..=most).collect::<Vec<_>>()));
    prop_oneof![2 => values(least, most, how_many), 1 => range, 3 => all]
}

#[derive(Debug, Clone)]
struct Expression {
    minute: Field,
    hour: Field,
    day: Field,
    month: Field,
    weekday: Field,
}

impl Expression {
    fn text(&self) -> String {
        [
            &self.minute,
            &self.hour,
            &self.day,
            &self.month,
            &self.weekday,
        ]
        .map(|(text, _)| text.as_str())
        .join(" ")
    }

    fn names(&self, shown: &Civil) -> bool {
        let day = self.day.1.contains(&shown.day);
        let weekday = self.weekday.1.contains(&shown.weekday);
        let is_either = self.day.0 != "*" && self.weekday.0 != "*";
        self.minute.1.contains(&shown.minute)
            && self.hour.1.contains(&shown.hour)
            && self.month.1.contains(&shown.month)
            && if is_either {
                day || weekday
            } else {
                day && weekday
            }
    }
}

fn expression() -> impl Strategy<Value = Expression> {
    // Hours at which clocks change are more likely than others.
    let hour = prop_oneof![field(0, 23, 4), values(0, 4, 3)];
    (
        values(0, 59, 3),
        hour,
        field(1, 31, 6),
        field(1, 12, 6),
        field(0, 6, 3),
    )
        .prop_map(|(minute, hour, day, month, weekday)| Expression {
            minute,
            hour,
            day,
            month,
            weekday,
        })
}

#[derive(Debug, Clone)]
struct Repeated {
    count: Option<u64>,
    start: Civil,
    months: i64,
    days: i64,
    minutes: i64,
}

impl Repeated {
    fn text(&self) -> String {
        let Civil {
            month,
            day,
            hour,
            minute,
            ..
        } = self.start;
        let count = self.count.map_or(String::new(), |count| count.to_string());
        let mut period = "P".to_owned();
        for (number, name) in [(self.months, "M"), (self.days, "D")] {
            if number > 0 {
                period += &format!("{number}{name}");
            }
        }
        if self.minutes > 0 {
            period += &format!("T{}M", self.minutes);
        }
        format!("R{count}/2026-{month:02}-{day:02}T{hour:02}:{minute:02}:00/{period}")
    }

    /// The local time of the occurrence of that index, in minutes.
    fn local(&self, index: i64) -> i64 {
        let months = i64::from(self.start.month) - 1 + self.months * index;
        let (year, month) = (2026 + months / 12, u32::try_from(months % 12).unwrap() + 1);
        let day = self.start.day.min(days_in_month(year, month));
        let days = Civil::days_since_1970(year, month, day) + self.days * index;
        (days * 24 + i64::from(self.start.hour)) * 60 + i64::from(self.start.minute)
    }

    /// What is due, by stepping.
    fn due_ms(&self, year: &Year) -> Vec<i64> {
        let count = self
            .count
            .map_or(i64::MAX, |count| i64::try_from(count).unwrap());
        let is_exact = self.months == 0 && self.days == 0;
        let mut local_times = BTreeMap::new();
        for index in 0..if is_exact { 1 } else { count } {
            let local = self.local(index);
            if local > year.last_local() {
                break;
            }
            local_times.insert(local, index);
        }
        let mut due_ms = Vec::new();
        for (local, instant_ms) in year.due(|local| local_times.contains_key(&local)) {
            if is_exact {
                due_ms.extend(
                    (0..count)
                        .map(|index| instant_ms + index * self.minutes * MINUTE_MS)
                        .take_while(|due| *due < year.end_ms()),
                );
            } else {
                due_ms.push(instant_ms + local_times[&local] * self.minutes * MINUTE_MS);
            }
        }
        due_ms.retain(|due| *due < year.end_ms());
        due_ms
    }
}

fn repeated() -> impl Strategy<Value = Repeated> {
    let period = prop_oneof![
        (Just(0), Just(0), 7_i64..5000),
        (Just(0), 1_i64..10, Just(0)),
        (1_i64..4, Just(0), Just(0)),
        (0_i64..3, 1_i64..40, 0_i64..3000),
    ];
    let count = prop_oneof![Just(None), (0_u64..400).prop_map(Some)];
    let start = (
        1_u32..=8,
        1_u32..=31,
        prop_oneof![0_u32..24, 0_u32..4],
        0_u32..60,
    );
    (period, count, start).prop_map(|((months, days, minutes), count, start)| {
        let (month, day, hour, minute) = start;
        Repeated {
            count,
            start: Civil {
                month,
                day: day.min(days_in_month(2026, month)),
                hour,
                minute,
                weekday: 0,
            },
            months,
            days,
            minutes,
        }
    })
}

fn moments() -> impl Strategy<Value = Vec<(u32, u32)>> {
    proptest::collection::vec((0..1_000_000_u32, 0..1_000_000_u32), 40)
}

fn check<S: Strategy>(strategy: &S, test: impl Fn(&Year, S::Value)) {
    let cases = match std::env::var("CHRONOS_TEST_YEARS") {
        Ok(cases) => cases.parse().unwrap(),
        Err(_) => CASES,
    };
    for zone in &ZONES {
        let year = Year::step(zone);
        let config = ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::with_cases(cases)
        };
        proptest::test_runner::TestRunner::new(config)
            .run(strategy, |value| {
                test(&year, value);
                Ok(())
            })
            .unwrap();
    }
}

#[test]
fn cron_expressions_agree_with_stepping_through_a_year() {
    check(&(expression(), moments()), |year, (expression, moments)| {
        let due_ms: Vec<i64> = year
            .due(|local| expression.names(year.civil(local)))
            .map(|(_, instant_ms)| instant_ms)
            .collect();
        let schedule = match Schedule::parse(&expression.text(), Some(year.zone()), 0) {
            Ok(schedule) => schedule,
            Err(error) => {
                assert!(due_ms.is_empty(), "{}: {error}", expression.text());
                return;
            }
        };
        agrees(&schedule, year, &due_ms, &moments);
    });
}

#[test]
fn intervals_agree_with_stepping_through_a_year() {
    check(&(repeated(), moments()), |year, (repeated, moments)| {
        let schedule = Schedule::parse(&repeated.text(), Some(year.zone()), 0).unwrap();
        agrees(&schedule, year, &repeated.due_ms(year), &moments);
    });
}

#[test]
fn every_minute_of_a_year_is_due_but_for_repeated_ones() {
    let year = Year::step(&ZONES[1]);
    let schedule = Schedule::parse("* * * * *", Some(year.zone()), 0).unwrap();
    let due = schedule.count_between(year.begin_ms() - 1, year.end_ms() - 1);
    assert_eq!(due, 365 * 24 * 60 - 60);
    let last = Occurrence {
        index: u64::try_from(year.end_ms() / 1000 - 60).unwrap(),
        due_ms: year.end_ms() - MINUTE_MS,
    };
    assert_eq!(
        schedule.previous_at_or_before(year.end_ms() - 1),
        Some(last)
    );
}
