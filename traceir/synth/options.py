"""What a synthetic decoder trace looks like: one frozen class whose fields are the options."""

# ruff: noqa: RUF009 - `_field` is attrs.field with its help sentence
from __future__ import annotations

from typing import Any, Literal

import attrs

Mlp = Literal["dense", "moe", "alternating"]
Launch = Literal["eager", "graph", "mixed"]
Vendor = Literal["nvidia", "amd"]
AllReduce = Literal["nccl", "custom", "multimem"]
Marks = Literal["profiler", "serving", "none"]
Stall = Literal["host", "blocking"]


def _field(default: Any, help: str) -> Any:
    return attrs.field(default=default, metadata={"help": help})


@attrs.frozen(kw_only=True)
class Decoder:
    """A decoder-only language model as one rank's profiler saw it; every field is also a flag of the command line.

    Times are integer ns. Raises ValueError for values that no trace could have.
    """

    layers: int = _field(36, "decoder layers of the model")
    steps: int = _field(4, "engine steps in the trace")
    mlp: Mlp = _field("dense", "kind of the second block: dense, moe, or alternating (odd layers are moe)")
    qk_norm: bool = _field(True, "normalise queries and keys before rope, in two further kernels")
    vendor: Vendor = _field("nvidia", "whose runtime calls, kernel names and argument sets are written")
    launch: Launch = _field("mixed", "eager, graph (every step is one replay), or mixed (prefill eager, decode graph)")
    prefill_every: int = _field(0, "every n-th step, from the first, is a prefill step; 0 means decode steps only")
    prefill_scale: int = _field(12, "how many times longer the kernels of a prefill step take than those of decode")
    tensor_parallel: int = _field(1, "ranks of the tensor-parallel group; above 1 there are 2 all-reduces a layer")
    all_reduce: AllReduce = _field("nccl", "library of the all-reduces: nccl (rccl on amd), custom, or multimem")
    comm_stream: bool = _field(False, "communication on a stream of its own, joined by event waits")
    overlap: float = _field(0.0, "share of a layer's all-reduce time that compute is meant to hide (needs comm_stream)")
    modules: bool = _field(True, "nn.Module frames on the host")
    stack: bool = _field(True, "python frames on the host (without them modules are not seen either)")
    frames: int = _field(6, "small python frames beside each op; they set the density of host rows")
    shapes: bool = _field(True, "input dims, types and strides in the args of host ops")
    memory: bool = _field(False, "[memory] rows of the allocator")
    sync_rows: bool = _field(False, "cuda_sync rows for stream waits and stream synchronisations")
    graph_ids: bool = _field(False, "graph id and graph node id in the args of replayed kernels, as newer profilers do")
    marks: Marks = _field("profiler", "step marks: ProfilerStep#N, serving annotations, or none")
    orphan_layers: int = _field(0, "layers of an earlier forward pass that were launched before the window")
    stall: Stall | None = _field(None, "what stops the host in the middle of every `stall_every`-th step")
    stall_every: int = _field(2, "distance in steps between stalled steps")
    stall_ns: int = _field(3_000_000, "length of a stall in ns")
    sync: bool = _field(True, "the host waits for the sampled tokens at the end of each step")
    host_gap_ns: int = _field(180_000, "host time between steps in ns, in which nothing is launched")
    jitter: float = _field(0.03, "relative spread of all host and device times")
    seed: int = _field(0, "seed of the jitter; equal options and seed give equal bytes")
    rank: int = _field(0, "rank that the trace belongs to")
    device: int = _field(0, "device number of that rank")

    def __attrs_post_init__(self) -> None:
        """Refuse combinations that mean nothing."""
        for name in ("layers", "steps", "prefill_scale", "tensor_parallel", "stall_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"The option {name} has to be at least 1, not {getattr(self, name)}.")
        for name in ("prefill_every", "frames", "orphan_layers", "host_gap_ns", "rank", "device", "stall_ns"):
            if getattr(self, name) < 0:
                raise ValueError(f"The option {name} cannot be negative ({getattr(self, name)}).")
        if not 0 <= self.overlap <= 1:
            raise ValueError(f"The option overlap is a share between 0 and 1, not {self.overlap}.")
        if not 0 <= self.jitter < 0.5:
            raise ValueError(f"The option jitter is a share from 0 to below 0.5, not {self.jitter}.")
        if self.overlap and not (self.comm_stream and self.tensor_parallel > 1):
            raise ValueError("The option overlap needs comm_stream and tensor_parallel above 1.")
        if self.orphan_layers > self.layers:
            raise ValueError(f"There cannot be {self.orphan_layers} orphan layers of a model of {self.layers} layers.")

    def is_prefill(self, step: int) -> bool:
        """Whether this step computes a prompt."""
        return self.prefill_every > 0 and step % self.prefill_every == 0

    def is_replay(self, step: int) -> bool:
        """Whether the model's kernels of this step come from one graph launch."""
        return self.launch == "graph" or (self.launch == "mixed" and not self.is_prefill(step))

    def is_stalled(self, step: int) -> bool:
        """Whether the host is stopped in the middle of this step."""
        return self.stall is not None and step % self.stall_every == self.stall_every - 1

    def is_moe(self, layer: int) -> bool:
        """Whether the second block of this layer is a mixture of experts."""
        return self.mlp == "moe" or (self.mlp == "alternating" and layer % 2 == 1)
