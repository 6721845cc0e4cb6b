//! What checks of health and readiness found. None of it is stored: after a
//! failover it is found out again.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::app::HealthCheck;
use crate::instance::{Instance, InstanceId};
use crate::spec::Spec;
use crate::timestamp::Timestamp;

/// What was found of each instance.
#[derive(Clone, Debug, Default)]
pub struct Probes {
    /// Of its health, by the place of the check among those of its app.
    pub health: BTreeMap<InstanceId, BTreeMap<usize, Health>>,
    /// Of its readiness.
    pub readiness: BTreeMap<InstanceId, Readiness>,
    /// How many checks are open.
    pub open: usize,
    /// Who answers at all.
    pub answers: Answers,
}

/// Who answered last, whatever it was, and who before that. Where nobody does it
/// is our own network that is broken, more likely than every instance at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    last: Option<(InstanceId, Timestamp)>,
    before: Option<(InstanceId, Timestamp)>,
    /// When an instance was last killed to find out.
    pub tried_at: Option<Timestamp>,
}

impl Answers {
    /// An instance answered.
    pub fn note(&mut self, id: &InstanceId, now: Timestamp) {
        if self.last.as_ref().is_none_or(|(last, _)| last != id) {
            self.before = self.last.take();
        }
        self.last = Some((id.clone(), now));
    }

    /// Whether any instance but this one answered after that time.
    #[must_use]
    pub fn came_after(&self, time: Timestamp, but: &InstanceId) -> bool {
        let both = self.last.iter().chain(&self.before);
        both.filter(|(id, _)| id != but).any(|(_, at)| *at > time)
    }

    /// Whether anything answered since an instance was killed to find out.
    #[must_use]
    pub fn came_after_trial(&self) -> bool {
        let last = self.last.as_ref().map(|(_, at)| *at);
        self.tried_at.is_none_or(|tried| last > Some(tried))
    }
}

/// How well an instance does, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wellness {
    /// Every check is content.
    Healthy,
    /// Some check has yet to say something.
    Unknown,
    /// Some check is not content.
    Unhealthy,
}

impl Probes {
    /// How well a running instance does.
    #[must_use]
    pub fn wellness(&self, instance: &Instance, spec: &Spec) -> Wellness {
        match spec {
            Spec::App(app) => {
                let found = self.health.get(&instance.id);
                let checks = app.health_checks.iter().enumerate();
                together(checks.map(|(index, check)| {
                    if check.protocol.is_of_mesos() {
                        return instance.is_healthy();
                    }
                    let health = found.and_then(|found| found.get(&index));
                    health.filter(|it| it.is_known()).map(Health::is_alive)
                }))
            }
            Spec::Pod(pod) => {
                let checked = instance.tasks.iter().filter(|task| {
                    let container = task.container.as_ref().and_then(|name| pod.container(name));
                    container.is_some_and(|it| it.health_check.is_some())
                });
                together(checked.map(|task| task.is_healthy))
            }
        }
    }
}

/// What all checks say together.
fn together(checks: impl Iterator<Item = Option<bool>>) -> Wellness {
    let mut wellness = Wellness::Healthy;
    for is_alive in checks {
        match is_alive {
            Some(true) => {}
            Some(false) => return Wellness::Unhealthy,
            None => wellness = Wellness::Unknown,
        }
    }
    wellness
}

/// What one health check found of one instance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Failures since the last success.
    pub consecutive_failures: u32,
    /// The first success.
    pub first_success: Option<Timestamp>,
    /// The last one.
    pub last_success: Option<Timestamp>,
    /// The last failure.
    pub last_failure: Option<Timestamp>,
    /// Why it was one.
    pub last_failure_cause: Option<String>,
    /// Since when it does not answer at all.
    pub silent_since: Option<Timestamp>,
    /// Others have answered since.
    pub others_answer: bool,
    /// When it is checked next; nothing while it is being checked.
    pub next_at: Option<Timestamp>,
}

/// Whether one instance is ready.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// It said so.
    pub is_ready: bool,
    /// What it answered last.
    pub last_response: Option<Response>,
    /// When it is asked next; nothing while it is being asked.
    pub next_at: Option<Timestamp>,
}

/// What an instance answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Response {
    /// The status of HTTP.
    pub status: u16,
    /// The type of the body.
    pub content_type: String,
    /// The body, cut to a sensible length.
    pub body: String,
}

/// What became of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An answer of HTTP.
    Answer(Response),
    /// A connection, where that is all that is asked for.
    Connected,
    /// None of it, and why.
    Failure(String),
}

/// What a health check makes of an outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is healthy.
    Alive,
    /// It is not, and why.
    Dead(String),
    /// Neither.
    Nothing,
}

impl Outcome {
    /// What a health check makes of it.
    #[must_use]
    pub fn verdict(&self, check: &HealthCheck) -> Verdict {
        match self {
            Self::Connected => Verdict::Alive,
            Self::Failure(cause) => Verdict::Dead(cause.clone()),
            Self::Answer(response) => match response.status {
                200..=399 => Verdict::Alive,
                100..=199 if check.ignore_http_1xx => Verdict::Nothing,
                status => Verdict::Dead(format!("HTTP status {status}")),
            },
        }
    }
}

impl Health {
    /// Whether the last check was a success.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        match (self.last_success, self.last_failure) {
            (Some(success), Some(failure)) => success > failure || self.consecutive_failures == 0,
            (Some(_), None) => true,
            (None, _) => false,
        }
    }

    /// Whether anything was found yet.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.last_success.is_some() || self.last_failure.is_some()
    }

    /// Notes a verdict. Failures before the first success are not counted
    /// while the app has its grace period. Says whether the instance is to be
    /// killed for it.
    pub fn note(
        &mut self,
        verdict: &Verdict,
        check: &HealthCheck,
        started_at: Timestamp,
        now: Timestamp,
    ) -> bool {
        match verdict {
            Verdict::Nothing => false,
            Verdict::Alive => {
                self.first_success.get_or_insert(now);
                self.last_success = Some(now);
                self.consecutive_failures = 0;
                false
            }
            Verdict::Dead(cause) => {
                let grace = std::time::Duration::from_secs(check.grace_period_seconds);
                if self.first_success.is_none() && now.since(started_at) < grace {
                    return false;
                }
                let is_too_often = check.max_consecutive_failures > 0
                    && self.consecutive_failures >= check.max_consecutive_failures;
                self.consecutive_failures += 1;
                self.last_failure = Some(now);
                self.last_failure_cause = Some(cause.clone());
                is_too_often
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(max: u32) -> HealthCheck {
        let text = format!(r#"{{"maxConsecutiveFailures": {max}, "gracePeriodSeconds": 10}}"#);
        serde_json::from_str(&text).unwrap()
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    #[test]
    fn the_failure_after_the_last_tolerated_one_kills() {
        let (check, dead) = (check(2), Verdict::Dead("x".to_owned()));
        let mut health = Health::default();
        assert!(!health.note(&dead, &check, at(0), at(9)), "grace");
        assert!(!health.is_known());
        assert!(!health.note(&dead, &check, at(0), at(10)));
        assert!(!health.note(&dead, &check, at(0), at(11)));
        assert!(health.note(&dead, &check, at(0), at(12)));
        assert!(!health.note(&Verdict::Alive, &check, at(0), at(13)));
        assert!(health.is_alive());
        assert!(!health.note(&dead, &check, at(0), at(14)));
        assert!(!health.is_alive());
    }

    #[test]
    fn no_grace_after_a_success_and_no_kill_where_none_is_wanted() {
        let (check, dead) = (check(0), Verdict::Dead("x".to_owned()));
        let mut health = Health::default();
        health.note(&Verdict::Alive, &check, at(0), at(1));
        for second in 2..20 {
            assert!(!health.note(&dead, &check, at(0), at(second)));
        }
        assert_eq!(health.consecutive_failures, 18);
    }

    #[test]
    fn answers_are_judged_by_their_status() {
        let answer = |status| {
            Outcome::Answer(Response {
                status,
                content_type: String::new(),
                body: String::new(),
            })
        };
        let mut check = check(3);
        assert_eq!(answer(302).verdict(&check), Verdict::Alive);
        assert_eq!(
            answer(404).verdict(&check),
            Verdict::Dead("HTTP status 404".to_owned())
        );
        assert_eq!(
            answer(102).verdict(&check),
            Verdict::Dead("HTTP status 102".to_owned())
        );
        check.ignore_http_1xx = true;
        assert_eq!(answer(102).verdict(&check), Verdict::Nothing);
    }
}
