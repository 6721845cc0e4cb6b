//! The HTTP/1 server of a framework: connections, limits, bodies, and what every
//! answer has. What a path means is a [`Handler`]'s affair, mostly a
//! [`Router`]'s.

mod basic_auth;
mod body;
mod events;
mod identity;
mod measure;
mod negotiate;
mod openapi;
mod patience;
mod query;
mod request;
mod response;
mod router;
mod server;

use std::sync::Arc;

use futures::future::BoxFuture;

pub use basic_auth::{BasicCredentials, BasicCredentialsError};
pub use body::Body;
pub use events::{EventBus, EventBusConfig, Resumed, Subscription};
pub use identity::{Identity, IdentityError};
pub use negotiate::accepts;
pub use openapi::{Description, Operation};
pub use query::Query;
pub use request::{Connection, Request};
pub use response::{IntoResponse, Response};
pub use router::{Parameters, Router};
pub use server::{Limits, Server, ServerConfig};

/// Answers requests.
pub trait Handler: Send + Sync + 'static {
    /// Answers one request. It may take its time; others run beside it.
    fn handle(&self, request: Request) -> BoxFuture<'static, Response>;
}

impl<H: Handler + ?Sized> Handler for Arc<H> {
    fn handle(&self, request: Request) -> BoxFuture<'static, Response> {
        (**self).handle(request)
    }
}
