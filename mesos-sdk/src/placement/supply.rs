//! What is offered: offers of one agent and role together are a site.

use std::collections::HashMap;

use mesos_proto::v1;

use super::demand::{Demand, Source};
use super::place;
use crate::resources::Ranges;

/// How a resource may be used, by its reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Reserved,
    Unreserved,
    /// Revocable and unreserved.
    Revocable,
    /// Reserved with labels that keep it for those who name them.
    Labelled,
    /// One of its kind: volumes, disks, and what is neither a scalar nor ports.
    Special,
}

/// Scalars of one name at one site, in thousandths.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(super) struct Amounts {
    pub(super) reserved: i64,
    pub(super) unreserved: i64,
    pub(super) revocable: i64,
}

impl Amounts {
    pub(super) fn plain(self) -> i64 {
        self.reserved.saturating_add(self.unreserved)
    }
}

/// A resource of an offer that is not merely counted.
#[derive(Debug, Clone)]
pub(super) struct Item {
    /// Which of the offers.
    pub(super) offer: usize,
    pub(super) resource: v1::Resource,
}

/// The offers of one agent in one role.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) agent_id: String,
    pub(super) hostname: String,
    pub(super) role: String,
    /// Number of the agent: several sites may be of one.
    pub(super) agent: usize,
    pub(super) offers: Vec<usize>,
    /// By the number of the scalar's name.
    pub(super) amounts: Vec<Amounts>,
    pub(super) reserved_ports: Ranges,
    pub(super) unreserved_ports: Ranges,
    pub(super) labelled: Vec<Item>,
    pub(super) special: Vec<Item>,
    /// Whether GPUs are offered at all.
    pub(super) has_gpus: bool,
    /// Its region, when that is not the home region.
    pub(super) remote_region: Option<String>,
    /// Whether the agent is, or is about to be, unavailable.
    pub(super) is_in_maintenance: bool,
}

/// Host ports; what is beyond does not exist on a network.
const PORTS: (u64, u64) = (1, 65_535);

/// Which labels keep reservations for those who name them.
pub(super) struct Keepsakes<'a> {
    keys: &'a [String],
    demanded: Vec<&'a Source>,
}

impl<'a> Keepsakes<'a> {
    pub(super) fn new(keys: &'a [String], demands: &'a [Demand]) -> Self {
        let mut demanded: Vec<&Source> = Vec::new();
        for demand in demands {
            let source = &demand.wants.source;
            if matches!(source, Source::Labelled(_)) && !demanded.contains(&source) {
                demanded.push(source);
            }
        }
        Self { keys, demanded }
    }

    pub(super) fn kind(&self, resource: &v1::Resource) -> Kind {
        let is_ports = resource.name == "ports" && resource.ranges.is_some();
        let is_plain = resource.disk.is_none() && resource.shared.is_none();
        if !is_plain || !(is_ports || resource.scalar.is_some()) {
            return Kind::Special;
        }
        let Some(labels) = reservation(resource) else {
            return match &resource.revocable {
                Some(_) => Kind::Revocable,
                None => Kind::Unreserved,
            };
        };
        if resource.revocable.is_some() {
            return Kind::Special;
        }
        let is_kept = labels.is_some_and(|labels| {
            let has_key = |key: &String| labels.labels.iter().any(|label| label.key == *key);
            self.keys.iter().any(has_key)
                || self.demanded.iter().any(|source| names(source, resource))
        });
        if is_kept {
            Kind::Labelled
        } else {
            Kind::Reserved
        }
    }
}

/// The labels of the reservation on top, if the resource is reserved.
fn reservation(resource: &v1::Resource) -> Option<Option<&v1::Labels>> {
    if let Some(top) = resource.reservations.last() {
        return Some(top.labels.as_ref());
    }
    // The format without stacks.
    resource.role.as_ref().filter(|role| *role != "*")?;
    let reservation = resource.reservation.as_ref();
    Some(reservation.and_then(|reservation| reservation.labels.as_ref()))
}

/// Whether a reservation carries all the labels that a source names.
pub(super) fn names(source: &Source, resource: &v1::Resource) -> bool {
    let Source::Labelled(wanted) = source else {
        return false;
    };
    let labels = reservation(resource).flatten();
    wanted.iter().all(|(key, value)| {
        labels.is_some_and(|labels| {
            let mut labels = labels.labels.iter();
            labels.any(|label| label.key == *key && label.value() == value)
        })
    })
}

pub(super) fn thousandths(resource: &v1::Resource) -> i64 {
    let value = resource.scalar.as_ref().map_or(0.0, |scalar| scalar.value);
    crate::resources::Scalar::from_f64(value).thousandths()
}

pub(super) fn host_ports(resource: &v1::Resource) -> Ranges {
    let all = Ranges::from_iter([PORTS]);
    let ranges = resource.ranges.as_ref();
    ranges.map_or_else(Ranges::new, |ranges| Ranges::from(ranges).intersect(&all))
}

/// The role an offer was made for.
pub(super) fn role(offer: &v1::Offer) -> &str {
    let info = offer.allocation_info.as_ref();
    info.and_then(|info| info.role.as_deref()).unwrap_or("*")
}

/// What sites are made with.
pub(super) struct Survey<'a> {
    /// Names of the scalars that anybody wants.
    pub(super) names: &'a [String],
    pub(super) keepsakes: Keepsakes<'a>,
    pub(super) home_region: Option<&'a str>,
    /// Whether an agent that is to be unavailable is to be left alone.
    pub(super) is_in_maintenance: &'a dyn Fn(&v1::Unavailability) -> bool,
}

impl Survey<'_> {
    /// The sites, in the order in which they first appear.
    pub(super) fn sites(&self, offers: &[&v1::Offer]) -> Vec<Site> {
        let mut sites: Vec<Site> = Vec::new();
        let mut known: HashMap<(&str, &str), usize> = HashMap::with_capacity(offers.len());
        let mut agents: HashMap<&str, usize> = HashMap::with_capacity(offers.len());
        for (index, offer) in offers.iter().enumerate() {
            let next_agent = agents.len();
            let agent = *agents.entry(&offer.agent_id.value).or_insert(next_agent);
            let key = (offer.agent_id.value.as_str(), role(offer));
            let site = *known.entry(key).or_insert_with(|| {
                sites.push(self.site(offer, agent));
                sites.len() - 1
            });
            self.add(&mut sites[site], index, offer);
        }
        sites
    }

    fn site(&self, offer: &v1::Offer, agent: usize) -> Site {
        let is_remote = |region: &&str| self.home_region.is_some_and(|home| home != *region);
        Site {
            agent_id: offer.agent_id.value.clone(),
            hostname: offer.hostname.clone(),
            role: role(offer).to_owned(),
            agent,
            offers: Vec::new(),
            amounts: vec![Amounts::default(); self.names.len()],
            reserved_ports: Ranges::new(),
            unreserved_ports: Ranges::new(),
            labelled: Vec::new(),
            special: Vec::new(),
            has_gpus: false,
            remote_region: place::region(offer).filter(is_remote).map(str::to_owned),
            is_in_maintenance: false,
        }
    }

    fn add(&self, site: &mut Site, index: usize, offer: &v1::Offer) {
        site.offers.push(index);
        let unavailability = offer.unavailability.as_ref();
        site.is_in_maintenance |= unavailability.is_some_and(self.is_in_maintenance);
        for resource in &offer.resources {
            site.has_gpus |= resource.name == "gpus" && thousandths(resource) > 0;
            let kind = self.keepsakes.kind(resource);
            let item = || Item {
                offer: index,
                resource: refined(resource),
            };
            match kind {
                Kind::Special => site.special.push(item()),
                Kind::Labelled => site.labelled.push(item()),
                Kind::Reserved | Kind::Unreserved | Kind::Revocable => {
                    count(site, self.names, resource, kind);
                }
            }
        }
    }
}

fn count(site: &mut Site, wanted: &[String], resource: &v1::Resource, kind: Kind) {
    if resource.name == "ports" {
        let ports = host_ports(resource);
        match kind {
            Kind::Reserved => site.reserved_ports.add(&ports),
            Kind::Unreserved => site.unreserved_ports.add(&ports),
            Kind::Revocable | Kind::Labelled | Kind::Special => {}
        }
        return;
    }
    let Some(name) = wanted.iter().position(|name| *name == resource.name) else {
        return;
    };
    let amounts = &mut site.amounts[name];
    let amount = match kind {
        Kind::Reserved => &mut amounts.reserved,
        Kind::Unreserved => &mut amounts.unreserved,
        Kind::Revocable => &mut amounts.revocable,
        Kind::Labelled | Kind::Special => return,
    };
    *amount = amount.saturating_add(thousandths(resource));
}

/// The resource with its reservations as a stack.
pub(super) fn refined(resource: &v1::Resource) -> v1::Resource {
    if resource.role.is_none() && resource.reservation.is_none() {
        return resource.clone();
    }
    let bag = crate::resources::Resources::from_iter([resource.clone()]);
    bag.into_vec().pop().unwrap_or_else(|| resource.clone())
}
