//! The judge finds what is wrong, and nothing else.

use super::*;

const EARLY: i64 = 946_684_800_000; // 2000-01-01T00:00:00Z
const LATE: i64 = EARLY + 366 * 86_400_000;

fn at(minutes: i64, seconds: i64) -> i64 {
    EARLY + (minutes * 60 + seconds) * 1000
}

fn asked() -> Asked {
    Asked {
        name: "1".to_owned(),
        start_ms: EARLY,
        interval_ms: 60_000,
        count: 3,
        epsilon_ms: 10_000,
        duration_ms: 0,
    }
}

fn complete(start_ms: i64) -> Ran {
    Ran {
        start_ms,
        end: End::Complete(start_ms),
    }
}

fn cut(start_ms: i64) -> Ran {
    Ran {
        start_ms,
        end: End::Unknown,
    }
}

fn all_quiet() -> Quiet {
    Quiet(vec![(EARLY, LATE)])
}

fn verdict(runs: Vec<Ran>, excuses: Vec<Excuse>, quiet: &Quiet, read_ms: i64) -> Verdict {
    judge(&asked(), &Deeds { runs, excuses }, quiet, read_ms)
}

fn excuse(due_ms: i64, occurrences: i64) -> Excuse {
    Excuse {
        due_ms,
        occurrences,
        is_missed: true,
        why: "there were no offers".to_owned(),
    }
}

#[test]
fn windows_begin_when_it_is_due_and_end_a_little_late() {
    let windows: Vec<_> = asked().targets(LATE).map(|k| asked().window(k)).collect();
    assert_eq!(
        windows,
        [
            (at(0, 0), at(0, 15)),
            (at(1, 0), at(1, 15)),
            (at(2, 0), at(2, 15)),
        ]
    );
}

#[test]
fn what_may_still_come_is_not_asked_for() {
    // The second is due at the very moment from which on it may still come.
    assert_eq!(asked().targets(at(1, 10)).count(), 1);
    assert_eq!(asked().targets(at(1, 10) + 1).count(), 2);
    assert_eq!(asked().targets(EARLY).count(), 0);
}

#[test]
fn one_run_in_each_window_is_right_and_what_is_incomplete_does_not_count() {
    let runs = vec![
        cut(at(0, 0)),
        complete(at(0, 3)),
        complete(at(1, 5)),
        complete(at(2, 7)),
    ];
    let said = verdict(runs, vec![], &all_quiet(), LATE);
    assert_eq!(said.violations, []);
    assert_eq!((said.targets, said.in_time), (3, 3));
    assert_eq!((said.extra, said.incomplete), (0, 1));
}

#[test]
fn a_run_is_late_from_the_second_after_the_window_on() {
    let last = |ms| {
        verdict(
            vec![complete(at(0, 15) + ms)],
            vec![],
            &all_quiet(),
            at(0, 50),
        )
    };
    assert_eq!(last(999).violations, []);
    assert_eq!(last(1000).violations.len(), 1);
    assert_eq!(last(1000).extra, 1);
    // And early in the second before it.
    assert_eq!(last(-15_000).violations, []);
    assert_eq!(last(-15_001).violations.len(), 1);
}

#[test]
fn a_window_without_a_run_is_found() {
    let runs = vec![complete(at(0, 3)), complete(at(2, 7))];
    let missed = Violation::Missed {
        due_ms: at(1, 0),
        excuse: "Chronos does not say why",
    };
    let said = verdict(runs.clone(), vec![], &Quiet::default(), LATE);
    assert_eq!(said.violations, [missed]);
    // A run that is not complete is none.
    let mut with_cut = runs;
    with_cut.push(cut(at(1, 1)));
    let said = verdict(with_cut, vec![], &Quiet::default(), LATE);
    assert_eq!(said.violations.len(), 1);
}

#[test]
fn an_excuse_counts_in_trouble_and_for_what_it_speaks_of() {
    let runs = vec![complete(at(2, 7))];
    let trouble_until = |ms| Quiet(vec![(ms, LATE)]);
    let said = verdict(
        runs.clone(),
        vec![excuse(at(1, 0), 2)],
        &trouble_until(at(1, 1)),
        LATE,
    );
    assert_eq!(said.violations, []);
    assert_eq!((said.in_time, said.excused), (1, 2));
    // Nothing was broken in the second window.
    let said = verdict(
        runs.clone(),
        vec![excuse(at(1, 0), 2)],
        &trouble_until(at(1, 0)),
        LATE,
    );
    let missed = Violation::Missed {
        due_ms: at(1, 0),
        excuse: "nothing was broken then",
    };
    assert_eq!(said.violations, [missed]);
    // The first window is not spoken of.
    let said = verdict(
        runs.clone(),
        vec![excuse(at(1, 0), 1)],
        &Quiet::default(),
        LATE,
    );
    assert_eq!(said.violations.len(), 1);
    // Another time is.
    let said = verdict(runs, vec![excuse(at(1, 1), 2)], &Quiet::default(), LATE);
    assert_eq!(said.violations.len(), 2);
}

#[test]
fn an_excuse_for_what_ran_is_found() {
    let runs = vec![complete(at(0, 1)), complete(at(1, 1)), complete(at(2, 1))];
    let said = verdict(runs, vec![excuse(at(1, 0), 1)], &Quiet::default(), LATE);
    let false_excuse = Violation::FalselyExcused {
        due_ms: at(1, 0),
        why: "there were no offers".to_owned(),
    };
    assert_eq!(said.violations, [false_excuse]);
    // It may have been lost sight of, though.
    let lost = Excuse {
        is_missed: false,
        ..excuse(at(1, 0), 1)
    };
    let runs = vec![complete(at(0, 1)), complete(at(1, 1)), complete(at(2, 1))];
    assert_eq!(
        verdict(runs, vec![lost], &Quiet::default(), LATE).violations,
        []
    );
}

#[test]
fn two_runs_in_a_window_are_found_also_where_none_was_asked_for_yet() {
    let runs = vec![complete(at(0, 1)), complete(at(0, 9))];
    let twice = Violation::Twice {
        due_ms: at(0, 0),
        starts_ms: vec![at(0, 1), at(0, 9)],
    };
    for read_ms in [at(0, 10), at(0, 40)] {
        let said = verdict(runs.clone(), vec![], &all_quiet(), read_ms);
        assert_eq!(said.violations, std::slice::from_ref(&twice));
    }
}

#[test]
fn a_run_past_the_count_is_found() {
    let runs: Vec<Ran> = (0..4).map(|minute| complete(at(minute, 2))).collect();
    let said = verdict(runs, vec![], &all_quiet(), LATE);
    assert_eq!(
        said.violations,
        [Violation::PastTheCount { count: 3, runs: 4 }]
    );
    assert_eq!(said.extra, 1);
}

#[test]
fn runs_that_overlap_are_found_complete_or_not() {
    let lasting = |start_ms, end: End| Ran { start_ms, end };
    let second = complete(at(1, 1));
    for first in [
        lasting(at(0, 1), End::Complete(at(1, 2))),
        lasting(at(0, 1), End::Cut(at(1, 2))),
    ] {
        let said = verdict(
            vec![second, first],
            vec![excuse(at(0, 0), 1)],
            &Quiet::default(),
            at(1, 5),
        );
        assert!(
            said.violations
                .contains(&Violation::Overlap { first, second }),
            "{said}"
        );
    }
    let runs = vec![lasting(at(0, 1), End::Complete(at(1, 1))), second];
    assert_eq!(
        verdict(runs, vec![], &all_quiet(), at(1, 11)).violations,
        []
    );
}

#[test]
fn the_earliest_runs_are_matched_as_well_as_any() {
    // By trying all ways, for windows and runs at random.
    use proptest::prelude::*;
    let matches = |asked: &Asked, complete: &[i64], read_ms| -> bool {
        fn fits(windows: &[(i64, i64)], runs: &mut Vec<i64>) -> bool {
            let Some((window, rest)) = windows.split_first() else {
                return true;
            };
            (0..runs.len()).any(|index| {
                let run = runs.remove(index);
                let fits = is_within(run, *window) && fits(rest, runs);
                runs.insert(index, run);
                fits
            })
        }
        let windows: Vec<_> = asked.targets(read_ms).map(|k| asked.window(k)).collect();
        fits(&windows, &mut complete.to_vec())
    };
    proptest!(|(
        // Windows that overlap, too.
        interval in 5_i64..40,
        count in 0_i64..5,
        epsilon in 0_i64..20,
        starts in proptest::collection::vec(0_i64..150_000, 0..6),
        read in 0_i64..200_000,
    )| {
        let asked = Asked {
            interval_ms: interval * 1000,
            count,
            epsilon_ms: epsilon * 1000,
            ..asked()
        };
        let mut starts: Vec<i64> = starts.into_iter().map(|start| EARLY + start).collect();
        starts.sort_unstable();
        let matched = match_windows(&asked, &starts, EARLY + read);
        let is_valid = matched.values().all(Option::is_some);
        prop_assert_eq!(is_valid, matches(&asked, &starts, EARLY + read));
    });
}
