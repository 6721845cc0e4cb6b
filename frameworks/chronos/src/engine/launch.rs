//! Finds offers for the runs that wait, and gives back what nobody needs.

use std::collections::BTreeMap;
use std::sync::Arc;

use mesos_sdk::placement::{
    Constraint, Demand, Gpus, Launch, Place, Placement, Placer, Running, value_text,
};
use mesos_sdk::v1;

use crate::effects::{Call, Fact};
use crate::job::{Job, Policy};
use crate::run::{KillReason, Launched, Phase, Run, RunId};

use super::Step;
use super::task;

/// Runs that are matched with offers at a time.
const MOST_AT_ONCE: usize = 1000;
/// Offers that are looked at first, for each run; more are if these will not do.
const OFFERS_FOR_ONE: usize = 2;
/// And so many in any case.
const FEW_OFFERS: usize = 16;
/// But not more: what is due at one moment is to be on its way at once, and
/// several launches on an agent are one call.
const BURST_OFFERS: usize = 32;
/// Jobs of which it is said why they find no agent, each time.
const MOST_EXPLAINED: usize = 20;
/// Offers that nothing uses go back one part of so many at a time.
const RETURNED_PART: usize = 8;
/// And not sooner after one another.
const RETURN_INTERVAL_MS: i64 = 1000;

/// Runs of one job that may be launched.
struct Group {
    job: Arc<Job>,
    runs: Vec<RunId>,
}

/// What goes into one ACCEPT.
struct Accept {
    offers: Vec<String>,
    launches: Vec<Placed>,
}

/// A run that has found its agent.
struct Placed {
    id: RunId,
    /// The place of its group.
    group: usize,
    launched: Launched,
    launch: Launch,
}

impl Step<'_> {
    pub(super) fn launch(&mut self) {
        if self.has_become_ready() {
            self.has_news = true;
        }
        if self.has_news {
            self.state.matched_ms = self.now;
            let groups = self.groups();
            if self.state.is_connected && !groups.is_empty() && !self.state.offers.is_empty() {
                self.match_offers(&groups);
            }
            self.count_queue();
        }
        if self.state.is_connected {
            self.say_what_is_wanted();
            self.give_back_offers();
        }
    }

    /// Whether the time of some run has come since runs were last looked at.
    fn has_become_ready(&self) -> bool {
        let since = (self.state.matched_ms.saturating_add(1), RunId(0));
        let until = (self.now, RunId(u64::MAX));
        let mut waiting = self.state.waiting.iter();
        since <= until && waiting.any(|it| it.range(since..=until).next().is_some())
    }

    pub(super) fn has_ready_runs(&self) -> bool {
        let until = (self.now, RunId(u64::MAX));
        let mut waiting = self.state.waiting.iter();
        waiting.any(|it| it.range(..=until).next().is_some())
    }

    /// The runs that wait for nothing but an offer, in the order in which they
    /// are served. Where the run before has to end first, that is asked for.
    fn groups(&mut self) -> Vec<Group> {
        let mut groups: Vec<Group> = Vec::new();
        let mut places: BTreeMap<String, usize> = BTreeMap::new();
        let mut replaced = Vec::new();
        let mut count = 0;
        let until = (self.now, RunId(u64::MAX));
        let waiting = self.state.waiting.iter();
        for (_, id) in waiting.flat_map(|it| it.range(..=until)) {
            if count == MOST_AT_ONCE {
                break;
            }
            let Some(run) = self.state.runs.get(id) else {
                continue;
            };
            let Some(job) = self.state.jobs.get(&run.job) else {
                continue;
            };
            let place = places.get(&job.name).copied();
            let policy = job.policy();
            if policy != Policy::Allow {
                if place.is_some() {
                    continue;
                }
                let mut others = self.state.runs_of(&job.name);
                let running = others.find(|(_, other)| blocks(other));
                if let Some((other, before)) = running {
                    let is_going = before.launched().is_some_and(|it| it.kill.is_some());
                    if policy == Policy::Replace && !is_going {
                        replaced.push(other);
                    }
                    continue;
                }
            }
            count += 1;
            match place {
                Some(place) => groups[place].runs.push(*id),
                None => {
                    places.insert(job.name.clone(), groups.len());
                    groups.push(Group {
                        job: job.clone(),
                        runs: vec![*id],
                    });
                }
            }
        }
        for id in replaced {
            self.kill(id, KillReason::Replaced);
        }
        groups
    }

    fn match_offers(&mut self, groups: &[Group]) {
        let demands: Vec<Demand> = groups.iter().map(|group| self.demand(group)).collect();
        let running: Vec<Running> = groups
            .iter()
            .filter(|group| !group.job.constraints.is_empty())
            .flat_map(|group| self.running(&group.job))
            .collect();
        let wanted: usize = groups.iter().map(|group| group.runs.len()).sum();
        let first = groups.first().and_then(|group| group.runs.first());
        let seed = first.map_or(0, |id| self.state.settings.seed_of(*id));
        let enough = wanted.saturating_mul(OFFERS_FOR_ONE).max(FEW_OFFERS);
        let all = self.state.offers.len();
        for most in [enough.min(BURST_OFFERS), enough, all] {
            let offers: Vec<&v1::Offer> = self.state.offers.values().map(|(it, _)| it).collect();
            let offers = &offers[..most.min(all)];
            let placer = Placer::spread().seed(seed);
            let placement = placer.place(offers, &demands, &running);
            if placement.is_complete() || most >= all {
                let launches = self.launches(offers, groups, &placement);
                return self.accept(launches, groups, &placement);
            }
        }
    }

    fn demand(&self, group: &Group) -> Demand {
        let job = &group.job;
        let constraints = job.constraints.iter();
        let constraints = constraints.flat_map(|parts| constraints_of(parts).unwrap_or_default());
        Demand::new(job.name.clone())
            .count(u32::try_from(group.runs.len()).unwrap_or(u32::MAX))
            .cpus(job.cpus)
            .mem_mib(job.mem)
            .disk_mib(job.disk)
            .gpus(job.gpus)
            .gpu_agents(Gpus::Restricted)
            .role(self.state.settings.role.clone())
            .constraints(constraints)
    }

    /// What constraints that count look at.
    fn running(&self, job: &Job) -> Vec<Running> {
        let runs = self.state.runs_of(&job.name);
        let launched = runs.filter_map(|(_, run)| run.launched().filter(|it| !it.is_awaited));
        launched
            .map(|it| Running::new(job.name.clone(), place(it)))
            .collect()
    }

    /// The offers of each ACCEPT, and what is known of the tasks launched there.
    fn launches(
        &self,
        offers: &[&v1::Offer],
        groups: &[Group],
        placement: &Placement,
    ) -> Vec<Accept> {
        let mut next: Vec<usize> = vec![0; groups.len()];
        let accepts = placement.accepts().into_iter().map(|accept| {
            let launches = accept.launches.iter().map(|it| &placement.launches()[*it]);
            let launches = launches.map(|launch| {
                let group = &groups[launch.demand];
                let id = group.runs[next[launch.demand]];
                next[launch.demand] += 1;
                let offer = offers[launch.offers[0]];
                let is_constrained = !group.job.constraints.is_empty();
                let launched = self.launched(id, &group.job, launch, offer, is_constrained);
                Placed {
                    id,
                    group: launch.demand,
                    launched,
                    launch: launch.clone(),
                }
            });
            let launches = launches.collect();
            let used = accept.offers.iter().map(|it| offers[*it].id.value.clone());
            Accept {
                offers: used.collect(),
                launches,
            }
        });
        accepts.collect()
    }

    fn launched(
        &self,
        id: RunId,
        job: &Job,
        launch: &Launch,
        offer: &v1::Offer,
        is_constrained: bool,
    ) -> Launched {
        let attributes = offer.attributes.iter().filter(|_| is_constrained);
        let run = self.state.runs.get(&id);
        let task_id = run.map(|run| run.task_id(job)).unwrap_or_default();
        Launched {
            agent_id: launch.agent_id.value.clone(),
            hostname: launch.hostname.clone(),
            agent_url: offer.url.as_ref().and_then(task::agent_url),
            attributes: attributes
                .map(|it| (it.name.clone(), value_text(it)))
                .collect(),
            launched_ms: self.now,
            is_heard: false,
            started_ms: None,
            executor_id: match job.executor.is_empty() {
                true => task_id.clone(),
                false => task::executor_id(job),
            },
            task_id,
            container_id: None,
            unreachable_ms: None,
            asked_ms: None,
            kill: None,
            is_awaited: false,
            told: None,
            elements: 0,
        }
    }

    /// Launches are noted before the master is told.
    fn accept(&mut self, accepts: Vec<Accept>, groups: &[Group], placement: &Placement) {
        let explained: Vec<usize> = placement.unplaced().take(MOST_EXPLAINED).collect();
        for group in groups {
            self.state.refusals.remove(&group.job.name);
        }
        for demand in explained {
            let why = placement.explain(demand);
            let name = groups[demand].job.name.clone();
            self.state.refusals.insert(name, why);
        }
        for Accept { offers, launches } in accepts {
            let mut tasks = Vec::new();
            for placed in launches {
                let Placed {
                    id,
                    group,
                    launched,
                    launch,
                } = placed;
                let Some(run) = self.state.runs.get(&id).cloned() else {
                    continue;
                };
                let job = &groups[group].job;
                let late_ms = (self.now - run.not_before_ms).max(0);
                self.effects.facts.push(Fact::Launched { late_ms });
                tasks.push(task::info(
                    job,
                    &run,
                    &launched,
                    &launch,
                    &self.state.settings,
                ));
                let run = Run {
                    phase: Phase::Launched(Box::new(launched)),
                    ..(*run).clone()
                };
                self.put_run(id, run);
            }
            for id in &offers {
                self.state.offers.remove(id);
            }
            self.effects.calls.push(Call::Launch { offers, tasks });
        }
    }

    /// When something is next to be launched that waits for no run before it.
    pub(super) fn next_wanted(&self) -> Option<i64> {
        let waiting = self.state.waiting.iter();
        let waiting = waiting.filter_map(|it| it.first().map(|(at, _)| *at));
        self.state.wanted.first().into_iter().chain(waiting).min()
    }

    fn wants_offers(&self) -> bool {
        let lead = self.state.settings.offer_lead_ms;
        let next = self.next_wanted();
        next.is_some_and(|at| at.saturating_sub(lead) <= self.now)
    }

    fn say_what_is_wanted(&mut self) {
        let settings = &self.state.settings;
        let is_wanted = self.wants_offers();
        if !is_wanted && !self.state.is_suppressed {
            self.state.is_suppressed = true;
            self.effects.calls.push(Call::Suppress);
        }
        let waited = self.now.saturating_sub(self.state.asked_ms);
        let is_long = waited >= settings.revive_interval_ms && self.state.offers.is_empty();
        let is_lost = is_long && self.has_ready_runs();
        if is_wanted && (self.state.is_suppressed || is_lost) {
            self.state.is_suppressed = false;
            self.state.asked_ms = self.now;
            self.effects.calls.push(Call::Revive);
        }
    }

    /// Offers go back when nothing wants any; while something does, those go that
    /// nothing has used for long, a few at a time.
    fn give_back_offers(&mut self) {
        if self.state.is_suppressed {
            let offers: Vec<String> = self.state.offers.keys().cloned().collect();
            self.state.offers.clear();
            return self.decline(offers, self.state.settings.decline_seconds);
        }
        if self.next_return().is_none_or(|at| at > self.now) {
            return;
        }
        self.state.returned_ms = self.now;
        let hold = self.state.settings.offer_hold_ms;
        let mut old: Vec<(i64, String)> = self
            .state
            .offers
            .iter()
            .filter(|(_, (_, since))| since + hold <= self.now)
            .map(|(id, (_, since))| (*since, id.clone()))
            .collect();
        old.sort_unstable();
        old.truncate(self.state.offers.len().div_ceil(RETURNED_PART));
        let old: Vec<String> = old.into_iter().map(|(_, id)| id).collect();
        for id in &old {
            self.state.offers.remove(id);
        }
        // Whoever needs them more gets them; otherwise they come back at once.
        self.decline(old, 0.0);
    }

    fn decline(&mut self, offers: Vec<String>, refuse_seconds: f64) {
        if !offers.is_empty() {
            self.effects.calls.push(Call::Decline {
                offers,
                refuse_seconds,
            });
        }
    }

    /// When offers are to be given back next.
    pub(super) fn next_return(&self) -> Option<i64> {
        if self.state.is_suppressed {
            return None;
        }
        let since = self.state.offers.values().map(|(_, since)| *since).min()?;
        let next = self.state.returned_ms.saturating_add(RETURN_INTERVAL_MS);
        Some((since + self.state.settings.offer_hold_ms).max(next))
    }
}

/// Whether a run keeps the next one of its job from being launched.
fn blocks(run: &Run) -> bool {
    matches!(run.phase, Phase::Launched(_))
}

/// The constraints of the SDK that one of a job amounts to.
///
/// # Errors
///
/// What is wrong with it.
pub(crate) fn constraints_of(parts: &[String]) -> Result<Vec<Constraint>, String> {
    let said = |error: mesos_sdk::placement::InvalidConstraint| error.to_string();
    let one = |parts: &[&str]| Constraint::parse(parts).map_err(said);
    match parts {
        [field, operator, value] if operator.eq_ignore_ascii_case("EQUALS") => {
            Ok(vec![one(&[field, "LIKE", &regex::escape(value)])?])
        }
        // What has no such attribute is not unlike.
        [field, operator, value] if operator.eq_ignore_ascii_case("UNLIKE") => Ok(vec![
            one(&[field, "LIKE", ".*"])?,
            one(&[field, "UNLIKE", value])?,
        ]),
        _ => {
            let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
            one(&parts)
                .map(|it| vec![it])
                .map_err(|error| error.replace("UNIQUE, CLUSTER", "EQUALS, UNIQUE, CLUSTER"))
        }
    }
}

fn place(launched: &Launched) -> Place {
    let attributes = launched
        .attributes
        .iter()
        .map(|(name, text)| v1::Attribute {
            name: name.clone(),
            r#type: v1::value::Type::Text.into(),
            text: Some(v1::value::Text {
                value: text.clone(),
            }),
            ..v1::Attribute::default()
        });
    Place {
        agent_id: launched.agent_id.clone(),
        hostname: launched.hostname.clone(),
        region: None,
        zone: None,
        attributes: attributes.collect(),
    }
}
