//! Marathon: runs applications for as long as they are wanted.

pub mod api;
pub mod app;
pub mod args;
pub mod deployment;
pub mod effects;
pub mod engine;
pub mod input;
pub mod instance;
pub mod io;
pub mod launch_delay;
pub mod machine;
pub mod path_id;
pub mod pod;
pub mod probes;
pub mod queue;
pub mod request;
pub mod root;
pub mod spec;
pub mod state;
pub mod timestamp;
pub mod validate;
pub mod violations;
