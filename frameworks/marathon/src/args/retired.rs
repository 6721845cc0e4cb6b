//! Flags of the original that are taken and change nothing, each with why.

use mesos_service::flags::RetiredFlag;

const fn passed_over(name: &'static str, reason: &'static str) -> RetiredFlag {
    RetiredFlag {
        name,
        takes_value: true,
        reason,
        is_refused: false,
    }
}

const fn switch(name: &'static str, reason: &'static str) -> RetiredFlag {
    RetiredFlag {
        name,
        takes_value: false,
        reason,
        is_refused: false,
    }
}

const fn refused(name: &'static str, reason: &'static str) -> RetiredFlag {
    RetiredFlag {
        name,
        takes_value: true,
        reason,
        is_refused: true,
    }
}

const SIZE: &str = "there is no limit to the size of what is stored, so nothing is to be set";
const MEMORY: &str = "all of the state is in memory anyway";
const COMPACTION: &str = "versions are dropped as soon as there are more than --zk_max_versions";
const ALWAYS: &str = "apps are looked at whenever something happens to them, not now and then";
const RECONCILIATION: &str = "tasks are asked for after every subscription and now and then";
const OFFERS: &str = "offers are looked at together, and as many instances are placed as fit";
const KILLS: &str = "kills are repeated until the task has ended";
const QUEUES: &str = "there is one queue, which does not lose anything";
const MASTER: &str = "the master says how often it is heard of";
const PUSHED: &str = "metrics are fetched from /metrics or /metrics/prometheus, and sent nowhere";
const METRICS: &str = "histograms show what was recorded in the last minute";
const PLUGINS: &str = "there are no plugins";

pub(super) const FLAGS: &[RetiredFlag] = &[
    switch("ha", "an instance without rivals is elected at once"),
    passed_over(
        "zk_timeout",
        "--zk_session_timeout and --zk_connection_timeout say it",
    ),
    switch("zk_compression", SIZE),
    passed_over("zk_compression_threshold", SIZE),
    passed_over("zk_max_node_size", SIZE),
    switch("store_cache", MEMORY),
    passed_over("group_versions_cache_size", MEMORY),
    passed_over("internal_store_backend", "--zk and --data_dir say it"),
    passed_over("storage_compaction_interval", COMPACTION),
    passed_over("storage_compaction_scan_batch_size", COMPACTION),
    passed_over(
        "backup_location",
        "backups are made by DELETE /v2/leader?backup=file:///..",
    ),
    passed_over(
        "marathon_store_timeout",
        "saving is tried again until it works",
    ),
    passed_over("leader_election_backend", "there is one"),
    passed_over("on_elected_prepare_timeout", "it takes as long as it takes"),
    passed_over(
        "graceful_shutdown_timeout",
        "requests under way get two seconds",
    ),
    passed_over(
        "task_reservation_timeout",
        "reservations are made in the same call as the launch",
    ),
    passed_over("task_lost_expunge_initial_delay", ALWAYS),
    passed_over("task_lost_expunge_interval", ALWAYS),
    passed_over("task_lost_expunge_gc", ALWAYS),
    passed_over("scale_apps_initial_delay", ALWAYS),
    passed_over("scale_apps_interval", ALWAYS),
    passed_over("reconciliation_initial_delay", RECONCILIATION),
    passed_over("reconciliation_interval", RECONCILIATION),
    passed_over("max_instances_per_offer", OFFERS),
    passed_over("max_tasks_per_offer", OFFERS),
    passed_over("max_tasks_per_offer_cycle", OFFERS),
    passed_over("offer_matching_timeout", OFFERS),
    passed_over("max_parallel_offers", OFFERS),
    passed_over("max_queued_offers", OFFERS),
    passed_over("min_revive_offers_interval", OFFERS),
    switch("revive_offers_for_new_apps", OFFERS),
    passed_over("revive_offers_repetitions", OFFERS),
    switch("mesos_offer_constraints", OFFERS),
    passed_over("min_mesos_offer_constraints_update_interval", OFFERS),
    passed_over("kill_chunk_size", KILLS),
    passed_over("kill_retry_timeout", KILLS),
    passed_over("max_queued_root_group_updates", QUEUES),
    passed_over("group_manager_request_timeout", QUEUES),
    passed_over("task_update_request_timeout", QUEUES),
    passed_over("max_parallel_status_updates", QUEUES),
    passed_over("max_queued_status_updates", QUEUES),
    passed_over("launch_queue_request_timeout", QUEUES),
    passed_over("zk_max_parallel_operations", QUEUES),
    passed_over("mesos_heartbeat_interval", MASTER),
    passed_over("mesos_heartbeat_failure_threshold", MASTER),
    passed_over("reporter_graphite", PUSHED),
    passed_over("reporter_datadog", PUSHED),
    switch("metrics_statsd", PUSHED),
    passed_over("metrics_statsd_host", PUSHED),
    passed_over("metrics_statsd_port", PUSHED),
    passed_over("metrics_statsd_transmission_interval_ms", PUSHED),
    switch("metrics_datadog", PUSHED),
    passed_over("metrics_datadog_protocol", PUSHED),
    passed_over("metrics_datadog_host", PUSHED),
    passed_over("metrics_datadog_port", PUSHED),
    passed_over("metrics_datadog_api_key", PUSHED),
    passed_over("metrics_datadog_transmission_interval_ms", PUSHED),
    passed_over("metrics_averaging_window", METRICS),
    passed_over("metrics_histogram_reservoir_significant_digits", METRICS),
    switch("metrics_histogram_reservoir_reset_periodically", METRICS),
    passed_over("metrics_histogram_reservoir_resetting_interval_ms", METRICS),
    passed_over("metrics_histogram_reservoir_resetting_chunks", METRICS),
    switch("metrics", "they are always there"),
    switch("enable_metrics", "they are always there"),
    switch("tracing", "--logging_level debug shows more"),
    switch("enable_tracing", "--logging_level debug shows more"),
    passed_over(
        "deprecated_features",
        "all forms that clients read are there",
    ),
    passed_over("plugin_dir", PLUGINS),
    passed_over("plugin_conf", PLUGINS),
    passed_over("assets_path", "there is no page to be replaced"),
    refused(
        "artifact_store",
        "put what apps fetch on a server of its own",
    ),
    refused("event_subscriber", "read events from /v2/events"),
    refused("http_endpoints", "read events from /v2/events"),
];
