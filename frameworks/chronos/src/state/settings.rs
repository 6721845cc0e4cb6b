//! How Chronos was started, as far as its decisions depend on it.

use crate::run::RunId;

/// How Chronos was started, as far as its decisions depend on it. The defaults
/// are those of the flags.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Processors of jobs that name none.
    pub task_cpus: f64,
    /// Memory of jobs that name none, in MiB.
    pub task_mem: f64,
    /// Disk of jobs that name none, in MiB.
    pub task_disk: f64,
    /// The user of jobs that name none.
    pub user: String,
    /// Where resources are taken from.
    pub role: String,
    /// Before a further attempt, where the job does not say.
    pub failure_retry_ms: i64,
    /// After how many failures in a row a job is disabled; 0 for never.
    pub disable_after_failures: u64,
    /// How many tasks of a job are remembered, where it does not say.
    pub history_limit: u32,
    /// How long a task's agent may be out of reach.
    pub unreachable_timeout_ms: i64,
    /// Until it is asked again what became of a task whose agent is out of reach:
    /// nobody tells when the agent is back without it.
    pub reconcile_ms: i64,
    /// Until the end of a task is asked for again.
    pub kill_retry_ms: i64,
    /// How long before a job is due offers are asked for.
    pub offer_lead_ms: i64,
    /// How long offers that nothing uses are kept while some may be needed.
    pub offer_hold_ms: i64,
    /// How long offers that nothing needs are not made again, in seconds.
    pub decline_seconds: f64,
    /// Until offers are asked for again when none come.
    pub revive_interval_ms: i64,
    /// How many missed occurrences of a job wait at a time to be made up for.
    pub catch_up_limit: usize,
    /// What chance is drawn from.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            task_cpus: 0.1,
            task_mem: 128.0,
            task_disk: 256.0,
            user: String::new(),
            role: "*".to_owned(),
            failure_retry_ms: 60_000,
            disable_after_failures: 0,
            history_limit: 5,
            unreachable_timeout_ms: 600_000,
            reconcile_ms: 30_000,
            kill_retry_ms: 30_000,
            offer_lead_ms: 5000,
            offer_hold_ms: 30_000,
            decline_seconds: 5.0,
            revive_interval_ms: 60_000,
            catch_up_limit: 100,
            seed: 0,
        }
    }
}

impl Settings {
    /// How many milliseconds later an occurrence starts that may start up to so
    /// many later: always the same of one job and occurrence.
    #[must_use]
    pub fn jitter_ms(&self, job: &str, index: u64, most_ms: i64) -> i64 {
        let Ok(most) = u64::try_from(most_ms) else {
            return 0;
        };
        let named = job.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let drawn = mixed(named ^ mixed(index)) % (most + 1);
        i64::try_from(drawn).unwrap_or(0)
    }

    /// A seed for what is placed with a run.
    #[must_use]
    pub fn seed_of(&self, run: RunId) -> u64 {
        mixed(self.seed ^ run.0)
    }
}

/// Bits that look like chance (SplitMix64's last steps).
fn mixed(bits: u64) -> u64 {
    let bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
