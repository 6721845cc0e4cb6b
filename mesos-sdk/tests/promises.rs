//! What the driver promises, each promise as a test against a scripted master:
//! acknowledgement after commit, a stream that is always drained, one
//! connector, linear offers, reconciliation as a routine, nothing torn down.

#![expect(
    clippy::unwrap_used,
    reason = "what a test stands on may fail the test"
)]

#[path = "promises/acknowledgements.rs"]
mod acknowledgements;
#[path = "promises/connector.rs"]
mod connector;
#[path = "promises/events.rs"]
mod events;
#[path = "promises/framework.rs"]
mod framework;
#[path = "promises/master.rs"]
mod master;
#[path = "promises/offers.rs"]
mod offers;
#[path = "promises/operations.rs"]
mod operations;
#[path = "promises/reconciliation.rs"]
mod reconciliation;
