//! The required-field check: which paths it names, and that it agrees with
//! what `prost` decodes.

use bytes::Bytes;
use prost::Message as _;

use super::{Error, decode, encode};
use crate::v1::{
    self,
    scheduler::{Call, Event, call, event},
};

fn paths<M>(bytes: &[u8]) -> Vec<String>
where
    M: prost::Message + prost::Name + Default + std::fmt::Debug,
{
    match decode::<M>(Bytes::copy_from_slice(bytes)) {
        Err(Error::MissingFields { paths }) => paths,
        other => panic!("{other:?}"),
    }
}

#[test]
fn names_every_missing_field_own_ones_first() {
    // framework_info (1) { id (3) {} }, in a subscribe (3).
    assert_eq!(
        paths::<Call>(&[0x1a, 4, 0x0a, 2, 0x1a, 0]),
        [
            "subscribe.framework_info.user",
            "subscribe.framework_info.name",
            "subscribe.framework_info.id.value",
        ]
    );
}

#[test]
fn counts_the_elements_of_lists() {
    // accept (4) { offer_ids (1) { value } , offer_ids (1) {} }.
    assert_eq!(
        paths::<Call>(&[0x22, 7, 0x0a, 3, 0x0a, 1, b'o', 0x0a, 0]),
        ["accept.offer_ids[1].value"]
    );
}

#[test]
fn a_message_in_two_parts_is_merged() {
    // unavailability (3) { duration (2) { nanoseconds } }, then its start (1).
    let two = [0x1a, 4, 0x12, 2, 0x08, 1, 0x1a, 4, 0x0a, 2, 0x08, 1];
    assert_eq!(paths::<v1::MachineInfo>(&two), ["id"]);
    let info: v1::MachineInfo = decode(Bytes::from([&[0x0a, 0], &two[..]].concat())).unwrap();
    assert_eq!(info.unavailability.unwrap().start.nanoseconds, 1);
}

#[test]
fn cut_off_bytes_are_malformed() {
    let call = Call {
        r#type: Some(call::Type::Teardown.into()),
        framework_id: Some(v1::FrameworkId {
            value: "f".to_owned(),
        }),
        ..Call::default()
    };
    let bytes = encode(&call);
    assert_eq!(decode::<Call>(bytes.clone()).unwrap(), call);
    let cut = bytes.slice(..bytes.len() - 3);
    assert!(matches!(decode::<Call>(cut), Err(Error::Malformed { .. })));
}

#[test]
fn unknown_fields_and_groups_are_passed_over() {
    let mut bytes = v1::FrameworkId {
        value: "f".to_owned(),
    }
    .encode_to_vec();
    // Field 60 as a number, field 61 as a group that holds a string.
    bytes.extend([0xe0, 0x03, 7, 0xeb, 0x03, 0x0a, 1, b'x', 0xec, 0x03]);
    let id: v1::FrameworkId = decode(Bytes::from(bytes)).unwrap();
    assert_eq!(id.value, "f");
}

#[test]
fn of_very_many_missing_fields_the_first_are_named() {
    // offer_ids (1), each without a value.
    let decline = [0x0a, 0].repeat(50_000);
    let paths = paths::<call::Decline>(&decline);
    assert_eq!(paths.len(), 100);
    assert_eq!(paths[99], "offer_ids[99].value");
}

#[test]
fn a_map_keeps_values_that_are_zero() {
    let mut task = v1::TaskInfo {
        name: "n".to_owned(),
        task_id: v1::TaskId {
            value: "t".to_owned(),
        },
        agent_id: v1::AgentId {
            value: "a".to_owned(),
        },
        ..v1::TaskInfo::default()
    };
    task.limits
        .insert("cpus".to_owned(), v1::value::Scalar { value: 0.0 });
    assert_eq!(decode::<v1::TaskInfo>(encode(&task)).unwrap(), task);
    assert_eq!(
        paths::<v1::TaskInfo>(&task.encode_to_vec()),
        ["limits[0].value.value"],
        "what Mesos makes of what prost writes"
    );
    let text = crate::json::to_string(&task);
    assert!(
        text.ends_with(r#""limits":{"cpus":{"value":0.0}}}"#),
        "{text}"
    );
}

#[test]
fn strings_that_are_no_text_are_mended() {
    let mut status = v1::TaskStatus {
        task_id: v1::TaskId {
            value: "t".to_owned(),
        },
        state: v1::TaskState::TaskFailed.into(),
        message: Some("exit: ab".to_owned()),
        timestamp: Some(1.5),
        data: Some(Bytes::from_static(b"\xff")),
        ..v1::TaskStatus::default()
    };
    let event = Event {
        r#type: Some(event::Type::Update.into()),
        update: Some(event::Update {
            status: status.clone(),
        }),
        ..Event::default()
    };
    let mut update = event.encode_to_vec();
    let at = update.windows(2).position(|two| two == b"ab").unwrap() + 1;
    update[at] = 0xff;
    status.message = Some("exit: a\u{fffd}".to_owned());
    let event: Event = decode(Bytes::from(update)).unwrap();
    assert_eq!(event.update.unwrap().status, status);
}

#[test]
fn a_group_ends_with_its_own_number() {
    let group = |begin: u8, end: u8| [begin << 3 | 3, end << 3 | 4];
    assert!(!is_malformed(&group(7, 7)));
    assert!(is_malformed(&group(7, 12)));
    assert!(is_malformed(&[60]), "an end without a begin");
    assert!(is_malformed(&[59]), "a begin without an end");
    let nested = |depth: usize| [vec![59; depth], vec![60; depth]].concat();
    for depth in [50, 99, 100, 101, 10_000] {
        let nested = nested(depth);
        assert_eq!(
            is_malformed(&nested),
            v1::Labels::decode(&nested[..]).is_err(),
            "{depth}"
        );
    }
}

/// Whether the bytes are refused, whatever the fields would be.
fn is_malformed(bytes: &[u8]) -> bool {
    let labels = decode::<v1::Labels>(Bytes::copy_from_slice(bytes));
    matches!(labels, Err(Error::Malformed { .. }))
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>) {
        let _: Result<Call, Error> = decode(Bytes::from(bytes));
    }

    #[test]
    fn agrees_with_prost_on_what_is_malformed(bytes: Vec<u8>) {
        proptest::prop_assert_eq!(is_malformed(&bytes), v1::Labels::decode(&bytes[..]).is_err());
    }

    #[test]
    fn agrees_with_prost_on_groups_and_fields_that_nobody_knows(
        fields in proptest::collection::vec((0..4_u8, 0..6_u8, 0..3_u8), 0..12),
    ) {
        let bytes: Vec<u8> = fields
            .into_iter()
            .flat_map(|(number, kind, length)| {
                let key = number << 3 | kind;
                [key, length].into_iter().chain(std::iter::repeat_n(0, length.into()))
            })
            .collect();
        proptest::prop_assert_eq!(is_malformed(&bytes), v1::Labels::decode(&bytes[..]).is_err());
    }
}
