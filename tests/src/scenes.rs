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
    ("fault-disconnect-timeout-0", &[]),
    ("fault-disconnect-timeout-5", &[]),
    (
        "fault-framework-too-late",
        &[(
            "brief-again: ",
            "whether the first subscription still acknowledged it is chance",
        )],
    ),
    ("fault-updates-unacknowledged", &[]),
];

/// All scenes that are played.
pub fn names() -> impl Iterator<Item = &'static str> {
    let all = [ALLOCATION, CHECKS, FAULTS].into_iter().flatten();
    all.map(|(name, _)| *name)
}
