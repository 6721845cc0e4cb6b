//! Quotas of roles: checked, set, and enforced on what is already offered
//! (`docs/quota.md`, `src/master/quota.cpp`, `src/master/quota_handler.cpp`).

use std::collections::BTreeMap;

use mesos_sdk::resources::{Resources, allocation_role, reservation_role};
use mesos_sdk::v1::quota::{QuotaConfig, QuotaInfo, QuotaRequest, QuotaStatus};
use mesos_sdk::{ids, v1};

use super::{Master, Reply};
use crate::allocator::{Quantities, Quota};

/// 2^40 MiB.
const MOST_MIB: f64 = 1_099_511_627_776.0;
const MOST_OTHER: f64 = 1e12;

impl Master {
    /// UPDATE_QUOTA: all of them or none.
    pub(super) fn update_quota(&mut self, configs: &[QuotaConfig], is_forced: bool) -> Reply {
        if let Err(text) = self.check_configs(configs, is_forced) {
            return Reply::new(400, text);
        }
        for config in configs {
            self.allocator.set_quota(&config.role, Quota::new(config));
        }
        for config in configs {
            self.rescind_for_limits(config);
            self.rescind_for_guarantees(config);
        }
        Reply::new(200, "")
    }

    /// SET_QUOTA: a guarantee that is a limit too, for a role without a quota.
    pub(super) fn set_quota(&mut self, request: &QuotaRequest) -> Reply {
        const START: &str = "Failed to validate set quota request";
        let role = request.role().to_owned();
        if let Err(text) = check_request(request) {
            return Reply::new(400, format!("{START}: {text}"));
        }
        if self.allocator.quotas().contains_key(&role) {
            let text = format!("Cannot set quota for role '{role}' which already has quota");
            return Reply::new(400, format!("{START}: {text}"));
        }
        if role.contains('/') {
            let text = format!("Setting quota on nested role '{role}' is not supported yet");
            return Reply::new(400, text);
        }
        let amounts: BTreeMap<String, v1::value::Scalar> = request
            .guarantee
            .iter()
            .map(|item| (item.name.clone(), item.scalar.unwrap_or_default()))
            .collect();
        let config = QuotaConfig {
            role,
            guarantees: amounts.clone().into_iter().collect(),
            limits: amounts.into_iter().collect(),
        };
        if !request.force() {
            let (wanted, capacity) = self.guarantees_and_capacity(std::slice::from_ref(&config));
            if !capacity.contains(&wanted) {
                return Reply::new(
                    409,
                    format!(
                        "Quota guarantees overcommit the cluster (use 'force' to bypass this \
                         check): Total quota guarantees '{wanted}' exceed cluster capacity \
                         '{capacity}'"
                    ),
                );
            }
        }
        self.allocator.set_quota(&config.role, Quota::new(&config));
        self.rescind_for_limits(&config);
        self.rescind_for_guarantees(&config);
        Reply::new(200, "")
    }

    /// REMOVE_QUOTA.
    pub(super) fn remove_quota(&mut self, role: &str) -> Reply {
        if !self.allocator.quotas().contains_key(role) {
            let text = format!("Failed to remove quota: Role '{role}' has no quota set");
            return Reply::new(400, text);
        }
        self.allocator.set_quota(role, Quota::default());
        Reply::new(200, "")
    }

    pub(super) fn quota_configs(&self) -> Vec<QuotaConfig> {
        let quotas = self.allocator.quotas().iter();
        quotas
            .map(|(role, quota)| QuotaConfig {
                role: role.clone(),
                guarantees: scalars(&quota.guarantees).collect(),
                limits: scalars(&quota.limits).collect(),
            })
            .collect()
    }

    pub(super) fn quota_status(&self) -> QuotaStatus {
        let configs = self.quota_configs();
        QuotaStatus {
            infos: configs.iter().map(quota_info).collect(),
            configs,
        }
    }

    fn check_configs(&self, configs: &[QuotaConfig], is_forced: bool) -> Result<(), String> {
        for config in configs {
            let role = &config.role;
            if role.contains('/') {
                return Err(format!(
                    "Updating quota on nested role '{role}' is not supported yet"
                ));
            }
            check_config(config).map_err(|text| format!("Invalid QuotaConfig: {text}"))?;
        }
        if is_forced {
            return Ok(());
        }
        for config in configs {
            let role = &config.role;
            let limits = Quota::new(config).limits;
            let consumed = self.consumed_quota(role);
            if !limits.permit(&consumed) {
                return Err(format!(
                    "Invalid QuotaConfig: Role '{role}' is already consuming '{consumed}'; this \
                     is more than the requested limits '{limits}' (use 'force' flag to bypass \
                     this check)"
                ));
            }
        }
        let (wanted, capacity) = self.guarantees_and_capacity(configs);
        if capacity.contains(&wanted) {
            return Ok(());
        }
        Err(format!(
            "Invalid QuotaConfig: total quota guarantees '{wanted}' exceed cluster capacity \
             '{capacity}' (use 'force' flag to bypass this check)"
        ))
    }

    /// What would be guaranteed in all, and what there is.
    fn guarantees_and_capacity(&self, changes: &[QuotaConfig]) -> (Quantities, Quantities) {
        let mut quotas = self.allocator.quotas().clone();
        for config in changes {
            quotas.insert(config.role.clone(), Quota::new(config));
        }
        let mut wanted = Quantities::default();
        for quota in quotas.values() {
            wanted.add(&quota.guarantees);
        }
        let mut capacity = Quantities::default();
        for agent in self.state.agents.values() {
            let firm = agent.total.filter(|item| item.revocable.is_none());
            capacity.add(&Quantities::of_scalars(&firm));
        }
        (wanted, capacity)
    }

    /// What tasks and executors of a role hold, and what is reserved for it
    /// besides.
    fn consumed_quota(&self, role: &str) -> Quantities {
        let mut consumed = Quantities::default();
        for framework in self.state.frameworks.values() {
            let held = self.held_by(framework);
            let held = held.filter(|item| {
                allocation_role(item).is_some_and(|held| is_at_or_below(held, role))
                    && reservation_role(item).is_none()
            });
            consumed.add(&Quantities::of_scalars(&held));
        }
        for agent in self.state.agents.values() {
            let reserved = agent.total.filter(|item| {
                reservation_role(item).is_some_and(|reserved| is_at_or_below(reserved, role))
            });
            consumed.add(&Quantities::of_scalars(&reserved));
        }
        consumed
    }

    fn offered_to(&self, role: &str) -> Quantities {
        let mut offered = Quantities::default();
        for offer in self.state.offers.values() {
            if is_at_or_below(&offer.role, role) {
                offered.add(&Quantities::of_scalars(&offer.resources));
            }
        }
        offered
    }

    fn rescind_for_limits(&mut self, config: &QuotaConfig) {
        let limits = Quota::new(config).limits;
        let mut held = self.consumed_quota(&config.role);
        held.add(&self.offered_to(&config.role));
        let own = |role: &str| is_at_or_below(role, &config.role);
        for (key, resources) in self.offers_of_roles(own) {
            if limits.permit(&held) {
                break;
            }
            held.subtract(&resources);
            self.rescind_offer(&key);
        }
    }

    /// Best effort, as everywhere: offers of others are taken back until the
    /// role could have what it is guaranteed.
    fn rescind_for_guarantees(&mut self, config: &QuotaConfig) {
        let guarantees = Quota::new(config).guarantees;
        let mut at_hand = self.consumed_quota(&config.role);
        at_hand.add(&self.offered_to(&config.role));
        let others = |role: &str| !is_at_or_below(role, &config.role);
        for (key, resources) in self.offers_of_roles(others) {
            if at_hand.contains(&guarantees) {
                break;
            }
            at_hand.add(&resources);
            self.rescind_offer(&key);
        }
    }

    fn offers_of_roles(&self, is_meant: impl Fn(&str) -> bool) -> Vec<(String, Quantities)> {
        let offers = self.state.offers.iter();
        offers
            .filter(|(_, offer)| is_meant(&offer.role))
            .map(|(key, offer)| (key.clone(), Quantities::of_scalars(&offer.resources)))
            .collect()
    }
}

fn is_at_or_below(role: &str, ancestor: &str) -> bool {
    role == ancestor || ids::is_strict_subrole_of(role, ancestor)
}

fn scalars(quantities: &Quantities) -> impl Iterator<Item = (String, v1::value::Scalar)> {
    quantities.iter().map(|(name, amount)| {
        let value = amount.as_f64();
        (name.clone(), v1::value::Scalar { value })
    })
}

fn quota_info(config: &QuotaConfig) -> QuotaInfo {
    let guarantee = |(name, scalar): (&String, &v1::value::Scalar)| v1::Resource {
        name: name.clone(),
        r#type: v1::value::Type::Scalar.into(),
        scalar: Some(*scalar),
        ..Default::default()
    };
    QuotaInfo {
        role: Some(config.role.clone()),
        principal: None,
        guarantee: config.guarantees.iter().map(guarantee).collect(),
    }
}

fn check_config(config: &QuotaConfig) -> Result<(), String> {
    ids::validate_role(&config.role)
        .map_err(|error| format!("Invalid 'QuotaConfig.role': {error}"))?;
    for (field, amounts) in [
        ("guarantees", &config.guarantees),
        ("limits", &config.limits),
    ] {
        for (name, amount) in amounts {
            check_size(name, amount.value)
                .map_err(|text| format!("Invalid 'QuotaConfig.{field}': {text}"))?;
        }
    }
    for (field, amounts) in [("guarantee", &config.guarantees), ("limit", &config.limits)] {
        for (name, amount) in amounts {
            let why = match amount.value {
                value if value.is_nan() => "NaN not supported",
                value if value.is_infinite() => "Infinite values not supported",
                value if value < 0.0 => "Negative values not supported",
                _ => continue,
            };
            let value = amount.value;
            return Err(format!(
                "Invalid {field} configuration {{'{name}': {value}}}: {why}"
            ));
        }
    }
    let quota = Quota::new(config);
    if !quota.limits.permit(&quota.guarantees) {
        return Err(format!(
            "'QuotaConfig.guarantees' {} is not contained within the 'QuotaConfig.limits' {}",
            quota.guarantees, quota.limits
        ));
    }
    Ok(())
}

fn check_size(name: &str, value: f64) -> Result<(), String> {
    let (most, words) = if matches!(name, "mem" | "disk") {
        (MOST_MIB, "1 exabyte")
    } else {
        (MOST_OTHER, "1 trillion")
    };
    if value <= most || value.is_nan() || value.is_infinite() {
        return Ok(());
    }
    Err(format!(
        "{{'{name}': {value}}} is invalid: values greater than {words} ({most}) are not supported"
    ))
}

fn check_request(request: &QuotaRequest) -> Result<(), String> {
    Resources::validate(&request.guarantee)
        .map_err(|error| format!("QuotaInfo with invalid resource: {error}"))?;
    let Some(role) = &request.role else {
        return Err("QuotaInfo must specify a role".to_owned());
    };
    ids::validate_role(role).map_err(|error| format!("QuotaInfo with invalid role: {error}"))?;
    if request.guarantee.is_empty() {
        return Err("QuotaInfo with empty 'guarantee'".to_owned());
    }
    let mut names = std::collections::BTreeSet::new();
    for item in &request.guarantee {
        let why = if !item.reservations.is_empty() {
            "must not contain any ReservationInfo"
        } else if item.disk.is_some() {
            "must not contain DiskInfo"
        } else if item.revocable.is_some() {
            "must not contain RevocableInfo"
        } else if item.r#type() != v1::value::Type::Scalar {
            "must not include non-scalar resources"
        } else if !names.insert(&item.name) {
            return Err(format!(
                "QuotaInfo contains duplicate resource name '{}'",
                item.name
            ));
        } else {
            continue;
        };
        return Err(format!("QuotaInfo {why}"));
    }
    Ok(())
}
