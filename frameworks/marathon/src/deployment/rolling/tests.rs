use super::*;
use proptest::prelude::*;

fn strategy(min: f64, over: f64) -> UpgradeStrategy {
    UpgradeStrategy {
        minimum_health_capacity: min,
        maximum_over_capacity: over,
    }
}

fn old(healthy: usize) -> ByHealth {
    ByHealth {
        healthy,
        ..ByHealth::default()
    }
}

#[test]
fn bounds_are_those_of_the_documentation() {
    for (target, min, over, expected) in [
        (10, 1.0, 1.0, (10, 20)),
        (10, 0.5, 0.2, (5, 12)),
        (10, 0.0, 0.0, (0, 10)),
        (3, 0.5, 0.5, (2, 4)),
        (30, 0.1, 0.1, (3, 33)),
        (1, 1.0, 0.0, (1, 2)),
        (4, 1.0, 0.1, (4, 5)),
    ] {
        assert_eq!(bounds(target, strategy(min, over), false), expected);
    }
    assert_eq!(bounds(4, strategy(1.0, 0.0), true), (3, 4));
    assert_eq!(bounds(4, strategy(0.5, 0.0), true), (2, 4));
}

#[test]
fn half_goes_at_once_when_half_is_enough() {
    let counts = Counts {
        target: 10,
        old: old(10),
        ..Counts::default()
    };
    let moves = moves(counts, bounds(10, strategy(0.5, 0.0), false));
    assert_eq!((moves.start, moves.kill), (0, old(5)));
}

#[test]
fn as_many_start_as_there_is_room_for_and_none_is_killed_before() {
    let counts = Counts {
        target: 10,
        old: old(10),
        ..Counts::default()
    };
    let moves = moves(counts, bounds(10, strategy(1.0, 0.3), false));
    assert_eq!((moves.start, moves.kill.total()), (3, 0));
}

#[test]
fn each_new_one_that_is_ready_lets_an_old_one_go() {
    let counts = Counts {
        target: 10,
        new: 3,
        new_ready: 2,
        old: old(10),
        ..Counts::default()
    };
    let moves = moves(counts, bounds(10, strategy(1.0, 0.3), false));
    assert_eq!((moves.start, moves.kill), (0, old(2)));
}

#[test]
fn unhealthy_old_ones_go_first_and_make_room_when_nothing_else_can() {
    let counts = Counts {
        target: 2,
        old: ByHealth {
            unhealthy: 2,
            ..ByHealth::default()
        },
        ..Counts::default()
    };
    let stuck = moves(counts, bounds(2, strategy(0.5, 0.0), false));
    assert_eq!(stuck.kill, counts.old);
    let unknown = Counts {
        old: ByHealth {
            unknown: 2,
            ..ByHealth::default()
        },
        ..counts
    };
    let waits = moves(unknown, bounds(2, strategy(0.5, 0.0), false));
    assert_eq!(waits, Moves::default(), "they may turn out to be healthy");
}

/// An app whose instances are replaced, with chance deciding what happens in
/// between.
#[derive(Debug, Default)]
struct World {
    counts: Counts,
    pending: usize,
}

impl World {
    fn apply(&mut self, moves: Moves) {
        let counts = &mut self.counts;
        counts.new += moves.start;
        self.pending += moves.start;
        counts.old.healthy -= moves.kill.healthy;
        counts.old.unknown -= moves.kill.unknown;
        counts.old.unhealthy -= moves.kill.unhealthy;
        counts.killed += moves.kill.total();
    }

    fn happen(&mut self, event: u8) {
        let counts = &mut self.counts;
        match event {
            0..=3 if self.pending > 0 => {
                self.pending -= 1;
                counts.new_ready += 1;
            }
            4..=6 if counts.killed > 0 => counts.killed -= 1,
            7 if counts.old.unknown > 0 => {
                counts.old.unknown -= 1;
                counts.old.healthy += 1;
            }
            8 if counts.old.unknown > 0 => {
                counts.old.unknown -= 1;
                counts.old.unhealthy += 1;
            }
            // A new one fails, another is to be started for it.
            9 if self.pending > 0 => {
                self.pending -= 1;
                counts.new -= 1;
            }
            10 if counts.new_ready > 0 => {
                counts.new_ready -= 1;
                counts.new -= 1;
            }
            11 if counts.old.healthy > 0 => {
                counts.old.healthy -= 1;
                counts.old.unhealthy += 1;
            }
            12 if counts.old.healthy > 0 => counts.old.healthy -= 1,
            _ => {}
        }
    }
}

proptest! {
    #[test]
    fn bounds_hold_whatever_happens_and_it_ends_when_nothing_more_does(
        target in 0..12_usize,
        healthy in 0..12_usize,
        unknown in 0..4_usize,
        unhealthy in 0..4_usize,
        min_share in 0..=10_u8,
        over_share in 0..=10_u8,
        is_resident: bool,
        events in proptest::collection::vec(0..13_u8, 0..60),
    ) {
        let shares = strategy(f64::from(min_share) / 10.0, f64::from(over_share) / 10.0);
        let (min, max) = bounds(target, shares, is_resident);
        let mut world = World::default();
        world.counts.target = target;
        world.counts.old = ByHealth { healthy, unknown, unhealthy };
        let step = |world: &mut World| {
            let before = world.counts;
            world.apply(moves(before, (min, max)));
            let after = world.counts;
            let lost = before.healthy() - after.healthy();
            prop_assert!(lost == 0 || after.healthy() >= min, "{before:?} {after:?}");
            prop_assert!(after.total() <= max.max(before.total()), "{before:?} {after:?}");
            Ok(())
        };
        for event in events {
            step(&mut world)?;
            world.happen(event);
        }
        // From here on all goes well.
        for _ in 0..200 {
            step(&mut world)?;
            if world.counts.is_done() {
                break;
            }
            for event in [0, 4, 7] {
                world.happen(event);
            }
        }
        prop_assert!(world.counts.is_done(), "{world:?} {min} {max}");
    }
}
