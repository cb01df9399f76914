"""The built-in passes of traceir, one word each."""

PASSES = {
    "capture": ("traceir_passes.capture:Capture", "Join what the host did while a graph was recorded to its replays."),
    "collectives": ("traceir_passes.collectives:Collectives", "Find collective operations and what they move."),
    "critical-path": (
        "traceir_passes.critical_path:CriticalPath",
        "Find the chain of host code, launches, device work and waits that makes the span as long as it is.",
    ),
    "dead-gaps": (
        "traceir_passes.dead_gaps:DeadGaps",
        "Close up the idle time that is proved dead on every device.",
    ),
    "fold": ("traceir_passes.fold:Fold", "Fold like steps and layers into one template each, with statistics per op."),
    "gaps": ("traceir_passes.gaps:Gaps", "Give every idle stretch of a device a cause."),
    "group": ("traceir_passes.group:Group", "Find steps, layers and blocks, and label every op by its place in them."),
    "infer": ("traceir_passes.infer:Infer", "Tell the role of every event on a device from its name and its launch."),
    "inline": (
        "traceir_passes.inline:Inline",
        "Write at every event what its template says: the flat list again, and nothing lost.",
    ),
    "metrics": (
        "traceir_passes.metrics:Metrics",
        "Join a kernel profiler's metrics to the timeline: how busy each kernel kept the device, and what bounds it.",
    ),
    "microbatch": (
        "traceir_passes.microbatch:Microbatch",
        "Find micro-batches that take turns in a step, how far they are apart, and who hides whose communication.",
    ),
    "overlap": ("traceir_passes.overlap:Overlap", "Split communication time into hidden and exposed."),
    "restore": ("traceir_passes.restore:Restore", "Put the times back that the source recorded."),
    "sync": (
        "traceir_passes.sync:Sync",
        "Find what waits for the device: for which work, at what cost, by whom, and whether in vain.",
    ),
    "what-if": (
        "traceir_passes.what_if:WhatIf",
        "Predict the span after an edit by replaying the event graph, with bounds.",
    ),
}

PIPELINES = {
    "comm": ("collectives,overlap", "Communication only: what moves, and what of it is not hidden."),
    "default": ("group,overlap,gaps", "Steps and layers, communication that is not hidden, and why devices idle."),
    "inference": ("group,overlap,gaps", "For serving: steps and layers, communication, idle time."),
    "training": ("group,overlap,gaps", "For training: steps and layers, communication, idle time."),
}
