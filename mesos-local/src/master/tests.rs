//! The master as a model: a world of scripted agents and frameworks around it,
//! whose time the tests make pass.

mod agents;
mod batches;
mod drain;
mod gone;
mod maintenance;
mod operations;
mod operator_operations;
mod quota;
mod sharing;
mod subscribers;
mod weights;
mod world;
