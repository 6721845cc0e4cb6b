//! What the benches have in common.

use std::process::Command;

/// Builds the programs of these packages as they are measured.
///
/// # Panics
///
/// Where they do not build.
pub fn build_programs(packages: &[&str]) {
    let mut build = Command::new(env!("CARGO"));
    // With this package, so that what they depend on is not built another time.
    build.args(["build", "--release", "--package", "mesos-benches"]);
    for package in packages {
        build.args(["--package", package]);
    }
    // What cargo says to the bench is not for another cargo: some packages are
    // built anew when it differs, and with them whatever is built on them.
    for (name, _) in std::env::vars_os() {
        let told = name.to_str().unwrap_or_default();
        if told.starts_with("CARGO_PKG_") || told.starts_with("CARGO_MANIFEST_") {
            build.env_remove(name);
        }
    }
    let status = build.status();
    assert!(
        status.is_ok_and(|it| it.success()),
        "{packages:?} are built"
    );
}
