//! Crashes at any byte, full disks, and second instances.

use proptest::prelude::*;

use super::*;

fn batch(changes: &[(u8, Option<u16>)]) -> Batch {
    let mut batch = Batch::new();
    for (key, value) in changes {
        match value {
            Some(bytes) => batch.put(format!("k/{key}"), vec![*key; usize::from(*bytes)]),
            None => batch.delete(format!("k/{key}")),
        }
    }
    batch
}

#[test]
fn what_was_saved_is_there_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(directory.path(), "test").unwrap();
    assert!(store.read("").unwrap().is_empty());
    store
        .write(&batch(&[(1, Some(3)), (2, Some(60_000))]))
        .unwrap();
    store.write(&batch(&[(1, None), (3, Some(0))])).unwrap();
    let before = store.read("").unwrap();
    drop(store);
    let store = EmbeddedStore::open(directory.path(), "test").unwrap();
    assert_eq!(store.read("").unwrap(), before);
    assert_eq!(before.keys().collect::<Vec<_>>(), ["k/2", "k/3"]);
    assert_eq!(store.read("k/3").unwrap().len(), 1);
    assert_eq!(store.read("l").unwrap().len(), 0);
    let entries: Vec<_> = std::fs::read_dir(directory.path()).unwrap().collect();
    assert_eq!(entries.len(), 1, "{entries:?}");
}

#[test]
fn a_second_instance_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(directory.path(), "test").unwrap();
    let error = EmbeddedStore::open(directory.path(), "test").unwrap_err();
    assert!(matches!(error, StoreError::InUse { .. }), "{error}");
    assert!(error.to_string().contains("test.redb is in use by another"));
    drop(store);
    EmbeddedStore::open(directory.path(), "test").unwrap();
}

#[test]
fn what_is_no_store_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("test.redb");
    let text = "something else ".repeat(1000);
    std::fs::write(&path, &text).unwrap();
    let error = EmbeddedStore::open(directory.path(), "test").unwrap_err();
    assert!(!error.is_retryable(), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn a_full_disk_is_an_error_that_loses_nothing_and_passes() {
    let disk = SimulatedDisk::new();
    let store = EmbeddedStore::open_simulated(&disk).unwrap();
    store.write(&batch(&[(1, Some(10))])).unwrap();
    disk.set_capacity(Some(disk.len().unwrap()));
    let mut large = Batch::new();
    large.put("large", vec![7; 8 << 20]);
    let error = store.write(&large).unwrap_err();
    assert!(matches!(error, StoreError::Full { .. }), "{error}");
    assert!(error.is_retryable());
    assert_eq!(store.read("").unwrap().len(), 1);
    // What fits can still be saved.
    store.write(&batch(&[(2, Some(10))])).unwrap();
    disk.set_capacity(None);
    store.write(&large).unwrap();
    let after = EmbeddedStore::open_simulated(&disk.after_crash(|_| false)).unwrap();
    assert_eq!(after.read("").unwrap().len(), 3);
}

#[test]
fn a_file_that_is_mostly_free_shrinks_at_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("test.redb");
    let store = EmbeddedStore::open(directory.path(), "test").unwrap();
    let mut less = Batch::new();
    for number in 0..40 {
        let mut large = Batch::new();
        large.put(format!("large/{number}"), vec![7; 1 << 20]);
        large.put(format!("small/{number}"), vec![7; 3000]);
        store.write(&large).unwrap();
        less.delete(format!("large/{number}"));
    }
    store.write(&less).unwrap();
    drop(store);
    let before = std::fs::metadata(&path).unwrap().len();
    let store = EmbeddedStore::open(directory.path(), "test").unwrap();
    let after = std::fs::metadata(&path).unwrap().len();
    assert!(before > 8 << 20 && after < 4 << 20, "{before} to {after}");
    assert_eq!(store.read("").unwrap().len(), 40);
}

type Changes = Vec<(u8, Option<u16>)>;

fn changes() -> impl Strategy<Value = Vec<Changes>> {
    let value = prop_oneof![
        1 => Just(None),
        3 => (0..6_u16).prop_map(Some),
        1 => (0..9_000_u16).prop_map(Some),
    ];
    prop::collection::vec(prop::collection::vec((0..12_u8, value), 1..6), 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    /// The power goes at any byte of any write, and of what was not synced any
    /// part survives. Afterwards all acknowledged batches are there, and the
    /// one in flight is there whole or not at all.
    #[test]
    fn no_crash_loses_or_tears_a_batch(
        batches in changes(),
        power in 0..60_000_u64,
        survivors in any::<u64>(),
    ) {
        let disk = SimulatedDisk::new();
        let store = EmbeddedStore::open_simulated(&disk).unwrap();
        disk.lose_power_after(power);
        let mut acknowledged = Entities::new();
        let mut in_flight = None;
        for changes in &batches {
            let batch = batch(changes);
            if store.write(&batch).is_err() {
                prop_assert!(disk.is_without_power());
                in_flight = Some(batch);
                break;
            }
            batch.apply(&mut acknowledged);
        }
        drop(store);
        let found = disk.after_crash(|number| survivors.rotate_left((number % 64) as u32) & 1 == 1);
        let store = EmbeddedStore::open_simulated(&found).unwrap();
        let entities = store.read("").unwrap();
        let mut with_it = acknowledged.clone();
        if let Some(batch) = &in_flight {
            batch.apply(&mut with_it);
        }
        prop_assert!(entities == acknowledged || entities == with_it);
        // And it goes on from there.
        store.write(&batch(&[(99, Some(1))])).unwrap();
        prop_assert_eq!(store.read("k/99").unwrap().len(), 1);
    }
}
