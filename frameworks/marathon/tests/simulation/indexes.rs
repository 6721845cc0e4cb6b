//! What follows from the rest of a state, compared with that rest.

use std::collections::{BTreeMap, BTreeSet};

use marathon::instance::{Condition, InstanceId};
use marathon::state::State;

/// Each index says what can be seen without it.
pub(crate) fn indexes_hold(state: &State) {
    let mut by_app: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
    let mut waiting: BTreeMap<_, BTreeSet<InstanceId>> = BTreeMap::new();
    for (id, instance) in &state.instances {
        let of_app = by_app.entry(instance.app.clone()).or_default();
        of_app.insert(id.clone(), instance.clone());
        if instance.condition == Condition::Scheduled {
            let key = (instance.app.clone(), instance.version);
            waiting.entry(key).or_default().insert(id.clone());
        }
    }
    assert_eq!(state.by_app, by_app);
    assert_eq!(state.waiting, waiting);
    let mut changing = BTreeMap::new();
    for (id, deployment) in &state.deployments {
        for app in deployment.plan.affected() {
            let other = changing.insert(app.clone(), id.clone());
            assert_eq!(other, None, "two deployments change {app}");
        }
    }
    assert_eq!(state.changing, changing);
}
