"""The built-in frontends of traceir, one folder or file per format, each with where to glance whether it is likely."""

_GLANCE = "traceir_frontends.glance"

FRONTENDS = {
    "ascend": (
        "traceir_frontends.ascend:Ascend",
        "Huawei Ascend profiles (torch_npu, msprof): timeline, database or result folder.",
        f"{_GLANCE}:ascend",
    ),
    "chrome": (
        "traceir_frontends.chrome:Chrome",
        "Chrome traces of other programs (trace events in JSON).",
        f"{_GLANCE}:is_json",
    ),
    "collapsed": (
        "traceir_frontends.collapsed:Collapsed",
        "Collapsed stacks (py-spy raw, flame graphs).",
        f"{_GLANCE}:collapsed",
    ),
    "ftrace": (
        "traceir_frontends.ftrace:Ftrace",
        "Linux ftrace text (trace, trace_pipe, trace-cmd report).",
        f"{_GLANCE}:ftrace",
    ),
    "kineto": (
        "traceir_frontends.kineto:Kineto",
        "PyTorch profiler traces (Kineto Chrome JSON).",
        f"{_GLANCE}:is_json",
    ),
    "ncu": (
        "traceir_frontends.ncu:Ncu",
        "Nsight Compute reports, as CSV (pages details and raw).",
        f"{_GLANCE}:ncu",
    ),
    "nsys": (
        "traceir_frontends.nsys:Nsys",
        "Nsight Systems reports (SQLite exports; .nsys-rep through nsys).",
        f"{_GLANCE}:nsys",
    ),
    "nvprof": (
        "traceir_frontends.nvprof:Nvprof",
        "Databases of nvprof and the Visual Profiler (legacy).",
        f"{_GLANCE}:nvprof",
    ),
    "others": (
        "traceir_frontends.others:Others",
        "Formats that are not read, each refused by its name.",
    ),
    "perf": (
        "traceir_frontends.perf:Perf",
        "Linux perf samples (the text of perf script).",
        f"{_GLANCE}:perf",
    ),
    "speedscope": (
        "traceir_frontends.speedscope:Speedscope",
        "Speedscope profiles (py-spy and other samplers).",
        f"{_GLANCE}:speedscope",
    ),
    "tir": (
        "traceir_frontends.tir:Tir",
        "traceir's own text form, plain or gzip.",
        f"{_GLANCE}:tir",
    ),
    "tirb": (
        "traceir_frontends.tirb:Tirb",
        "traceir's own binary form.",
        f"{_GLANCE}:tirb",
    ),
}
