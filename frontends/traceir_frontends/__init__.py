"""The built-in frontends of traceir, one folder or file per format."""

FRONTENDS = {
    "kineto": ("traceir_frontends.kineto:Kineto", "PyTorch profiler traces (Kineto Chrome JSON)."),
}
