//! When a job is due: ISO 8601 repeating intervals and cron expressions, in the
//! time of a zone. Whether a due job runs is the engine's affair.
