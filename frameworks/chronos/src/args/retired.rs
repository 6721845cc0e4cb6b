//! Flags that the original had, and what became of them.

use mesos_service::flags::RetiredFlag;

const fn passed_over(name: &'static str, reason: &'static str) -> RetiredFlag {
    RetiredFlag {
        name,
        takes_value: true,
        reason,
        is_refused: false,
    }
}

const HISTORY: &str = "histories are kept with the rest of the state";
const METRICS: &str = "numbers are read at /metrics";

pub(super) const FLAGS: &[RetiredFlag] = &[
    passed_over("schedule_horizon", "schedules are not planned ahead"),
    passed_over(
        "task_epsilon",
        "a job that names no epsilon runs late rather than not at all",
    ),
    passed_over("leader_max_idle_time", "see --zk_timeout"),
    passed_over("reconciliation_interval", "tasks are reconciled as needed"),
    passed_over(
        "min_revive_offers_interval",
        "offers are asked for before jobs are due",
    ),
    passed_over("raven_dsn", "there is --http_notification_url"),
    passed_over("cassandra_contact_points", HISTORY),
    passed_over("cassandra_port", HISTORY),
    passed_over("cassandra_user", HISTORY),
    passed_over("cassandra_password", HISTORY),
    passed_over("cassandra_keyspace", HISTORY),
    passed_over("cassandra_table", HISTORY),
    passed_over("cassandra_stat_count_table", HISTORY),
    passed_over("cassandra_consistency", HISTORY),
    passed_over("cassandra_ttl", HISTORY),
    passed_over("graphite_host_port", METRICS),
    passed_over("graphite_reporting_interval", METRICS),
    passed_over("graphite_group_prefix", METRICS),
    RetiredFlag {
        name: "revive_offers_for_new_jobs",
        takes_value: false,
        reason: "offers are asked for before jobs are due",
        is_refused: false,
    },
];
