"""The built-in frontends of traceir, one folder or file per format."""

FRONTENDS = {
    "kineto": ("traceir_frontends.kineto:Kineto", "PyTorch profiler traces (Kineto Chrome JSON)."),
    "tir": ("traceir_frontends.tir:Tir", "traceir's own text form, plain or gzip."),
}
