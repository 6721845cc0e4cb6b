//! Takes the resources that were promised out of the offers: which of them are
//! merely counted until then is decided here, once for all launches of a site.

use mesos_proto::v1;
use mesos_proto::v1::resource::reservation_info::Type;

use super::board::Board;
use super::demand::{Port, Source};
use super::ports::{self, Wish};
use super::problem::{Problem, Shape, Taking};
use super::supply::{self, Item, Keepsakes, Kind};
use crate::random::Random;
use crate::resources::{Ranges, Resources, Scalar};

/// What an instance gets.
#[derive(Debug, Default)]
pub(super) struct Share {
    pub(super) offers: Vec<usize>,
    pub(super) resources: Resources,
    pub(super) ports: Vec<u16>,
}

impl Share {
    fn take(&mut self, offer: usize, resource: v1::Resource) {
        if !self.offers.contains(&offer) {
            self.offers.push(offer);
        }
        self.resources.push(resource);
    }
}

/// A resource of an offer and what is left of it.
struct Stock {
    offer: usize,
    resource: v1::Resource,
    kind: Kind,
    amount: i64,
    ports: Ranges,
}

impl Stock {
    fn new(offer: usize, resource: v1::Resource, kind: Kind) -> Self {
        Self {
            offer,
            kind,
            amount: supply::thousandths(&resource),
            ports: match resource.name == "ports" {
                true => supply::host_ports(&resource),
                false => Ranges::new(),
            },
            resource,
        }
    }

    fn part(&self, amount: i64) -> v1::Resource {
        let value = Scalar::from_thousandths(amount).as_f64();
        v1::Resource {
            scalar: Some(v1::value::Scalar { value }),
            ..self.resource.clone()
        }
    }

    fn port(&self, port: u64) -> v1::Resource {
        v1::Resource {
            ranges: Some(Ranges::from_iter([(port, port)]).into()),
            ..self.resource.clone()
        }
    }
}

fn accepts(taking: Taking, kind: Kind) -> bool {
    matches!(
        (taking, kind),
        (Taking::Any | Taking::Reserved, Kind::Reserved)
            | (Taking::Any | Taking::Unreserved, Kind::Unreserved)
            | (Taking::Revocable, Kind::Revocable)
    )
}

/// What is taken first: the deepest reservation, then dynamic before static
/// ones, and what is unreserved last.
fn preference(resource: &v1::Resource) -> (std::cmp::Reverse<usize>, bool) {
    let depth = resource.reservations.len();
    let top = resource.reservations.last();
    let is_static = top.is_some_and(|top| top.r#type() == Type::Static);
    (std::cmp::Reverse(depth), is_static)
}

fn stocks(offers: &[&v1::Offer], site: &supply::Site, keepsakes: &Keepsakes<'_>) -> Vec<Stock> {
    let mut stocks: Vec<Stock> = Vec::new();
    for offer in &site.offers {
        for resource in &offers[*offer].resources {
            let kind = keepsakes.kind(resource);
            if !matches!(kind, Kind::Labelled | Kind::Special) {
                stocks.push(Stock::new(*offer, supply::refined(resource), kind));
            }
        }
    }
    stocks.sort_by_key(|stock| preference(&stock.resource));
    stocks
}

/// What each of a site's launches gets, in their order. Those that can take
/// from fewer places take first; the others in their order.
pub(super) fn shares(
    problem: &Problem,
    offers: &[&v1::Offer],
    keepsakes: &Keepsakes<'_>,
    number: usize,
    launches: &[&Shape],
    seed: u64,
) -> Vec<Share> {
    let site = &problem.sites[number];
    let mut shares: Vec<Share> = launches.iter().map(|_| Share::default()).collect();
    let mut stocks = stocks(offers, site, keepsakes);
    for is_choosy in [true, false] {
        for (share, shape) in shares.iter_mut().zip(launches) {
            if shape.is_labelled() {
                continue;
            }
            for (name, amount, taking) in &shape.scalars {
                if (*taking != Taking::Any) == is_choosy {
                    let name = &problem.names[*name];
                    let accepts = |stock: &Stock| accepts(*taking, stock.kind);
                    let missing = take_scalar(&mut stocks, name, *amount, accepts, share);
                    debug_assert_eq!(missing, 0, "{name} was promised");
                }
            }
        }
    }
    take_ports(site, &mut stocks, launches, seed, &mut shares);
    let labelled: Vec<usize> = (0..launches.len())
        .filter(|launch| launches[*launch].is_labelled())
        .collect();
    let shapes: Vec<&Shape> = labelled.iter().map(|launch| launches[*launch]).collect();
    let parts = labelled_shares(problem, &site.labelled, &shapes).unwrap_or_default();
    for (launch, share) in labelled.into_iter().zip(parts) {
        shares[launch] = share;
    }
    for (share, shape) in shares.iter_mut().zip(launches) {
        for wanted in &shape.exact {
            let wanted = allocated(wanted, &site.special);
            let bag = Resources::from_iter([wanted.clone()]);
            let holder = site
                .special
                .iter()
                .find(|item| Resources::from_iter([item.resource.clone()]).contains(&bag));
            let offer = holder.map_or(site.offers[0], |item| item.offer);
            share.take(offer, wanted);
        }
        share.offers.sort_unstable();
    }
    shares
}

/// Takes an amount from the stocks that are accepted, in their order; what was
/// not there is returned.
fn take_scalar(
    stocks: &mut [Stock],
    name: &str,
    amount: i64,
    accepts: impl Fn(&Stock) -> bool,
    share: &mut Share,
) -> i64 {
    let mut missing = amount;
    for stock in stocks.iter_mut() {
        if missing == 0 {
            break;
        }
        if stock.amount > 0 && stock.resource.name == name && accepts(stock) {
            let part = missing.min(stock.amount);
            stock.amount -= part;
            missing -= part;
            share.take(stock.offer, stock.part(part));
        }
    }
    missing
}

fn take_port(stocks: &mut [Stock], port: u64, share: &mut Share) -> bool {
    let Some(stock) = stocks.iter_mut().find(|s| s.ports.contains_value(port)) else {
        return false;
    };
    stock.ports.remove(port, port);
    share.take(stock.offer, stock.port(port));
    true
}

/// Fixed ports are what they are; the others are drawn, so that a port that was
/// given up is not soon used by something else.
fn take_ports(
    site: &supply::Site,
    stocks: &mut [Stock],
    launches: &[&Shape],
    seed: u64,
    shares: &mut [Share],
) {
    let mut random = Random::new(seed ^ hash(&site.agent_id));
    let fixed: Vec<u16> = launches
        .iter()
        .filter(|shape| !shape.is_labelled())
        .flat_map(|shape| shape.fixed_ports.iter().copied())
        .collect();
    let mut wishes = Vec::new();
    for shape in launches.iter().filter(|shape| !shape.is_labelled()) {
        let start = u64::from(random.below(u32::MAX));
        wishes.extend(shape.ports.iter().filter_map(|port| {
            let (first, last) = match port {
                Port::Fixed(_) => return None,
                Port::Any => (1, u16::MAX),
                Port::Within(first, last) => (*first, *last),
            };
            Some(Wish {
                first,
                last,
                taking: shape.taking,
                start,
            })
        }));
    }
    let chosen = ports::choose(site, &fixed, &wishes).unwrap_or_default();
    debug_assert_eq!(chosen.len(), wishes.len(), "ports were promised");
    let mut chosen = chosen.into_iter();
    for (share, shape) in shares.iter_mut().zip(launches) {
        if shape.is_labelled() {
            continue;
        }
        for port in &shape.ports {
            let port = match port {
                Port::Fixed(port) => Some(*port),
                Port::Any | Port::Within(..) => chosen.next(),
            };
            if let Some(port) = port.filter(|port| take_port(stocks, u64::from(*port), share)) {
                share.ports.push(port);
            }
        }
    }
}

/// What instances get that take labelled reservations, in their order; `None`
/// when there is not enough for all of them.
pub(super) fn labelled_shares(
    problem: &Problem,
    items: &[Item],
    shapes: &[&Shape],
) -> Option<Vec<Share>> {
    let mut stocks: Vec<Stock> = items
        .iter()
        .map(|item| Stock::new(item.offer, item.resource.clone(), Kind::Labelled))
        .collect();
    stocks.sort_by_key(|stock| preference(&stock.resource));
    let mut shares = Vec::with_capacity(shapes.len());
    for shape in shapes {
        let mut share = Share::default();
        let accepts = |stock: &Stock| supply::names(&shape.source, &stock.resource);
        for (name, amount, _) in &shape.scalars {
            let name = &problem.names[*name];
            if take_scalar(&mut stocks, name, *amount, accepts, &mut share) > 0 {
                return None;
            }
        }
        for port in &shape.ports {
            let port = labelled_port(&stocks, &shape.source, *port, &shape.fixed_ports)?;
            take_port(&mut stocks, u64::from(port), &mut share);
            share.ports.push(port);
        }
        shares.push(share);
    }
    Some(shares)
}

fn labelled_port(stocks: &[Stock], source: &Source, port: Port, fixed: &[u16]) -> Option<u16> {
    let mut ports = Ranges::new();
    for stock in stocks {
        if supply::names(source, &stock.resource) {
            ports.add(&stock.ports);
        }
    }
    let (first, last) = match port {
        Port::Fixed(port) => return ports.contains_value(u64::from(port)).then_some(port),
        Port::Any => (1, u16::MAX),
        Port::Within(first, last) => (first, last),
    };
    ports
        .values()
        .filter_map(|port| u16::try_from(port).ok())
        .find(|port| (first..=last).contains(port) && !fixed.contains(port))
}

/// The resource that is wanted exactly, allocated as those that are offered.
fn allocated(wanted: &v1::Resource, special: &[Item]) -> v1::Resource {
    let allocation = special.first();
    v1::Resource {
        allocation_info: allocation.and_then(|item| item.resource.allocation_info.clone()),
        ..wanted.clone()
    }
}

/// Whether a site has what instances want exactly, all of them together. What
/// is shared may be used by several.
pub(super) fn has_exactly(items: &[Item], shapes: &[&Shape]) -> bool {
    let mut left: Resources = items.iter().map(|item| item.resource.clone()).collect();
    for wanted in shapes.iter().flat_map(|shape| &shape.exact) {
        let wanted = Resources::from_iter([allocated(wanted, items)]);
        if !left.contains(&wanted) {
            return false;
        }
        if wanted.iter().all(|item| item.shared.is_none()) {
            left -= wanted;
        }
    }
    true
}

/// FNV-1a: the same on every machine.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Whether a board's labelled instances, and one more, find their resources.
pub(super) fn admits_labelled(problem: &Problem, board: &Board, shape: usize, site: usize) -> bool {
    let shapes = board.specials(site).chain([shape]);
    let shapes: Vec<&Shape> = shapes
        .map(|shape| &problem.shapes[shape])
        .filter(|shape| shape.is_labelled())
        .collect();
    labelled_shares(problem, &problem.sites[site].labelled, &shapes).is_some()
}

/// The same for what is wanted exactly.
pub(super) fn admits_exact(problem: &Problem, board: &Board, shape: usize, site: usize) -> bool {
    let shapes = board.specials(site).chain([shape]);
    let shapes: Vec<&Shape> = shapes.map(|shape| &problem.shapes[shape]).collect();
    has_exactly(&problem.sites[site].special, &shapes)
}
