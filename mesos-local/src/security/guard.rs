//! Asks who speaks, in front of whoever answers.

use std::sync::Arc;

use http::{HeaderValue, StatusCode, header};

use super::Security;
use crate::http::{Handler, Request, Response};

/// What one has to be known for. Names are those of Mesos's realms, but for
/// agents of other processes, which Mesos has none for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Realm {
    Scheduler,
    MasterReadonly,
    MasterReadwrite,
    MasterAgents,
    AgentReadonly,
    AgentReadwrite,
}

impl Realm {
    fn is_asked_by(self, security: &Security) -> bool {
        match self {
            Self::Scheduler => security.authenticate_frameworks,
            Self::MasterReadonly | Self::AgentReadonly => security.authenticate_readonly,
            Self::MasterReadwrite | Self::AgentReadwrite => security.authenticate_readwrite,
            Self::MasterAgents => security.authenticate_agents,
        }
    }

    fn challenge(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Scheduler => "Basic realm=\"mesos-master-scheduler\"",
            Self::MasterReadonly => "Basic realm=\"mesos-master-readonly\"",
            Self::MasterReadwrite => "Basic realm=\"mesos-master-readwrite\"",
            Self::MasterAgents => "Basic realm=\"mesos-local-agents\"",
            Self::AgentReadonly => "Basic realm=\"mesos-agent-readonly\"",
            Self::AgentReadwrite => "Basic realm=\"mesos-agent-readwrite\"",
        })
    }
}

/// Passes on what comes from somebody who may ask for it, and says from whom.
#[derive(Debug, Clone)]
pub(crate) struct Guard<H> {
    inner: H,
    security: Arc<Security>,
    realm: fn(&str) -> Option<Realm>,
}

impl<H> Guard<H> {
    /// A guard before `inner`; `realm` says of a path what it belongs to.
    pub(crate) fn new(inner: H, security: Arc<Security>, realm: fn(&str) -> Option<Realm>) -> Self {
        Self {
            inner,
            security,
            realm,
        }
    }
}

impl<H: Handler> Handler for Guard<H> {
    async fn handle(&self, mut request: Request) -> Response {
        let realm = (self.realm)(&request.path);
        if let Some(realm) = realm.filter(|realm| realm.is_asked_by(&self.security)) {
            request.principal = self.security.secrets.authenticate(&request.headers);
            if request.principal.is_none() {
                return Response::text(StatusCode::UNAUTHORIZED, "401 Unauthorized.")
                    .with(header::WWW_AUTHENTICATE, realm.challenge());
            }
        }
        self.inner.handle(request).await
    }
}
