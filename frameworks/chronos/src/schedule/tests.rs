//! Rules of schedules, one by one. Whole years are in `tests/schedules.rs`.

use super::*;

const NOW: i64 = 1_767_225_600_123; // 2026-01-01T00:00:00.123Z

fn ms(text: &str) -> i64 {
    text.parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

fn schedule(text: &str, zone: &str) -> Schedule {
    Schedule::parse(text, Some(zone), NOW).unwrap()
}

fn error(text: &str, zone: &str) -> ScheduleError {
    Schedule::parse(text, Some(zone), NOW).unwrap_err()
}

/// The first occurrences that are due after that instant.
fn due(schedule: &Schedule, after: &str, how_many: usize) -> Vec<String> {
    let mut after_ms = ms(after);
    let mut due = Vec::new();
    while due.len() < how_many {
        let Some(next) = schedule.next_after(after_ms) else {
            break;
        };
        after_ms = next.due_ms;
        let instant = jiff::Timestamp::from_millisecond(next.due_ms).unwrap();
        due.push(instant.to_string());
    }
    due
}

#[test]
fn an_interval_is_due_from_its_start_until_its_count() {
    let three = schedule("R3/2026-01-01T00:00:00Z/PT1H", "");
    assert_eq!(three.count(), Some(3));
    assert_eq!(
        due(&three, "2025-01-01T00:00:00Z", 9),
        [
            "2026-01-01T00:00:00Z",
            "2026-01-01T01:00:00Z",
            "2026-01-01T02:00:00Z"
        ]
    );
    let last = Occurrence {
        index: 2,
        due_ms: ms("2026-01-01T02:00:00Z"),
    };
    assert_eq!(
        three.previous_at_or_before(ms("2030-01-01T00:00:00Z")),
        Some(last)
    );
    assert_eq!(
        three.previous_at_or_before(ms("2025-01-01T00:00:00Z")),
        None
    );
    assert_eq!(three.count_between(ms("2026-01-01T00:00:00Z"), i64::MAX), 2);
    assert_eq!(three.count_between(i64::MIN, i64::MAX), 3);
    assert_eq!(schedule("R0//PT1H", "").next_after(0), None);
}

#[test]
fn a_start_that_is_not_given_is_now_and_written_down() {
    let text = |zone| schedule("R//PT1H", zone).text().to_owned();
    assert_eq!(text(""), "R/2026-01-01T00:00:00.123Z/PT1H");
    assert_eq!(
        text("America/New_York"),
        "R/2025-12-31T19:00:00.123-05:00/PT1H"
    );
    for zone in ["", "America/New_York", "+05:30"] {
        let first = schedule("R7//P1D", zone);
        assert_eq!(first.next_after(0).unwrap().due_ms, NOW);
        let again = Schedule::parse(first.text(), Some(zone), NOW + 5).unwrap();
        assert_eq!(again, first);
    }
    // In an hour that is shown twice, which of the two it was is kept.
    let second_time = ms("2026-11-01T06:30:00Z");
    let first = Schedule::parse("R//P1D", Some("America/New_York"), second_time).unwrap();
    let again = Schedule::parse(first.text(), Some("America/New_York"), NOW).unwrap();
    assert_eq!(again.next_after(0).unwrap().due_ms, second_time);
}

#[test]
fn starts_are_read_in_every_form() {
    for (start, instant) in [
        ("2026-03-04T05:06:07.089Z", "2026-03-04T05:06:07.089Z"),
        ("2026-03-04T05:06:07,5+02:00", "2026-03-04T03:06:07.5Z"),
        ("2026-03-04T05:06:07-0330", "2026-03-04T08:36:07Z"),
        ("2026-03-04T05:06+02", "2026-03-04T03:06:00Z"),
        ("2026-03-04T05:06", "2026-03-04T05:06:00Z"),
        ("2026-03-04T05", "2026-03-04T05:00:00Z"),
        ("2026-03-04", "2026-03-04T00:00:00Z"),
        ("2026-03", "2026-03-01T00:00:00Z"),
        ("2026", "2026-01-01T00:00:00Z"),
        ("2026-W10-3", "2026-03-04T00:00:00Z"),
        ("2026-W10", "2026-03-02T00:00:00Z"),
        ("2026-063", "2026-03-04T00:00:00Z"),
        ("20260304T050607Z", "2026-03-04T05:06:07Z"),
        ("20260304T0506", "2026-03-04T05:06:00Z"),
    ] {
        let text = format!("R/{start}/P1D");
        let read = Schedule::parse(&text, None, NOW).unwrap();
        assert_eq!(read.next_after(0).unwrap().due_ms, ms(instant), "{start}");
        assert_eq!(read.text(), text);
    }
}

#[test]
fn a_zone_keeps_the_fields_of_a_start_and_overrides_its_offset() {
    for zone in [
        "America/Los_Angeles",
        "PST",
        "america/los_angeles",
        "-08:00",
        "GMT-8",
    ] {
        let read = schedule("R/2014-01-01T09:00:00.000Z/P1D", zone);
        assert_eq!(
            due(&read, "1970-01-01T00:00:00Z", 1),
            ["2014-01-01T17:00:00Z"],
            "{zone}"
        );
    }
    let bangladesh = schedule("R/2014-01-01T09:00:00.000+03:00/P1D", "BST");
    assert_eq!(
        due(&bangladesh, "1970-01-01T00:00:00Z", 1),
        ["2014-01-01T03:00:00Z"]
    );
}

#[test]
fn hours_are_exact_and_days_are_of_the_clock_on_the_wall() {
    let zone = "Europe/Berlin";
    let hours = schedule("R/2026-03-28T09:00:00/PT24H", zone);
    assert_eq!(
        due(&hours, "2026-03-28T00:00:00Z", 2),
        ["2026-03-28T08:00:00Z", "2026-03-29T08:00:00Z"]
    );
    let days = schedule("R/2026-03-28T09:00:00/P1D", zone);
    assert_eq!(
        due(&days, "2026-03-28T00:00:00Z", 2),
        ["2026-03-28T08:00:00Z", "2026-03-29T07:00:00Z"]
    );
    let both = schedule("R/2026-03-28T00:00:00/P1DT12H", zone);
    assert_eq!(
        due(&both, "2026-03-27T00:00:00Z", 3),
        [
            "2026-03-27T23:00:00Z",
            "2026-03-29T11:00:00Z",
            "2026-03-30T22:00:00Z"
        ]
    );
}

#[test]
fn a_skipped_local_time_is_due_where_the_gap_ends_and_the_next_in_its_time() {
    let expected = [
        "2026-03-28T01:30:00Z",
        "2026-03-29T01:00:00Z",
        "2026-03-30T00:30:00Z",
    ];
    let zone = "Europe/Berlin";
    let interval = schedule("R/2026-03-28T02:30:00/P1D", zone);
    assert_eq!(due(&interval, "2026-03-28T00:00:00Z", 3), expected);
    let cron = schedule("30 2 * * *", zone);
    assert_eq!(due(&cron, "2026-03-28T00:00:00Z", 3), expected);
    // Several skipped times are due there once, together with one that is there.
    let often = schedule("*/20 2,3 * * *", zone);
    assert_eq!(
        due(&often, "2026-03-28T23:00:00Z", 3),
        [
            "2026-03-29T01:00:00Z",
            "2026-03-29T01:20:00Z",
            "2026-03-29T01:40:00Z"
        ]
    );
    assert_eq!(
        often.count_between(ms("2026-03-28T23:00:00Z"), ms("2026-03-29T12:00:00Z")),
        3
    );
    assert_eq!(
        often.count_between(ms("2026-03-28T23:00:00Z"), ms("2026-03-29T01:00:00Z")),
        1
    );
}

#[test]
fn a_repeated_local_time_is_due_once() {
    let zone = "Europe/Berlin";
    let expected = [
        "2026-10-24T00:30:00Z",
        "2026-10-25T00:30:00Z",
        "2026-10-26T01:30:00Z",
    ];
    let cron = schedule("30 2 * * *", zone);
    assert_eq!(due(&cron, "2026-10-24T00:00:00Z", 3), expected);
    let interval = schedule("R/2026-10-01T02:30:00/P1D", zone);
    assert_eq!(due(&interval, "2026-10-24T00:00:00Z", 3), expected);
    // Also when it is asked while the hour repeats.
    let previous = cron
        .previous_at_or_before(ms("2026-10-25T01:10:00Z"))
        .unwrap();
    assert_eq!(previous.due_ms, ms("2026-10-25T00:30:00Z"));
}

#[test]
fn months_end_where_they_end() {
    let monthly = schedule("R/2026-01-31T12:00:00Z/P1M", "");
    assert_eq!(
        due(&monthly, "2026-01-01T00:00:00Z", 4),
        [
            "2026-01-31T12:00:00Z",
            "2026-02-28T12:00:00Z",
            "2026-03-31T12:00:00Z",
            "2026-04-30T12:00:00Z",
        ]
    );
    let yearly = schedule("R/2024-02-29T00:00:00Z/P1Y", "");
    assert_eq!(
        due(&yearly, "2026-12-01T00:00:00Z", 2),
        ["2027-02-28T00:00:00Z", "2028-02-29T00:00:00Z"]
    );
    let last_day = schedule("0 12 L * *", "");
    assert_eq!(
        due(&last_day, "2026-02-01T00:00:00Z", 2),
        ["2026-02-28T12:00:00Z", "2026-03-31T12:00:00Z"]
    );
}

#[test]
fn a_day_that_a_zone_never_had_is_no_second_run() {
    let daily = schedule("R/2011-12-28T00:00:00/P1D", "Pacific/Apia");
    assert_eq!(
        due(&daily, "2011-12-29T00:00:00Z", 3),
        [
            "2011-12-29T10:00:00Z",
            "2011-12-30T10:00:00Z",
            "2011-12-31T10:00:00Z"
        ]
    );
    let index = |at| daily.previous_at_or_before(ms(at)).unwrap().index;
    assert_eq!(index("2011-12-29T10:00:00Z"), 1);
    assert_eq!(index("2011-12-30T10:00:00Z"), 3);
}

#[test]
fn cron_expressions_are_read_in_every_form() {
    for (text, expected) in [
        (
            "*/15 9-10 * * MON-FRI",
            ["2026-01-05T09:00:00Z", "2026-01-05T09:15:00Z"],
        ),
        (
            "30 0 12 * * *",
            ["2026-01-03T12:00:30Z", "2026-01-04T12:00:30Z"],
        ),
        (
            "*/20 0 0 1 * *",
            ["2026-02-01T00:00:00Z", "2026-02-01T00:00:20Z"],
        ),
        (
            "0 0 13 * FRI",
            ["2026-01-09T00:00:00Z", "2026-01-13T00:00:00Z"],
        ),
        (
            "0 0 */2 * FRI",
            ["2026-01-09T00:00:00Z", "2026-01-23T00:00:00Z"],
        ),
        (
            "0 0 ? mar sun#2",
            ["2026-03-08T00:00:00Z", "2027-03-14T00:00:00Z"],
        ),
        (
            "0 0 * * FRIL",
            ["2026-01-30T00:00:00Z", "2026-02-27T00:00:00Z"],
        ),
        (
            "0 0 * * 6-7",
            ["2026-01-04T00:00:00Z", "2026-01-10T00:00:00Z"],
        ),
        (
            "0 0 * * SAT-SUN",
            ["2026-01-04T00:00:00Z", "2026-01-10T00:00:00Z"],
        ),
        (
            "5,10 22/2 1 1 *",
            ["2027-01-01T22:05:00Z", "2027-01-01T22:10:00Z"],
        ),
        (
            "0 0 29 2 *",
            ["2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"],
        ),
        ("@hourly", ["2026-01-03T01:00:00Z", "2026-01-03T02:00:00Z"]),
        ("@daily", ["2026-01-04T00:00:00Z", "2026-01-05T00:00:00Z"]),
        ("@weekly", ["2026-01-04T00:00:00Z", "2026-01-11T00:00:00Z"]),
        ("@monthly", ["2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"]),
        ("@yearly", ["2027-01-01T00:00:00Z", "2028-01-01T00:00:00Z"]),
    ] {
        let read = schedule(text, "");
        assert_eq!(due(&read, "2026-01-03T00:00:00Z", 2), expected, "{text}");
    }
    assert_eq!(schedule("  0   0 * * *", "").text(), "0 0 * * *");
}

#[test]
fn what_is_wrong_is_said_with_what_would_be_right() {
    for (text, zone, said) in [
        ("", "", "neither R[n]/start/period"),
        ("daily", "", "it has 1 fields"),
        ("@reboot", "", "the names are @hourly"),
        ("CRON_TZ=UTC 0 0 * * *", "", "scheduleTimeZone"),
        (
            "R/2026-01-01T00:00:00Z",
            "",
            "2 parts between slashes, not 3",
        ),
        ("Rx/2026-01-01T00:00:00Z/PT1H", "", "repetitions 'Rx'"),
        ("R-1/2026-01-01T00:00:00Z/PT1H", "", "repetitions 'R-1'"),
        ("R99999999999999999999//PT1H", "", "too many"),
        (
            "R/2026-13-01T00:00:00Z/PT1H",
            "",
            "start '2026-13-01T00:00:00Z'",
        ),
        ("R/2026-02-30/PT1H", "", "start '2026-02-30'"),
        (
            "R/1970-01-01T00:00:00Z/PT1H",
            "",
            "the earliest is 1970-01-01T00:00:01Z",
        ),
        ("R/tomorrow/PT1H", "", "start 'tomorrow'"),
        ("R/2026-01-01T25:00:00Z/PT1H", "", "start"),
        (
            "R//PT0.5S",
            "",
            "shorter than a second; the shortest is PT1S",
        ),
        ("R//PT0S", "", "shorter than a second"),
        ("R//PT", "", "T that no hours"),
        ("R//P", "", "period 'P'"),
        ("R//1H", "", "period '1H'"),
        ("R//P1H", "", "period 'P1H'"),
        ("R//PT1S1M", "", "period"),
        ("R//PT-5M", "", "positive"),
        ("R//P99999999999999999999D", "", "period"),
        ("R//P2000Y", "", "1000 years"),
        (
            "61 * * * *",
            "",
            "minute '61' of the schedule has '61'; it takes 0 to 59",
        ),
        ("* 24 * * *", "", "hour '24'"),
        ("* * 0 * *", "", "day of the month '0'"),
        (
            "* * * 13 *",
            "",
            "month '13' of the schedule has '13'; it takes 1 to 12 or JAN to DEC",
        ),
        (
            "* * * * WEN",
            "",
            "day of the week 'WEN' of the schedule has 'WEN'",
        ),
        ("* * * * FRI#6", "", "up to 5"),
        ("*/0 * * * *", "", "no step after / but '0'"),
        ("50-10 * * * *", "", "goes back from 50 to 10"),
        ("1,,2 * * * *", "", "has ''"),
        ("0 0 30 2 *", "", "never due"),
        (
            "@daily",
            "Mars/Olympus",
            "scheduleTimeZone 'Mars/Olympus' is no zone",
        ),
        ("@daily", "berlin", "as Europe/Berlin is"),
    ] {
        let error = error(text, zone);
        assert!(error.to_string().contains(said), "{text}: {error}");
        let field = if zone.is_empty() {
            "schedule"
        } else {
            "scheduleTimeZone"
        };
        assert_eq!(error.field(), field, "{text}");
    }
    assert!(matches!(
        error(&"1,".repeat(1000), ""),
        ScheduleError::TooLong { bytes: 2000, .. }
    ));
}

#[test]
fn what_lies_beyond_all_calendars_is_not_due_and_ends_soon() {
    for text in [
        "R/9999-01-01T00:00:00Z/P1000Y",
        "R/9999-12-01T00:00:00Z/P1M",
        "0 0 29 2 *",
    ] {
        let schedule = schedule(text, "Pacific/Kiritimati");
        assert_eq!(schedule.next_after(i64::MAX), None, "{text}");
        assert_eq!(
            schedule.next_after(ms("9999-12-30T00:00:00Z")),
            None,
            "{text}"
        );
        assert!(schedule.previous_at_or_before(i64::MAX).is_some(), "{text}");
        assert_eq!(schedule.previous_at_or_before(i64::MIN), None, "{text}");
    }
    let seconds = schedule("R/1970-01-02/PT1S", "");
    assert!(seconds.count_between(i64::MIN, i64::MAX) > 250_000_000_000);
    let always = schedule("* * * * * *", "Europe/Berlin");
    let days = always.count_between(ms("2000-01-01T00:00:00Z"), ms("2100-01-01T00:00:00Z"));
    // A repeated hour is silent, each of a hundred years.
    assert_eq!(days, (36_525 * 24 - 100) * 3600);
}
