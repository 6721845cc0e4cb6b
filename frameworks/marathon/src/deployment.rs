//! How what is there becomes what is wanted: in which order apps change
//! ([`plan`]), and how many of an app's instances change at a time
//! ([`rolling`], [`scale_down`]).

pub mod plan;
pub mod rolling;
pub mod scale_down;

pub use plan::{Action, Kind, Plan};
