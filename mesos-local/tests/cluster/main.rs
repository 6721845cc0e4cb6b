//! A whole cluster over real sockets with real processes, seen as a framework
//! and an operator see it.

mod calls;
mod client;
mod containers;
mod faults;
mod files;
mod http;
mod operator;
mod program;
mod reads;
mod simulated;
mod tasks;
mod volumes;
