//! Runs shell commands as tasks of an Apache Mesos cluster.

fn main() {}
