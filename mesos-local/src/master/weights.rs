//! Weights of roles: how much of the cluster each is entitled to
//! (`docs/weights.md`, `src/master/weights_handler.cpp`).

use mesos_sdk::{ids, v1};

use super::{Master, Reply};

impl Master {
    /// UPDATE_WEIGHTS: all of them or none. Offers are taken back, so that the
    /// next ones follow the new weights.
    pub(super) fn update_weights(&mut self, weights: Vec<v1::WeightInfo>) -> Reply {
        let mut checked = Vec::with_capacity(weights.len());
        for info in weights {
            match check(&info) {
                Ok(role) => checked.push((role, info.weight)),
                Err(text) => return Reply::new(400, text),
            }
        }
        for (role, weight) in &checked {
            self.allocator.set_weight(role, *weight);
        }
        let is_in_use = |role: &String| {
            let frameworks = &self.state.frameworks;
            frameworks.values().any(|f| f.roles().contains(role))
        };
        if checked.iter().any(|(role, _)| is_in_use(role)) {
            let agents: Vec<String> = self.state.agents.keys().cloned().collect();
            for agent in agents {
                self.rescind_offers_of_agent(&agent);
            }
        }
        Reply::new(200, "")
    }

    pub(super) fn weights_report(&self) -> Vec<v1::WeightInfo> {
        let weight = |(role, weight): (&String, &f64)| v1::WeightInfo {
            role: Some(role.clone()),
            weight: *weight,
        };
        self.allocator.weights().iter().map(weight).collect()
    }
}

/// The role that is meant, when it may have this weight.
fn check(info: &v1::WeightInfo) -> Result<String, String> {
    const START: &str = "Failed to validate update weights request JSON";
    let role = info.role().trim();
    ids::validate_role(role).map_err(|error| format!("{START}: Invalid role '{role}': {error}"))?;
    if info.weight > 0.0 {
        return Ok(role.to_owned());
    }
    Err(format!(
        "{START} for role '{role}': Invalid weight '{}': Weights must be positive",
        info.weight
    ))
}
