"""The built-in frontends of traceir, one folder or file per format."""

FRONTENDS = {
    "ascend": (
        "traceir_frontends.ascend:Ascend",
        "Huawei Ascend profiles (torch_npu, msprof): timeline, database or result folder.",
    ),
    "chrome": ("traceir_frontends.chrome:Chrome", "Chrome traces of other programs (trace events in JSON)."),
    "collapsed": ("traceir_frontends.collapsed:Collapsed", "Collapsed stacks (py-spy raw, flame graphs)."),
    "ftrace": ("traceir_frontends.ftrace:Ftrace", "Linux ftrace text (trace, trace_pipe, trace-cmd report)."),
    "kineto": ("traceir_frontends.kineto:Kineto", "PyTorch profiler traces (Kineto Chrome JSON)."),
    "ncu": ("traceir_frontends.ncu:Ncu", "Nsight Compute reports, as CSV (pages details and raw)."),
    "nsys": ("traceir_frontends.nsys:Nsys", "Nsight Systems reports (SQLite exports; .nsys-rep through nsys)."),
    "nvprof": ("traceir_frontends.nvprof:Nvprof", "Databases of nvprof and the Visual Profiler (legacy)."),
    "perf": ("traceir_frontends.perf:Perf", "Linux perf samples (the text of perf script)."),
    "speedscope": ("traceir_frontends.speedscope:Speedscope", "Speedscope profiles (py-spy and other samplers)."),
    "tir": ("traceir_frontends.tir:Tir", "traceir's own text form, plain or gzip."),
    "tirb": ("traceir_frontends.tirb:Tirb", "traceir's own binary form."),
}
