//! What command lines come to.

use std::time::Duration;

use mesos_service::run::{Place, Stop};

use super::*;
use crate::io::Config;

fn parsed(line: &str) -> Parsed<Args> {
    parse(line.split_whitespace().map(str::to_owned), []).unwrap()
}

async fn config(line: &str) -> Result<Config, Invalid> {
    let line = format!("--http_port 0 --http_address 127.0.0.1 --hostname me {line}");
    parsed(&line).flags.config("alice", 1, Stop::new()).await
}

async fn refused(line: &str) -> String {
    config(line).await.unwrap_err().to_string()
}

#[tokio::test]
async fn flags_of_the_original_are_taken() {
    let line = "--master zk://a:2181,b/mesos --zk zk://u:wonder@a:2181,b/marathon \
        --zk_session_timeout 20000 --checkpoint --disable_suppress_offers --env-vars-prefix X_ \
        --mesos_authentication_principal p --mesos_authentication_secret wonder \
        --enable_features secrets,vips --decline_offer_duration 5000 --local_port_max 10100 \
        --mesos_role web --default_accepted_resource_roles * --framework_name m2 \
        --max_tasks_per_offer 1 --disable_ha --reconciliation_interval 3";
    let parsed = parsed(line);
    assert_eq!(parsed.notices.len(), 3, "{:?}", parsed.notices);
    assert!(!format!("{:?}", parsed.flags).contains("wonder"));
    let config = config(line).await.unwrap();
    let Place::ZooKeeper(zookeeper) = &config.plan.place else {
        panic!("{:?}", config.plan.place);
    };
    assert_eq!(zookeeper.address.path, "/marathon");
    assert_eq!(zookeeper.session_timeout, Duration::from_secs(20));
    assert!(!config.settings.suppress_offers && config.settings.features.secrets);
    assert_eq!(config.settings.service_ports, 10_000..=10_100);
    assert_eq!(config.settings.decline_duration, Duration::from_secs(5));
    let framework = &config.framework;
    assert_eq!(framework.principal(), "p");
    assert_eq!(
        (framework.name.as_str(), framework.hostname()),
        ("m2", "me")
    );
    assert_eq!(framework.user, "alice");
    assert!(config.credentials.is_some());
    assert_eq!(config.plan.proxy.redirected_prefixes, ["/v2/events"]);
    // Nothing that is shown or logged holds a password.
    assert!(!format!("{config:?}").contains("wonder"));
    let shown = [&config.about.config, &config.about.zookeeper];
    assert!(shown.iter().all(|it| !it.to_string().contains("wonder")));
    assert_eq!(
        config.about.zookeeper["zk"],
        "zk://u:***@a:2181,b:2181/marathon"
    );
}

#[tokio::test]
async fn the_environment_says_the_same() {
    let environment = [
        ("MARATHON_MASTER", "local"),
        ("MARATHON_HTTP_PORT", "0"),
        ("MARATHON_HTTP_ADDRESS", "127.0.0.1"),
        ("MARATHON_DISABLE_CHECKPOINT", ""),
        ("MARATHON_PROXY_EVENTS", "true"),
        ("MESOSPHERE_HTTP_CREDENTIALS", "alice:wonder"),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let parsed = parse(["--http_address=127.0.0.2".to_owned()], environment).unwrap();
    assert!(parsed.notices.is_empty(), "{:?}", parsed.notices);
    let config = parsed.flags.config("alice", 1, Stop::new()).await.unwrap();
    assert!(matches!(config.plan.place, Place::Memory));
    assert!(!config.framework.checkpoint());
    assert!(config.plan.proxy.redirected_prefixes.is_empty());
    assert_eq!(
        config.plan.listeners.addresses()[0].ip().to_string(),
        "127.0.0.2"
    );
}

#[tokio::test]
async fn what_cannot_be_is_said_with_what_can() {
    let text = refused("--master mesos:5050").await;
    assert!(
        text.contains("--data_dir") && text.contains("--zk"),
        "{text}"
    );
    let text = refused("--master local --zk a:2181/x").await;
    assert!(text.starts_with("--zk: "), "{text}");
    let text = refused("--master local --enable_features flying").await;
    assert!(
        text.contains("flying") && text.contains("secrets"),
        "{text}"
    );
    let text = refused("--master local --local_port_min 20001").await;
    assert!(text.contains("20001") && text.contains("20000"), "{text}");
    let text = refused("--master local --default_accepted_resource_roles web").await;
    assert!(text.contains("web"), "{text}");
    let text = refused("--master local --http_credentials wonder").await;
    assert!(
        text.starts_with("--http_credentials") && !text.contains("wonder"),
        "{text}"
    );
    for line in [
        "",
        "--master local --zk zk://a/m --data_dir x",
        "--master local --mesos_authentication",
        "--master local --event_subscriber http_callback",
        "--master local --http_port many",
        "--master local --http_prot 1",
    ] {
        let error = parse(line.split_whitespace().map(str::to_owned), []).unwrap_err();
        assert!(!error.is_help && !error.message.is_empty(), "{line}");
    }
}

#[test]
fn every_flag_is_either_known_or_retired() {
    use clap::CommandFactory as _;
    let command = Args::command();
    let known: Vec<&str> = command
        .get_arguments()
        .filter_map(|it| it.get_long())
        .collect();
    for flag in retired::FLAGS {
        assert!(!known.contains(&flag.name), "{}", flag.name);
    }
}
