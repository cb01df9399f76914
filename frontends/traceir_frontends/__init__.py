"""The built-in frontends of traceir, one folder or file per format."""

FRONTENDS = {
    "collapsed": ("traceir_frontends.collapsed:Collapsed", "Collapsed stacks (py-spy raw, flame graphs)."),
    "kineto": ("traceir_frontends.kineto:Kineto", "PyTorch profiler traces (Kineto Chrome JSON)."),
    "ncu": ("traceir_frontends.ncu:Ncu", "Nsight Compute reports, as CSV (pages details and raw)."),
    "speedscope": ("traceir_frontends.speedscope:Speedscope", "Speedscope profiles (py-spy and other samplers)."),
    "tir": ("traceir_frontends.tir:Tir", "traceir's own text form, plain or gzip."),
}
