//! Every way in which a flag may be written.

use clap::ArgAction;

use super::*;

#[derive(Debug, Parser)]
#[command(name = "test", rename_all = "snake_case", version = "1.2.3")]
struct Flags {
    #[arg(long, default_value_t = 8080)]
    http_port: u16,
    #[arg(long)]
    zk: Option<String>,
    #[arg(long, default_value_t = true, action = ArgAction::Set)]
    checkpoint: bool,
    #[arg(long, default_value_t = false, action = ArgAction::Set)]
    disable_http: bool,
    #[arg(long)]
    command: Vec<String>,
}

const RULES: FlagRules = FlagRules {
    prefix: "TEST_",
    environment: &[("OTHER_ZK", "zk")],
    retired: &[
        RetiredFlag {
            name: "revive_repetitions",
            takes_value: true,
            reason: "it has no effect any more",
            is_refused: false,
        },
        RetiredFlag {
            name: "event_subscriber",
            takes_value: true,
            reason: "events are read from /v2/events",
            is_refused: true,
        },
    ],
};

fn with(environment: &[(&str, &str)], line: &str) -> Result<Parsed<Flags>, FlagsError> {
    let environment = environment.iter();
    let environment = environment.map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    parse(
        &RULES,
        line.split_whitespace().map(str::to_owned),
        environment,
    )
}

fn flags(line: &str) -> Flags {
    with(&[], line).unwrap().flags
}

#[test]
fn names_have_underscores_or_dashes() {
    for line in [
        "--http_port 81",
        "--http-port 81",
        "--http_port=81",
        "--http-port=81",
    ] {
        assert_eq!(flags(line).http_port, 81, "{line}");
    }
    assert_eq!(flags("").http_port, 8080);
    assert_eq!(flags("--http_port 1 --http-port 2").http_port, 2);
    assert_eq!(flags("--zk --odd").zk.unwrap(), "--odd");
}

#[test]
fn switches_are_turned_on_and_off() {
    assert!(flags("").checkpoint && flags("--checkpoint").checkpoint);
    for line in [
        "--disable_checkpoint",
        "--disable-checkpoint",
        "--checkpoint=false",
    ] {
        assert!(!flags(line).checkpoint, "{line}");
    }
    assert!(flags("--disable_checkpoint --checkpoint").checkpoint);
    // A flag of its own, not the reverse of another.
    assert!(!flags("").disable_http && flags("--disable-http").disable_http);
}

#[test]
fn the_environment_is_read_and_the_command_line_wins() {
    let parsed = with(
        &[
            ("TEST_HTTP_PORT", "81"),
            ("OTHER_ZK", "zk://a/b"),
            ("TEST_CHECKPOINT", "false"),
            ("TEST_DISABLE_HTTP", ""),
            ("TEST_APP_ID", "/x"),
            ("TEST_REVIVE_REPETITIONS", "3"),
            ("HOME", "/"),
        ],
        "--http_port 82",
    );
    let parsed = parsed.unwrap();
    assert_eq!(parsed.flags.http_port, 82);
    assert_eq!(parsed.flags.zk.as_deref(), Some("zk://a/b"));
    assert!(!parsed.flags.checkpoint && parsed.flags.disable_http);
    assert_eq!(
        parsed.notices,
        [
            "TEST_APP_ID in the environment stands for no flag",
            "TEST_REVIVE_REPETITIONS is a flag of former times: it has no effect any more",
        ]
    );
    let parsed = with(&[("TEST_DISABLE_CHECKPOINT", "")], "").unwrap();
    assert!(!parsed.flags.checkpoint);
}

#[test]
fn what_is_unknown_or_gone_is_named() {
    let error = with(&[], "--http_prot 1").unwrap_err();
    assert!(error.message.contains("--http_prot"), "{error}");
    assert!(error.message.contains("--http_port"), "{error}");
    assert!(!error.is_help);
    let error = with(&[], "--event-subscriber http_callback").unwrap_err();
    assert!(error.message.contains("--event_subscriber"), "{error}");
    assert!(error.message.contains("/v2/events"), "{error}");
    let parsed = with(&[], "--revive_repetitions 3 --http_port 7").unwrap();
    assert_eq!((parsed.flags.http_port, parsed.notices.len()), (7, 1));
    let error = with(&[], "--http_port many").unwrap_err();
    assert!(error.message.contains("many"), "{error}");
    let error = with(&[("TEST_HTTP_PORT", "x")], "").unwrap_err();
    assert!(error.message.contains("http_port"), "{error}");
}

#[test]
fn help_is_no_error() {
    for line in ["--help", "-h", "--version"] {
        let help = with(&[], line).unwrap_err();
        assert!(help.is_help, "{line}");
    }
    let help = with(&[], "--help").unwrap_err();
    assert!(help.message.contains("--http_port <"), "{help}");
}

#[test]
fn values_may_be_repeated_where_a_flag_takes_several() {
    let line = "--command a --command=b -- --not-read";
    let error = with(&[], line).unwrap_err();
    assert!(error.message.contains("--not-read"), "{error}");
    assert_eq!(flags("--command a --command=b").command, ["a", "b"]);
}
