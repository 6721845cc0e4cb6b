//! What follows from the rest of a state, compared with that rest.

use std::collections::{BTreeMap, BTreeSet};

use crate::instance::{Condition, InstanceId};
use crate::state::State;

/// Each index says what can be seen without it.
pub(super) fn indexes_hold(state: &State) {
    let mut by_app: BTreeMap<_, BTreeSet<InstanceId>> = BTreeMap::new();
    let mut waiting: BTreeMap<_, BTreeSet<InstanceId>> = BTreeMap::new();
    for (id, instance) in &state.instances {
        let of_app = by_app.entry(instance.app.clone()).or_default();
        of_app.insert(id.clone());
        if instance.condition == Condition::Scheduled {
            let key = (instance.app.clone(), instance.version);
            waiting.entry(key).or_default().insert(id.clone());
        }
    }
    assert_eq!(state.by_app, by_app);
    assert_eq!(state.waiting, waiting);
}
