//! Bugs that are planted in Marathon, to see whether the judge finds them.

use marathon::app::UpgradeStrategy;
use marathon::input::AppInput;
use marathon::request::Request;
use mesos_sdk::v1::scheduler::{Call, call};
use mesos_service::store::Batch;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// An upgrade keeps none of the old ones.
    IgnoresTheMinimum,
    /// An upgrade starts all the new ones at once.
    IgnoresTheMaximum,
    /// Instances go anywhere.
    IgnoresConstraints,
    /// Whoever asks is answered before anything is saved.
    AnswersBeforeSaving,
    /// What was to be done is not saved.
    ForgetsDeployments,
    /// Versions are not saved as they are.
    ForgetsVersions,
    /// After a failover it is another framework.
    ForgetsItsName,
    /// Where an instance was sent is not saved.
    ForgetsLaunches,
    /// Nothing is killed.
    NeverKills,
}

impl Bug {
    /// What somebody asked for becomes something else.
    pub(crate) fn tamper(self, request: &mut Request) {
        match request {
            Request::UpdateApps { inputs, .. } => {
                inputs.iter_mut().for_each(|input| self.tamper_app(input));
            }
            Request::UpdateGroup { input, .. } => {
                let apps = input.apps.iter_mut().flatten();
                apps.for_each(|input| self.tamper_app(input));
            }
            _ => {}
        }
    }

    fn tamper_app(self, input: &mut AppInput) {
        let strategy = input.upgrade_strategy.as_mut();
        match (self, strategy) {
            (Self::IgnoresTheMinimum, Some(strategy)) => strategy.minimum_health_capacity = 0.0,
            (Self::IgnoresTheMaximum, Some(strategy)) => strategy.maximum_over_capacity = 1.0,
            (Self::IgnoresConstraints, Some(UpgradeStrategy { .. })) => input.constraints = None,
            _ => {}
        }
    }

    /// What is saved is not all that is to be.
    pub(crate) fn spoil(self, batch: Batch) -> Batch {
        let is_forgotten = |key: &str, value: Option<&bytes::Bytes>| match self {
            Self::ForgetsDeployments => key.starts_with("deployment/"),
            Self::ForgetsVersions => key.starts_with("wanted/"),
            Self::ForgetsItsName => key == "framework-id",
            Self::ForgetsLaunches => {
                let text = value.map(|value| String::from_utf8_lossy(value));
                key.starts_with("instance/") && text.is_some_and(|it| it.contains("Provisioned"))
            }
            _ => false,
        };
        let mut kept = Batch::new();
        for (key, value) in batch.iter() {
            match value {
                _ if is_forgotten(key, value) => {}
                Some(value) => kept.put(key, value.clone()),
                None => kept.delete(key),
            }
        }
        kept
    }

    /// Whether a call is made at all.
    pub(crate) fn lets_out(self, call: &Call) -> bool {
        self != Self::NeverKills || call.r#type() != call::Type::Kill
    }
}
