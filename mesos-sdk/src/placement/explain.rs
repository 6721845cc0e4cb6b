//! Finds out why a site does not take an instance.

use super::board::Board;
use super::constraint::Field;
use super::draw;
use super::problem::{Class, Problem, Shape, Taking};
use super::reason::Reason;
use super::supply::Site;
use super::tally::Rule;
use crate::resources::Scalar;

/// Everything that stands against an instance of a class at a site, what counts
/// first at the front. Nothing when it would fit.
pub(super) fn reasons(problem: &Problem, board: &Board, class: usize, site: usize) -> Vec<Reason> {
    let class = &problem.classes[class];
    let shape = &problem.shapes[class.shape];
    let place = &problem.sites[site];
    let mut reasons = Vec::new();
    role(shape, place, &mut reasons);
    constraints(problem, board, class, site, &mut reasons);
    if shape
        .agents
        .as_ref()
        .is_some_and(|agents| !agents.contains(&place.agent_id))
    {
        reasons.push(Reason::Agent);
    }
    if let Some(region) = place.remote_region.as_ref().filter(|_| shape.shuns_remote) {
        reasons.push(Reason::Region(region.clone()));
    }
    if place.is_in_maintenance {
        reasons.push(Reason::Maintenance);
    }
    let has_exact = match shape.is_labelled() {
        true => board.has_room(problem, class.shape, site),
        false => draw::admits_exact(problem, board, class.shape, site),
    };
    if !has_exact {
        reasons.push(Reason::Reservation);
    }
    if !shape.is_labelled() {
        resources(problem, board, shape, site, &mut reasons);
    }
    if shape.shuns_gpus && place.has_gpus {
        reasons.push(Reason::ScarceGpus);
    }
    reasons.sort_by_key(Reason::kind);
    reasons
}

fn role(shape: &Shape, site: &Site, reasons: &mut Vec<Reason>) {
    let is_other = shape.role.as_ref().is_some_and(|role| *role != site.role);
    // Whether anything at all may be taken.
    let has = |taking: Taking| match taking {
        Taking::Any | Taking::Revocable => true,
        Taking::Reserved => {
            site.amounts.iter().any(|amounts| amounts.reserved > 0)
                || !site.reserved_ports.is_empty()
        }
        Taking::Unreserved => {
            site.amounts.iter().any(|amounts| amounts.unreserved > 0)
                || !site.unreserved_ports.is_empty()
        }
    };
    if is_other || !has(shape.taking) {
        reasons.push(Reason::Role {
            offered: site.role.clone(),
        });
    }
}

fn constraints(
    problem: &Problem,
    board: &Board,
    class: &Class,
    site: usize,
    reasons: &mut Vec<Reason>,
) {
    let shape = &problem.shapes[class.shape];
    for constraint in &shape.constraints {
        let field: &Field = constraint.field();
        let operator = constraint.operator();
        let counts = Rule::of(operator).is_none_or(|rule| {
            let mut counting = class.counting.iter();
            let tally = counting.find(|(tally, known)| {
                let column = problem.tallies[*tally].0;
                *known == rule && problem.columns[column].field == *field
            });
            tally.is_none_or(|(tally, rule)| {
                let column = problem.tallies[*tally].0;
                let value = problem.columns[column].of_site[site];
                board.tally(*tally).admits(*rule, value)
            })
        });
        if !counts || !operator.accepts(problem.text(field, site)) {
            reasons.push(Reason::Constraint(constraint.clone()));
        }
    }
}

fn resources(
    problem: &Problem,
    board: &Board,
    shape: &Shape,
    site: usize,
    reasons: &mut Vec<Reason>,
) {
    for (name, amount, taking) in &shape.scalars {
        let left = board.left(problem, site, *name, *taking);
        if left < *amount {
            reasons.push(Reason::Short {
                name: problem.names[*name].clone(),
                by: Scalar::from_thousandths(amount - left.max(0)),
            });
        }
    }
    let place = &problem.sites[site];
    let ports = board.ports(site);
    if shape.wants_ports() && !ports.admits(place, shape) {
        let taken: Vec<u16> = ports.missing(place, shape);
        let wanted = shape.ports.len() as u64;
        reasons.push(Reason::Ports {
            taken,
            // At least one is missing, be it for want of the right kind.
            short: wanted.saturating_sub(ports.left(place)).max(1),
        });
    }
}
