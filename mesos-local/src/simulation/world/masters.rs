//! The masters, one after the other, and what reaches them.

use std::net::SocketAddr;
use std::time::Duration;

use mesos_sdk::v1::scheduler::{Call, call};
use mesos_sdk::{CallError, session};

use super::{Happening, Sent, World};
use crate::master::{ConnectionId, Effects, Input, LinkId, Master, MasterConfig, Reply, RequestId};
use crate::messages::{FromAgent, ToAgent};
use crate::simulation::checks::Violation;
use crate::simulation::framework::Framework;
use crate::simulation::network::Route;

/// How long a connection to somebody who is not reached is tried.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

impl<F: Framework> World<'_, F> {
    pub(super) fn new_master(&mut self) {
        if self.master.is_some() {
            return;
        }
        self.reign += 1;
        self.note(|| "master: begins to lead".to_owned());
        let address = SocketAddr::from(([10, 0, 0, 1], 5050));
        let config = MasterConfig {
            offer_timeout: self.plan.offer_timeout,
            seed: self.dice.draw(),
            ..MasterConfig::new(format!("master{}", self.reign), address, "master.local")
        };
        let registry = std::mem::take(&mut self.registry);
        self.master = Some(Master::recover(config, registry, self.now));
    }

    /// The master is gone; only its registry is left.
    pub(super) fn end_master(&mut self) {
        let Some(master) = self.master.take() else {
            return;
        };
        self.note(|| "master: is gone".to_owned());
        self.registry = master.registry();
        let links: Vec<_> = self
            .links
            .iter()
            .map(|(link, host)| (*link, *host))
            .collect();
        for (link, host) in links {
            let delay = self.dice.around(Duration::from_secs(1));
            self.after(delay, Happening::LinkLost(host, link));
        }
        if let Some(connection) = self.connection() {
            self.network.breaks(Route::Events(connection));
            // Now and then nobody says that the connection has ended.
            if !self.chance.permille(300) {
                self.end_stream(connection);
            }
        }
    }

    pub(super) fn connection(&self) -> Option<ConnectionId> {
        self.driver.as_ref()?.connection()
    }

    /// The framework notices that its stream has ended.
    pub(super) fn end_stream(&mut self, connection: ConnectionId) {
        let reason = "the stream has ended".to_owned();
        let at = self.network.arrival(self.now, Route::Events(connection));
        let how = session::Input::Ended { reason };
        self.at(at, Happening::Ended(connection, how));
    }

    pub(super) fn step_master(&mut self, input: Input) {
        let Some(master) = &mut self.master else {
            return;
        };
        let effects = master.step(self.now, input);
        if let Err(what) = master.audit() {
            self.checks.violate(Violation::Books { what });
        }
        self.send_all(effects);
    }

    fn send_all(&mut self, effects: Effects) {
        for notice in effects.notices {
            self.note(|| format!("master: {notice}"));
        }
        for (request, reply) in effects.replies {
            self.reply(request, reply);
        }
        for (connection, stream_id) in effects.accepted {
            let at = self.network.arrival(self.now, Route::Events(connection));
            self.at(at, Happening::Opened(connection, stream_id));
        }
        for (connection, event) in effects.events {
            let at = self.network.arrival(self.now, Route::Events(connection));
            self.at(at, Happening::Event(connection, event));
        }
        for connection in effects.closes {
            self.end_stream(connection);
        }
        for (link, message) in effects.to_agents {
            self.send_to_agent(link, message);
        }
    }

    fn send_to_agent(&mut self, link: LinkId, message: ToAgent) {
        let Some(host) = self.links.get(&link).copied() else {
            return;
        };
        if self.network.loses_to_agent(&message) {
            return;
        }
        let at = self.network.arrival(self.now, Route::ToAgent(link));
        self.at(at, Happening::ToAgent(host, link, message));
    }

    fn reply(&mut self, request: RequestId, reply: Reply) {
        // A refused SUBSCRIBE is replied to under its stream's number.
        let connection = ConnectionId(request.0);
        if self.connection() == Some(connection) {
            let at = self.network.arrival(self.now, Route::Events(connection));
            let how = session::Input::Rejected {
                status: reply.status,
                message: reply.body,
            };
            self.at(at, Happening::Ended(connection, how));
            return;
        }
        let answer = match reply.status {
            200..=299 => Ok(()),
            403 => Err(CallError::SessionLost { call: "?" }),
            400 if is_of_another_stream(&reply.body) => Err(CallError::SessionLost { call: "?" }),
            status => Err(CallError::Refused {
                call: "?",
                status,
                message: reply.body,
            }),
        };
        let delay = self.network.delay();
        self.after(delay, Happening::Answered(request, answer));
    }

    pub(super) fn subscribe(&mut self, connection: ConnectionId, call: Box<Call>) {
        if self.network.is_framework_cut {
            return self.not_opened(connection, CONNECT_TIMEOUT);
        }
        if self.master.is_none() {
            let delay = self.network.delay();
            return self.not_opened(connection, delay);
        }
        self.step_master(Input::Subscribe {
            connection,
            request: RequestId(connection.0),
            call,
            has_stream_id: false,
            principal: None,
        });
        // Whoever asked may have gone meanwhile.
        if self.connection() != Some(connection) {
            let delay = self.network.delay();
            self.after(delay, Happening::StreamGone(self.reign, connection));
        }
    }

    pub(super) fn take_call(&mut self, reign: u64, sent: Sent) {
        if self.network.is_framework_cut {
            return self.no_answer(&sent);
        }
        if self.master.is_none() || reign != self.reign {
            let error = CallError::SessionLost {
                call: sent.call.r#type().as_str_name(),
            };
            let delay = self.network.delay();
            let answered = Happening::Answered(sent.request, Err(error));
            return self.after(delay, answered);
        }
        let is_lost = self.network.loses() && sent.call.r#type() != call::Type::Subscribe;
        let unanswered = is_lost.then(|| sent.clone());
        // The answer is what may be lost here; the call has come.
        let request = match unanswered {
            Some(sent) => {
                self.no_answer(&sent);
                RequestId(u64::MAX)
            }
            None => sent.request,
        };
        self.step_master(Input::Call {
            request,
            call: sent.call,
            stream_id: sent.stream_id,
            principal: None,
        });
    }

    pub(super) fn stream_gone(&mut self, reign: u64, connection: ConnectionId) {
        if reign == self.reign {
            self.step_master(Input::Disconnected { connection });
            self.network.forget(Route::Calls(connection));
        }
    }

    pub(super) fn arrive_from_agent(&mut self, reign: u64, link: LinkId, message: FromAgent) {
        let Some(host) = self
            .links
            .get(&link)
            .copied()
            .filter(|_| reign == self.reign)
        else {
            return;
        };
        let route = Route::FromAgent(link);
        if self.network.cut_agents.contains(&host) {
            self.network.breaks(route);
        }
        if self.network.is_broken(route) {
            return;
        }
        self.step_master(Input::FromAgent { link, message });
    }

    pub(super) fn agent_gone(&mut self, reign: u64, link: LinkId) {
        if reign == self.reign {
            self.step_master(Input::AgentDisconnected { link });
        }
        self.links.remove(&link);
        self.network.forget(Route::FromAgent(link));
        self.network.forget(Route::ToAgent(link));
    }
}

fn is_of_another_stream(body: &str) -> bool {
    body.starts_with("The stream ID") || body.starts_with("Framework cannot be found")
}
