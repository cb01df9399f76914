"""The built-in passes of traceir, one word each."""

PASSES = {
    "capture": ("traceir_passes.capture:Capture", "Join what the host did while a graph was recorded to its replays."),
    "collectives": ("traceir_passes.collectives:Collectives", "Find collective operations and what they move."),
    "fold": ("traceir_passes.fold:Fold", "Fold like steps and layers into one template each, with statistics per op."),
    "gaps": ("traceir_passes.gaps:Gaps", "Give every idle stretch of a device a cause."),
    "group": ("traceir_passes.group:Group", "Find steps, layers and blocks, and label every op by its place in them."),
    "infer": ("traceir_passes.infer:Infer", "Tell the role of every event on a device from its name and its launch."),
    "inline": (
        "traceir_passes.inline:Inline",
        "Write at every event what its template says: the flat list again, and nothing lost.",
    ),
    "microbatch": (
        "traceir_passes.microbatch:Microbatch",
        "Find micro-batches that take turns in a step, how far they are apart, and who hides whose communication.",
    ),
    "overlap": ("traceir_passes.overlap:Overlap", "Split communication time into hidden and exposed."),
}

PIPELINES = {
    "comm": ("collectives,overlap", "Communication only: what moves, and what of it is not hidden."),
    "default": ("group,overlap,gaps", "Steps and layers, communication that is not hidden, and why devices idle."),
    "inference": ("group,overlap,gaps", "For serving: steps and layers, communication, idle time."),
    "training": ("group,overlap,gaps", "For training: steps and layers, communication, idle time."),
}
