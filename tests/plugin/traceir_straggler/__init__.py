"""A traceir plug-in: one pass and one frontend, loaded only when they are used."""

TRACEIR_API = "1"
"""The API of traceir that this plug-in was written for; another one leaves the plug-in out and says so."""

PASSES = {
    "straggler": (
        "traceir_straggler.straggler:Straggler",
        "Find kernels that took much longer than most of their name.",
    ),
}
FRONTENDS = {
    "kernel-log": ("traceir_straggler.kernel_log:KernelLog", "Kernel logs: a line of text per kernel."),
}
