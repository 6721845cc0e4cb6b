//! Placement: what it decides, and that it keeps its promises against checks
//! that are slow and know nothing of how it works.

#[path = "placement/brute.rs"]
mod brute;
#[path = "placement/cases.rs"]
mod cases;
#[path = "placement/checker.rs"]
mod checker;
#[path = "placement/master.rs"]
mod master;
#[path = "placement/offers.rs"]
mod offers;
#[path = "placement/promises.rs"]
mod promises;
#[path = "placement/reasons.rs"]
mod reasons;
