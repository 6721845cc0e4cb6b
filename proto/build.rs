//! Compiles `mesos/v1/**.proto` with a protobuf compiler written in Rust, so
//! that building needs no `protoc`, and keeps the descriptors for the JSON
//! mapping.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message as _;

const FILES: [&str; 9] = [
    "mesos/v1/mesos.proto",
    "mesos/v1/agent/agent.proto",
    "mesos/v1/allocator/allocator.proto",
    "mesos/v1/executor/executor.proto",
    "mesos/v1/maintenance/maintenance.proto",
    "mesos/v1/master/master.proto",
    "mesos/v1/quota/quota.proto",
    "mesos/v1/resource_provider/resource_provider.proto",
    "mesos/v1/scheduler/scheduler.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=mesos");
    let descriptors = protox::compile(FILES, ["."])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);

    let mut stripped = descriptors.clone();
    for file in &mut stripped.file {
        file.source_code_info = None;
    }
    fs::write(out.join("descriptors.bin"), stripped.encode_to_vec())?;

    // Deprecated fields are part of the wire, and code that speaks with older
    // frameworks must use them: the comments say what replaces them.
    let mut descriptors = descriptors;
    for file in &mut descriptors.file {
        file.message_type.iter_mut().for_each(undeprecate);
    }

    prost_build::Config::new()
        .bytes(["."])
        .btree_map(["."])
        // Few resources are of a disk of their own, and it would be three
        // quarters of the size of every resource.
        .boxed(".mesos.v1.Resource.disk")
        .enable_type_names()
        .compile_fds(descriptors)?;
    Ok(())
}

fn undeprecate(message: &mut prost_types::DescriptorProto) {
    for field in &mut message.field {
        if let Some(options) = &mut field.options {
            options.deprecated = None;
        }
    }
    message.nested_type.iter_mut().for_each(undeprecate);
}
