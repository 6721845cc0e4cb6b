//! The JSON mapping, rule by rule.

use serde_json::json;

use super::{Error, from_slice, from_str, from_value, to_string, to_value, to_vec_with_defaults};
use crate::v1::{self, scheduler::Call};

fn refusal<M>(text: &str) -> String
where
    M: prost::Message + prost::Name + Default + std::fmt::Debug,
{
    match from_str::<M>(text) {
        Err(Error::Convert { message }) => message,
        other => panic!("{other:?}"),
    }
}

fn syntax(text: &[u8]) -> String {
    match from_slice::<Call>(text) {
        Err(Error::Syntax { message }) => message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn doubles_have_a_fraction_and_integers_do_not() {
    let text = |value| to_string(&v1::value::Scalar { value });
    assert_eq!(text(8.0), r#"{"value":8.0}"#);
    assert_eq!(text(0.1), r#"{"value":0.1}"#);
    assert_eq!(text(f64::INFINITY), r#"{"value":"Infinity"}"#);
    assert_eq!(
        from_str::<v1::value::Scalar>(r#"{"value":"-Infinity"}"#)
            .unwrap()
            .value,
        f64::NEG_INFINITY
    );
    let range = v1::value::Range {
        begin: 1,
        end: u64::MAX,
    };
    assert_eq!(
        to_string(&range),
        r#"{"begin":1,"end":18446744073709551615}"#
    );
    assert_eq!(
        from_str::<v1::value::Range>(&to_string(&range)).unwrap(),
        range
    );
}

#[test]
fn negative_numbers_keep_their_sign() {
    let time = v1::TimeInfo { nanoseconds: -5 };
    assert_eq!(to_string(&time), r#"{"nanoseconds":-5}"#);
    assert_eq!(
        from_str::<v1::TimeInfo>(r#"{"nanoseconds":-5}"#).unwrap(),
        time
    );
    let address = v1::Address {
        port: -1,
        ..v1::Address::default()
    };
    assert_eq!(to_string(&address), r#"{"port":-1}"#);
    assert_eq!(from_str::<v1::Address>(r#"{"port":-1}"#).unwrap(), address);
}

#[test]
fn numbers_out_of_range_are_refused_and_fractions_cut_off() {
    let range = |begin: &str| format!(r#"{{"begin":{begin},"end":9}}"#);
    assert_eq!(
        refusal::<v1::value::Range>(&range("-1")),
        "Value out of range for field 'begin'"
    );
    assert_eq!(
        refusal::<v1::value::Range>(&range("1e30")),
        "Value out of range for field 'begin'"
    );
    assert_eq!(
        refusal::<v1::Address>(r#"{"port":2147483648}"#),
        "Value out of range for field 'port'"
    );
    assert_eq!(
        from_str::<v1::value::Range>(&range("8.9")).unwrap().begin,
        8
    );
    assert_eq!(
        from_str::<v1::value::Range>(&range("\"7\"")).unwrap().begin,
        7
    );
}

#[test]
fn strings_are_escaped_as_the_master_escapes_them() {
    let id = v1::TaskId {
        value: "\"\\/\n\t\u{8}\u{c}\r\u{1f}\u{0}é\u{1f600}".to_owned(),
    };
    let text = to_string(&id);
    assert_eq!(
        text,
        "{\"value\":\"\\\"\\\\/\\n\\t\\b\\f\\r\\u001F\\u0000é\u{1f600}\"}"
    );
    assert_eq!(from_str::<v1::TaskId>(&text).unwrap(), id);
    let escaped = from_str::<v1::TaskId>(r#"{"value":"\u00e9\ud83d\ude00"}"#).unwrap();
    assert_eq!(escaped.value, "é\u{1f600}");
}

#[test]
fn bytes_are_base64_read_leniently() {
    let uuid = |text: &str| {
        from_str::<v1::Uuid>(&format!(r#"{{"value":"{text}"}}"#))
            .unwrap()
            .value
    };
    assert_eq!(uuid("aGk="), "hi");
    assert_eq!(uuid("aGk"), "hi");
    assert_eq!(uuid("aG\\n k="), "hi");
    assert_eq!(uuid("aGkhx"), "hi!");
    assert_eq!(
        refusal::<v1::Uuid>(r#"{"value":"a-b"}"#),
        "Failed to base64 decode bytes field 'value': Invalid character '-'"
    );
    assert_eq!(
        to_string(&v1::Uuid { value: "hi".into() }),
        r#"{"value":"aGk="}"#
    );
}

#[test]
fn an_unknown_enum_name_counts_only_where_it_is_required() {
    assert_eq!(
        from_str::<Call>(r#"{"type":"NO_SUCH"}"#).unwrap(),
        Call::default()
    );
    assert_eq!(
        refusal::<v1::Resource>(r#"{"name":"cpus","type":"NO_SUCH"}"#),
        "Failed to find enum for 'NO_SUCH'"
    );
    assert_eq!(
        refusal::<Call>(r#"{"type":5}"#),
        "Not expecting a JSON number for field 'type'"
    );
    assert_eq!(
        to_string(&Call {
            r#type: Some(99),
            ..Call::default()
        }),
        "{}"
    );
}

#[test]
fn the_wrong_type_is_refused_in_the_masters_words() {
    let refused = |field: &str| refusal::<Call>(&format!("{{{field}}}"));
    assert_eq!(
        refused(r#""subscribe":true"#),
        "Not expecting a JSON boolean for field 'subscribe'"
    );
    assert_eq!(
        refused(r#""subscribe":"x""#),
        "Not expecting a JSON string for field 'subscribe'"
    );
    assert_eq!(
        refused(r#""subscribe":[]"#),
        "Not expecting a JSON array for field 'subscribe'"
    );
    assert_eq!(
        refused(r#""type":{}"#),
        "Not expecting a JSON object for field 'type'"
    );
    assert_eq!(refusal::<Call>("[]"), "Expecting a JSON object");
    assert_eq!(
        refusal::<v1::Parameter>(r#"{"key":"k","value":5}"#),
        "Not expecting a JSON number for field 'value'"
    );
    assert_eq!(
        refusal::<v1::TimeInfo>(r#"{"nanoseconds":"x"}"#),
        "Failed to parse 'x' as a JSON number for field 'nanoseconds': syntax error at line 1 near: x"
    );
    assert_eq!(
        refusal::<v1::TimeInfo>(r#"{"nanoseconds":"true"}"#),
        "Failed to parse 'true' as a JSON number for field 'nanoseconds': Unexpected JSON type parsed"
    );
}

#[test]
fn missing_required_fields_are_all_named() {
    assert_eq!(
        refusal::<Call>(r#"{"subscribe":{"framework_info":{"id":{}}},"kill":{"task_id":null}}"#),
        "Missing required fields: subscribe.framework_info.user, subscribe.framework_info.name, \
         subscribe.framework_info.id.value, kill.task_id"
    );
}

#[test]
fn one_value_stands_for_a_list_of_one_and_the_last_key_counts() {
    let revive = |text: &str| from_str::<v1::scheduler::call::Revive>(text).unwrap().roles;
    assert_eq!(revive(r#"{"roles":"a"}"#), ["a"]);
    assert_eq!(revive(r#"{"roles":[["a"],"b",null]}"#), ["a", "b"]);
    assert_eq!(revive(r#"{"roles":["a"],"x":0,"roles":["b"]}"#), ["b"]);
}

#[test]
fn maps_are_objects() {
    let text = r#"{"user":"u","name":"n","offer_filters":{"a":{},"b":{"min_allocatable_resources":{"quantities":[{"quantities":{"cpus":{"value":1.0}}}]}}}}"#;
    let info: v1::FrameworkInfo = from_str(text).unwrap();
    assert_eq!(info.offer_filters.len(), 2);
    assert_eq!(to_string(&info), text);
    let missing = r#"{"user":"u","name":"n","offer_filters":{"a":{"min_allocatable_resources":{"quantities":{"quantities":{"cpus":{}}}}}}}"#;
    assert_eq!(
        refusal::<v1::FrameworkInfo>(missing),
        "Missing required fields: offer_filters[0].value.min_allocatable_resources.quantities[0].quantities[0].value.value"
    );
}

#[test]
fn declared_defaults_appear_only_when_asked_for() {
    let command = v1::CommandInfo {
        value: Some("true".to_owned()),
        ..v1::CommandInfo::default()
    };
    assert_eq!(to_string(&command), r#"{"value":"true"}"#);
    assert_eq!(
        to_vec_with_defaults(&command),
        br#"{"value":"true","shell":true}"#
    );
    let filters = v1::Filters::default();
    assert_eq!(to_vec_with_defaults(&filters), br#"{"refuse_seconds":5.0}"#);
}

#[test]
fn values_go_both_ways() {
    let value = json!({"type": "DECLINE", "decline": {
        "offer_ids": [{"value": "o-1"}, {"value": "o-2"}], "filters": {"refuse_seconds": 1.5}}});
    let call: Call = from_value(&value).unwrap();
    assert_eq!(to_value(&call), value);
}

#[test]
fn syntax_errors_read_as_the_masters() {
    assert_eq!(syntax(b""), "syntax error at line 1 near: ");
    assert_eq!(syntax(br#"{"type":"#), "syntax error at line 1 near: ");
    assert_eq!(
        syntax(b"{\"type\":\n nul\n}"),
        "syntax error at line 2 near: "
    );
    assert_eq!(
        syntax(b"{\"type\":\n nul! \x01x}\n"),
        "syntax error at line 2 near: ! x}"
    );
    assert_eq!(
        syntax(br#"{"type": "a\qb"}"#),
        r#"syntax error at line 1 near: b"}"#
    );
    assert_eq!(syntax(br#"{"type": 1e}"#), "syntax error at line 1 near: }");
    assert_eq!(syntax(br#"{"type": 1e999}"#), "Value out of range");
    assert_eq!(
        syntax(b"{} x\n"),
        "Parsed JSON included non-whitespace trailing characters:  x"
    );
    assert_eq!(
        syntax("\u{feff}{}".as_bytes()),
        "syntax error at line 1 near: \u{feff}{}"
    );
}

#[test]
fn nesting_has_a_limit_and_long_containers_fit_in_it() {
    let text = "[".repeat(5000) + &"]".repeat(5000);
    let near = &text[201..];
    assert_eq!(
        syntax(text.as_bytes()),
        format!("syntax error at line 1 near: {near}")
    );
    let nested = |depth: usize| {
        r#"{"value":"c","parent":"#.repeat(depth) + r#"{"value":"c"}"# + &"}".repeat(depth)
    };
    let id: v1::ContainerId = from_str(&nested(60)).unwrap();
    assert_eq!(from_str::<v1::ContainerId>(&to_string(&id)).unwrap(), id);
    assert!(matches!(
        from_str::<v1::ContainerId>(&nested(150)),
        Err(Error::Convert { .. })
    ));
    assert!(matches!(
        from_str::<v1::ContainerId>(&nested(250)),
        Err(Error::Syntax { .. })
    ));
}

#[test]
fn bytes_that_are_no_text_are_replaced() {
    let id: v1::TaskId = from_slice(b"{\"value\":\"a\xffb\"}").unwrap();
    assert_eq!(id.value, "a\u{fffd}b");
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>) {
        let _: Result<Call, Error> = from_slice(&bytes);
    }

    #[test]
    fn no_text_that_looks_like_json_makes_it_panic(text in r#"[\[\]{}":,\\u0-9a-f.eE+ -]{0,40}"#) {
        let _: Result<Call, Error> = from_str(&text);
    }

    #[test]
    fn any_text_survives(value: String) {
        let id = v1::TaskId { value };
        proptest::prop_assert_eq!(&from_str::<v1::TaskId>(&to_string(&id)).unwrap(), &id);
        let theirs: serde_json::Value = serde_json::from_str(&to_string(&id)).unwrap();
        proptest::prop_assert_eq!(theirs, json!({"value": id.value}));
    }

    #[test]
    fn any_number_survives(value: f64, begin: u64, nanoseconds: i64) {
        let scalar = v1::value::Scalar { value };
        let back: v1::value::Scalar = from_str(&to_string(&scalar)).unwrap();
        proptest::prop_assert_eq!(back.value.to_bits(), value.to_bits());
        let range = v1::value::Range { begin, end: !begin };
        proptest::prop_assert_eq!(from_str::<v1::value::Range>(&to_string(&range)).unwrap(), range);
        let time = v1::TimeInfo { nanoseconds };
        proptest::prop_assert_eq!(from_str::<v1::TimeInfo>(&to_string(&time)).unwrap(), time);
    }
}
