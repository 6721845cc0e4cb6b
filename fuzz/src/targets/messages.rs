//! Protobuf and JSON bodies: what is read can be written, and what is written
//! is read the same.

use bytes::Bytes;
use mesos_proto::{json, v1, wire};
use prost::{Message, Name};

use super::{Target, kind};

pub(super) struct Protobuf;

impl Target for Protobuf {
    fn name(&self) -> &'static str {
        "protobuf"
    }

    fn take(&mut self, input: &[u8]) -> u64 {
        let outcomes = [
            from_wire::<v1::scheduler::Call>(input),
            from_wire::<v1::scheduler::Event>(input),
            from_wire::<v1::master::Call>(input),
            from_wire::<v1::master::Response>(input),
            from_wire::<v1::master::Event>(input),
            from_wire::<v1::agent::Call>(input),
            from_wire::<v1::agent::Response>(input),
            from_wire::<v1::executor::Call>(input),
            from_wire::<v1::executor::Event>(input),
        ];
        kind(&outcomes.each_ref().map(String::as_str))
    }
}

fn from_wire<M: Message + Name + Default>(input: &[u8]) -> String {
    let message: M = match wire::decode(Bytes::copy_from_slice(input)) {
        Ok(message) => message,
        Err(error) => return error.to_string(),
    };
    let written = wire::encode(&message);
    let again: M = wire::decode(written.clone()).expect("what is written can be read");
    // Bytes, because a number that is none equals nothing.
    assert_eq!(wire::encode(&again), written, "read again it is another");
    // Not all that fits protobuf fits JSON: infinite numbers, unknown enums.
    let text = json::to_vec(&message);
    match json::from_slice::<M>(&text) {
        Ok(again) => format!("both {}", json::to_vec(&again) == text),
        Err(error) => format!("not in JSON {error}"),
    }
}

pub(super) struct Json;

impl Target for Json {
    fn name(&self) -> &'static str {
        "json"
    }

    fn take(&mut self, input: &[u8]) -> u64 {
        let outcomes = [
            from_json::<v1::scheduler::Call>(input),
            from_json::<v1::scheduler::Event>(input),
            from_json::<v1::master::Call>(input),
            from_json::<v1::master::Response>(input),
            from_json::<v1::master::Event>(input),
            from_json::<v1::agent::Call>(input),
            from_json::<v1::agent::Response>(input),
            from_json::<v1::executor::Call>(input),
            from_json::<v1::executor::Event>(input),
        ];
        kind(&outcomes.each_ref().map(String::as_str))
    }
}

fn from_json<M: Message + Name + Default>(input: &[u8]) -> String {
    let message: M = match json::from_slice(input) {
        Ok(message) => message,
        Err(error) => return error.to_string(),
    };
    let text = json::to_vec(&message);
    let again: M = json::from_slice(&text).expect("what is written can be read");
    assert_eq!(json::to_vec(&again), text, "read again it is another");
    let written = wire::encode(&message);
    let again: M = wire::decode(written.clone()).expect("what is written can be read");
    assert_eq!(wire::encode(&again), written, "in protobuf it is another");
    json::to_string(&message).chars().take(64).collect()
}
