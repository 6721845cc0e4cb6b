//! Marathon: runs applications for as long as they are wanted.

pub mod app;
pub mod deployment;
pub mod input;
pub mod launch_delay;
pub mod path_id;
pub mod root;
pub mod timestamp;
pub mod validate;
pub mod violations;
