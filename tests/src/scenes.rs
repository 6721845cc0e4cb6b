//! The recorded scenes that are played again, and what they show otherwise.

/// What a scene shows otherwise here, and why that is right. What "is chance"
/// need not be otherwise every time.
pub type Difference = (&'static str, &'static str);

/// Scenes of the allocator.
pub const ALLOCATION: &[(&str, &[Difference])] = &[
    ("alloc-decline-0-2-frameworks-1-agent", &[]),
    ("alloc-decline-0-3-frameworks-3-agents", &[]),
    ("alloc-decline-1-2-frameworks-1-agent", &[]),
    ("alloc-decline-default-2-frameworks-1-agent", &[]),
    ("alloc-decline-default-3-frameworks-3-agents", &[]),
    ("alloc-hold-2-frameworks-1-agent", &[]),
    ("alloc-hold-2-frameworks-3-agents", &[]),
    ("alloc-hold-3-frameworks-3-agents", &[]),
    ("alloc-offer-constraints", &[]),
    ("alloc-offer-filters", &[]),
    ("alloc-offer-timeout", &[]),
    ("alloc-quota", &[]),
    ("alloc-shares-2-roles", &[]),
    (
        "alloc-suppress-revive",
        &[
            (
                "multi: was offered",
                "whether the last agent was declined in role a or b is chance",
            ),
            (
                "born-suppressed: was offered",
                "whether the last agent was declined in role a or b is chance",
            ),
        ],
    ),
    ("alloc-update-framework", &[]),
    ("alloc-weights-3-roles", &[]),
];

/// Scenes of checks, health checks, time limits and kills.
pub const CHECKS: &[(&str, &[Difference])] = &[
    ("check-completion-time", &[]),
    (
        "check-health",
        &[(
            "flaps",
            "how its times fall between those of the checks is chance",
        )],
    ),
    ("check-health-pod", &[]),
    ("check-http-tcp-pod", &[]),
    ("check-kill-policy", &[]),
    (
        "check-http-tcp",
        &[(
            "http-and-health was",
            "which of two probes answers first is chance",
        )],
    ),
    ("check-invalid", &[]),
    ("check-kill-policy-http-executor", &[]),
];

/// Scenes of what fails.
pub const FAULTS: &[(&str, &[Difference])] = &[
    ("fault-agent-gone", &[]),
    ("fault-agent-gone-running", &[]),
    ("fault-agent-killed", &[]),
    ("fault-agent-killed-executors-too", &[]),
    ("fault-agent-replaced", &[]),
    (
        "fault-agent-restart-kill",
        &[
            (
                "FAILURE pod",
                "whether the group ends before the record does is chance",
            ),
            (
                "pod-b was",
                "whether the group ends before the record does is chance",
            ),
        ],
    ),
    (
        "fault-agent-restart-term",
        &[
            (
                "FAILURE pod",
                "whether the group ends before the record does is chance",
            ),
            (
                "pod-b was",
                "whether the group ends before the record does is chance",
            ),
            (
                "13.8s the agent lists its tasks",
                "here an agent has recovered as soon as it has started, so that it gives up a \
                 silent executor two seconds after that, before it was first asked",
            ),
        ],
    ),
    ("fault-agent-restart-volatile", &[]),
    ("fault-agent-shutdown", &[]),
    ("fault-disconnect-timeout-0", &[]),
    ("fault-disconnect-timeout-5", &[]),
    (
        "fault-finished-meanwhile",
        &[(
            "UPDATE fails TASK_RUNNING",
            "whether it was acknowledged before the agent was killed is chance",
        )],
    ),
    (
        "fault-finished-meanwhile-http-executor",
        &[(
            "UPDATE fails TASK_RUNNING",
            "whether it was acknowledged before the agent was killed is chance",
        )],
    ),
    (
        "fault-framework-too-late",
        &[(
            "brief-again: ",
            "whether the first subscription still acknowledged it is chance",
        )],
    ),
    ("fault-master-restart", &[]),
    (
        "fault-master-restart-default-ping",
        &[
            (
                "UPDATE task-patient TASK_RUNNING -",
                "whether it was acknowledged before the master was killed is chance",
            ),
            (
                "task-patient was",
                "whether it was acknowledged before the master was killed is chance",
            ),
        ],
    ),
    ("fault-updates-unacknowledged", &[]),
];

/// All scenes that are played.
pub fn names() -> impl Iterator<Item = &'static str> {
    let all = [ALLOCATION, CHECKS, FAULTS].into_iter().flatten();
    all.map(|(name, _)| *name)
}
