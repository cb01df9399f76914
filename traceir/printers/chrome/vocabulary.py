"""The public vocabulary: names, keys and values that may stay in a redacted trace, because everybody's has them."""

from __future__ import annotations

import re
from typing import Final

from traceir.printers.chrome.names import is_api, is_backward

CATEGORIES: Final = frozenset({
    "cpu_op", "operator", "python_function", "user_annotation", "overhead", "cuda_runtime", "cuda_driver", "runtime",
    "driver", "mtia_runtime", "glow_runtime", "xpu_runtime", "xpu_driver", "hpu_op", "privateuse1_runtime",
    "privateuse1_driver", "kernel", "gpu_memcpy", "memcpy", "gpu_memset", "memset", "gpu_user_annotation",
    "cuda_profiler_range", "xpu_scope_profiler", "mtia_insight", "mtia_ccp_events", "cuda_sync", "xpu_sync",
    "cuda_event", "trace", "cpu_instant_event", "ac2g", "async_cpu_to_gpu", "fwdbwd", "forward_backward",
})  # fmt: skip
"""Categories of the profiler, in lower case."""


def made_of(words: str, *forms: str) -> str:
    """The expression for any number of some words and forms in a row, at least one.

    Possessive, with longer words before those that begin like them: what was read is never read in another way, so a
    text is decided in O(n). No form may begin like a word that is not a part of it.
    """
    longest = sorted(map(re.escape, words.split()), key=len, reverse=True)
    return f"(?:{'|'.join((*longest, *forms))})++"


_NCCL: Final = (
    r"n?r?ccl(?:Dev)?Kernel_"
    + made_of(
        "All Reduce Scatter Gather Broadcast Send Recv To Generic Sum Prod Min Max Avg Pre Mul Post Div RING TREE LL "
        "SIMPLE NVLS COLLNET CHAIN DIRECT PAT bf16 f16 f32 f64 i8 i32 i64 u8 u32 u64 half float double int8 int32 "
        "int64 uint8 int8_t uint8_t __nv_bfloat16 _",
        r"\d",
    )
    + r"(?:\((?:"
    + made_of("ncclDevComm ncclDevKernelArgsStorage ncclWork ncclWorkElem unsigned long 4096ul", "[<>*, ]")
    + r")?+\))?+"
)
_DEVICE: Final = (
    rf"Memcpy [DHP]to[DHP] \({made_of('Device Host Pinned Pageable Array Unified Unknown ->', ' ')}\)"
    r"|Memset \((?:Device|Unknown)\)"
    r"|(?:Event|Stream|Context|Device)(?: Wait)?(?: Event)?(?: Sync(?:hronize)?)?|event_wait|event_record"
)
EVALUATE: Final = "autograd::engine::evaluate_function: "
"""What PyTorch writes before the name of a node that it runs backward."""
_NODES: Final = r"torch::autograd::(?:AccumulateGrad|GraphRoot|CopySlices|CopyBackwards|Error|UndefinedGrad)"
_OPS: Final = (
    r"(?:aten|c10d|_c10d_functional|prim|torch::distributed::reducer)::\w+|record_param_comms"
    rf"|(?:{EVALUATE})?{_NODES}|detach_?|Torch-Compiled Region: \d+/\d+|TorchDynamo Cache Lookup"
)
_APIS: Final = r"Activity Buffer Request|Lazy Function Loading|Instrumentation|INVALID"
_MARKS: Final = (
    r"(?:nccl|rccl|gloo|mpi|ucc|xccl|hccl|c10d):"
    + made_of("all reduce scatter gather to broadcast send recv wait barrier base coalesced tensor into _")
    + r"|Optimizer\.(?:step|zero_grad)#(?:SGD|Adam|AdamW|Adagrad|Adadelta|Adamax|NAdam|RAdam|RMSprop|Rprop|LBFGS|ASGD)"
    r"\.(?:step|zero_grad)"
    r"|ProfilerStep\s*#\s*\d+|execute_"
    + made_of("context generation new sq sk ( ) _", r"\d")
    + r"|step\["
    + made_of("DECODE PREFILL EXTEND MIXED IDLE", r"bs=\d++", r"toks=\d++", "[ ,]")
    + r"\]"
    r"|(?:(?:train|training|global|decode|prefill|engine|model|eval|generation)[ _.]?)?(?:step|iteration|iter|batch)"
    r"[ _#:=.]*\d+"
    r"|\[memory\]|(?:Iteration Start: |Trace )?PyTorch Profiler(?: \(0\))?|Record Window End"
    r"|Spans|Traces|process_name|process_labels|process_sort_index|thread_name|thread_sort_index|"
)
FORMS: Final = {
    dialect: re.compile("|".join(parts), re.ASCII)
    for dialect, parts in {
        "dev": (_NCCL, _DEVICE, _MARKS), "event": (_DEVICE,), "rt": (_APIS,), "host": (_OPS, _MARKS), "": (_MARKS,),
    }.items()
}  # fmt: skip
"""The forms of public names, by the dialect of the event's kind; those of APIs and backward nodes aside."""


def is_public(text: str, kind: str = "") -> bool:
    """Whether a name is one that a runtime, a framework or the profiler itself gives to such a kind of event, whole."""
    dialect = kind.partition(".")[0]
    if FORMS.get(dialect, FORMS[""]).fullmatch(text) is not None:
        return True
    return (dialect == "rt" and is_api(text)) or (dialect == "host" and is_backward(text.removeprefix(EVALUATE)))


PLACES: Final = re.compile(r"(?:GPU|CPU|gpu|cuda|[Ss]tream|[Dd]evice|[Tt]hread)?[ :_]?-?\d+ ?|CPU|")
"""Processes and threads that are no more than a number."""

NUMBERS: Final = frozenset({
    "External id", "correlation", "device", "context", "stream", "queued", "Device Id", "Device Type", "Bytes",
    "Total Allocated", "Total Reserved", "bytes", "memory bandwidth (GB/s)", "grid", "block", "registers per thread",
    "shared memory", "blocks per SM", "warps per SM", "est. achieved occupancy %", "graph id", "graph node id",
    "Sequence number", "Fwd thread id", "Record function id", "Ev Idx", "Python id", "Python parent id",
    "Python module id", "wait_on_stream", "wait_on_cuda_event_record_corr_id", "wait_on_cuda_event_id", "cbid", "cid",
    "In msg nelems", "Out msg nelems", "Group size", "Global rank start", "Global rank stride", "Rank", "Src Rank",
    "Dst Rank", "Seq", "Is asynchronized op", "sort_index", "priority", "Op count",
})  # fmt: skip
"""Arguments that stay if they are numbers, or lists of numbers."""

TEXTS: Final = {
    "dtype": re.compile(
        "(?:c10::)?" + made_of("BFloat Float Double Half Byte Char Short Int Long Bool UInt fn uz _", r"e\dm\d", r"\d"),
        re.ASCII,
    ),
    "Collective name": re.compile(
        made_of(
            "all reduce scatter gather to broadcast oop send recv wait barrier base coalesced into tensor init single "
            "sparse monitored v _"
        ),
        re.IGNORECASE | re.ASCII,
    ),
    "Process Group Name": re.compile(r"\d*"),
    "Process Group Description": re.compile(r"default_pg|undefined|(?:mesh_)?(?:tp|dp|pp|ep|cp|sp|fsdp|ddp)\d*"),
    "Process Group Ranks": re.compile(r"\[[\d,\s.]*\]"),
    "In split size": re.compile(r"\[[\d,\s]*\]"),
    "Out split size": re.compile(r"\[[\d,\s]*\]"),
    "cuda_sync_kind": re.compile(r"(?:Event|Stream|Context|Device)(?: Wait)?(?: Event)?(?: Sync(?:hronize)?)?"),
    "kind": re.compile(r"Dispatch (?:Task|Kernel)|[DHP]to[DHP]|Device|\d+"),
    "labels": PLACES,
}
"""Arguments that stay if their whole text is of a public form."""
PSEUDONYMS: Final = {"Process Group Name": "group", "Process Group Description": "group"}
"""Arguments of which a text that is not public leaves a pseudonym, since analyses compare it."""

VERSIONS: Final = frozenset({
    "schemaVersion", "displayTimeUnit", "baseTimeNanoseconds", "cupti_version", "cuda_runtime_version",
    "cuda_driver_version", "roctracer_version", "hip_runtime_version", "hip_driver_version", "record_shapes",
    "with_stack", "with_flops", "with_modules", "profile_memory",
})  # fmt: skip
"""Top-level members that stay if they are numbers or the word ms or ns."""
DEVICE: Final = frozenset({
    "id", "totalGlobalMem", "computeMajor", "computeMinor", "numSms", "warpSize", "maxThreadsPerBlock",
    "maxThreadsPerMultiprocessor", "regsPerBlock", "regsPerMultiprocessor", "sharedMemPerBlock",
    "sharedMemPerBlockOptin", "sharedMemPerMultiprocessor", "maxSharedMemoryPerMultiProcessor",
})  # fmt: skip
"""Properties of a device that stay, as numbers; its `name`, which is its model, does too."""
_MODEL_WORDS: Final = (
    "NVIDIA|AMD|Intel|Tesla|GeForce|Quadro|Instinct|Radeon|Data|Center|GPU|Max|RTX|GTX|PCIe|SXM|HBM|NVL|Ti|OAM"
    "|Graphics|Ada|Generation"
)
_MODEL_CODES: Final = r"[A-Z]{1,3}\d{1,4}[A-Za-z]{0,2}|\d{1,5}(?:GB)?"
MODEL: Final = re.compile(rf"[ -]*+(?:(?:{_MODEL_WORDS}|{_MODEL_CODES})(?:[ /-]++|\Z))*+", re.ASCII)
"""Words that models of devices have in their names, and codes: up to three capitals, four digits, two letters."""
BACKEND: Final = re.compile(f"(?:{made_of('nccl gloo mpi ucc rccl xccl hccl cpu cuda', '[:,]')})?+")
VERSION: Final = re.compile(r"[\d.]+")

WORDS: Final = frozenset({
    "act", "activation", "after", "agree", "agrees", "all", "and", "annotations", "args", "attention", "attn",
    "autocorrelation", "aux", "backward", "bf16", "block", "bn", "broadcast", "capture", "cast", "collectives",
    "combine", "comm", "communication", "compute", "computing", "conv", "copies", "copy", "cp", "decode", "delay",
    "dense", "derived", "device", "dispatch", "down", "dp", "elementwise", "embed", "ep", "eval", "f16", "f32",
    "false", "fill", "final", "forward", "fp", "free", "fused", "gaps", "gate", "gather", "gemm", "gloo", "gpu",
    "graph", "guessed", "head", "host", "index", "input", "int", "internal", "k", "kernel", "kv", "late", "latency",
    "launch", "layer", "layers", "linear", "ll", "ll128", "lm", "m", "mb", "measured", "mem", "memcpy", "memory",
    "memset", "memsets", "meta", "metadata", "methods", "microbatch", "misc", "mixed", "mlp", "modules", "moe",
    "multimem", "name", "nccl", "no", "none", "norm", "not", "o", "op", "operator", "ops", "optimizer", "other",
    "output", "overlapped", "part", "partial", "pool", "post", "pp", "pre", "prefill", "proj", "q", "qk", "qkv",
    "quant", "queue", "random", "rccl", "recv", "reduce", "ring", "rope", "route", "router", "s", "sample", "says",
    "scan", "scatter", "score", "send", "shared", "simple", "softmax", "sort", "stack", "step", "steps", "store",
    "stream", "structure", "symm", "sync", "to", "tp", "train", "tree", "true", "two", "uint", "unexplained",
    "unknown", "up", "v", "value",
})  # fmt: skip
"""Words of the passes' own labels. Any other word in what they found may come from the input."""
COLUMNS: Final = frozenset({
    "algorithm", "basis", "blame", "busy", "by", "bytes", "call", "checks", "class", "coll", "composite", "confidence",
    "confirmed", "conflict", "cover", "direction", "dtype", "dur", "elements", "end", "entry", "event", "events",
    "evidence", "exact", "exposed", "extra", "fold", "foreign", "form", "group", "guessed", "hidden", "idle", "in",
    "infer", "instance", "instances", "is", "kernels", "kind", "label", "lane", "level", "library", "mark", "median",
    "member", "next", "note", "ns", "of", "out", "overlap", "p10", "p90", "per", "phase", "polling", "present", "prev",
    "protocol", "ranks", "reason", "region", "role", "scope", "sequence", "size", "source", "span", "start", "symbol",
    "template", "text", "time", "total", "tree", "variant", "wait",
})  # fmt: skip
"""Further words of the names of the passes' own columns, which are the keys of what they found."""

ROLES: Final = {
    "gemm": "gemm", "gemm-aux": "splitk_reduce", "moe-gemm": "grouped_gemm", "moe-route": "moe_align",
    "moe-combine": "moe_sum", "attention": "flash_fwd", "attention-aux": "mla_reduce",
    "linear-attention": "fused_recurrent", "norm": "rms_norm", "softmax": "softmax", "rope": "rotary", "act": "silu",
    "quant": "quantize", "kv-store": "store_kv", "conv": "convolution_", "bn": "batch_norm", "embed": "embedding",
    "sample": "sampling", "elementwise": "elementwise", "copy": "copy_kernel", "fill": "FillD", "index": "index",
    "reduce": "DeviceReduce", "pool": "max_pool", "sort": "bitonic", "scan": "DeviceScan", "random": "dropout",
    "delay": "spin_kernel", "optimizer": "FusedAdam", "memcpy": "Memcpy", "memset": "Memset",
    "all-reduce": "cross_device_reduce", "all-gather": "multimem_all_gather",
    "reduce-scatter": "ncclKernel_ReduceScatter", "all-to-all": "all_to_all", "broadcast": "ncclKernel_Broadcast",
    "send-recv": "ncclKernel_SendRecv", "comm-reduce": "ncclKernel_Reduce_", "comm-gather": "ncclKernel_Gather",
    "comm-scatter": "ncclKernel_Scatter", "dispatch": "ep::dispatch", "combine": "ep::combine",
    "comm-meta": "notify_dispatch", "comm-fused": "fused_ar_rms", "comm-unknown": "nccl",
}  # fmt: skip
"""The word with which a kernel's pseudonym begins, by its role: one that is read as that role again."""

KINDS: Final = {
    "dev.kernel": "kernel", "dev.memcpy": "Memcpy", "dev.memset": "Memset", "rt.launch": "launch",
    "rt.graph_launch": "GraphLaunch", "rt.memcpy": "memcpy", "rt.memset": "EnqueueMemFill", "rt.sync": "synchronize",
    "rt.alloc": "USMFree", "rt.call": "call", "host.op": "op", "host.frame": "frame", "host.range": "range",
    "mark.step": "step", "dev.range": "range", "ctr.sample": "counter", "mark.instant": "mark", "host.async": "async",
}  # fmt: skip
"""The same for events of other kinds."""
