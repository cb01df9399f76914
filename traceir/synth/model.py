"""The decoder itself: the order of a step's device work, its modules, and what waits for what."""

from __future__ import annotations

from collections import Counter

import attrs

from traceir.synth.options import Decoder
from traceir.synth.vocabulary import Op, Vocabulary

MAIN, COMM = 0, 1
"""The two streams."""


@attrs.frozen
class Enter:
    """The host enters a module."""

    module: str
    instance: int


@attrs.frozen
class Leave:
    """The host leaves the innermost module."""


@attrs.frozen
class Run:
    """A device operation: its stream, the earlier ones (by number) that it waits for, and its layer (-1: none)."""

    op: Op
    stream: int
    after: tuple[int, ...]
    layer: int


Node = Enter | Leave | Run


@attrs.define
class _Plan:
    options: Decoder
    nodes: list[Node] = attrs.field(factory=list)
    runs: int = 0
    layer: int = -1
    pending: int | None = None
    """Number of the collective whose result has not been waited for."""
    uncovered: int = 0
    """Main-stream ops that may still run before that wait."""
    instances: Counter[str] = attrs.field(factory=Counter)

    def enter(self, module: str) -> None:
        self.nodes.append(Enter(module, self.instances[module]))
        self.instances[module] += 1

    def leave(self) -> None:
        self.nodes.append(Leave())

    def run(self, op: Op) -> None:
        after: tuple[int, ...] = ()
        if self.pending is not None and self.uncovered == 0:
            after, self.pending = (self.pending,), None
        elif self.pending is not None:
            self.uncovered -= 1
        self._add(op, MAIN, after)

    def communicate(self, op: Op, covered: int) -> None:
        """A collective; up to `covered` following ops may run before the main stream waits for it."""
        if not self.options.comm_stream:
            self._add(op, MAIN, ())
            return
        last = next(n for n in range(self.runs - 1, -1, -1) if self._streams[n] == MAIN)
        after = (last,) if self.pending is None else (last, self.pending)
        self._add(op, COMM, after)
        self.pending, self.uncovered = self.runs - 1, covered

    _streams: list[int] = attrs.field(factory=list)

    def _add(self, op: Op, stream: int, after: tuple[int, ...]) -> None:
        self.nodes.append(Run(op, stream, after, self.layer))
        self._streams.append(stream)
        self.runs += 1

    def inside(self, module: str, ops: list[Op]) -> None:
        self.enter(module)
        for op in ops:
            self.run(op)
        self.leave()


def decoder_plan(options: Decoder, tokens: int) -> list[Node]:
    """The model's part of a step: embedding, layers, final norm, head; sampling and copies are the engine's."""
    words = Vocabulary(options, tokens)
    plan = _Plan(options)
    parallel = options.tensor_parallel > 1
    plan.enter("DecoderForCausalLM")
    plan.enter("DecoderModel")
    plan.enter("VocabParallelEmbedding" if parallel else "Embedding")
    plan.run(words.embed())
    if parallel:
        plan.communicate(words.all_reduce(14_000), 0)
    plan.leave()
    for layer in range(options.layers):
        _layer(plan, words, layer)
    plan.layer = -1
    plan.inside("RMSNorm", [words.norm("final_norm", residual=True)])
    plan.leave()
    plan.enter("LogitsProcessor")
    plan.run(words.lm_head())
    if parallel:
        plan.communicate(words.all_gather(), 0)
    plan.leave()
    plan.leave()
    return plan.nodes


def _layer(plan: _Plan, words: Vocabulary, layer: int) -> None:
    plan.layer = layer
    options = plan.options
    last = layer == options.layers - 1
    moe = options.is_moe(layer)
    plan.enter("DecoderLayer")
    plan.inside("RMSNorm", [words.norm("input_norm", residual=layer > 0)])
    attention = words.attention_block()
    plan.enter("Attention")
    for op in attention[:-1]:
        _run_in_module(plan, op)
    plan.enter("RowParallelLinear")
    plan.run(attention[-1])
    second = words.moe_block() if moe else words.mlp_block()
    post = words.norm("post_norm", residual=True)
    _reduce(plan, words, [post, second[0]], 21_000)
    plan.leave()
    plan.leave()
    plan.inside("RMSNorm", [post])
    plan.enter("MoE" if moe else "MLP")
    for op in second[:-1]:
        _run_in_module(plan, op)
    plan.enter("FusedMoE" if moe else "RowParallelLinear")
    plan.run(second[-1])
    _reduce(plan, words, [] if last else [words.norm("input_norm", residual=True), attention[0]], 21_000)
    plan.leave()
    plan.leave()
    plan.leave()


_MODULES = {"qkv_proj": "QKVParallelLinear", "gate_up_proj": "MergedColumnParallelLinear", "qk_norm": "RMSNorm",
            "rope": "RotaryEmbedding", "attention": "AttentionBackend", "activation": "SiluAndMul",
            "router": "ReplicatedLinear"}  # fmt: skip


def _run_in_module(plan: _Plan, op: Op) -> None:
    module = _MODULES.get(op.label)
    if module is None or op.role in ("moe-gemm", "attention-aux"):
        plan.run(op)
    else:
        plan.inside(module, [op])


def _reduce(plan: _Plan, words: Vocabulary, following: list[Op], plain_ns: int) -> None:
    """The all-reduce that ends a block, as long as makes the ops that run beside it cover the wanted share."""
    options = plan.options
    if options.tensor_parallel == 1:
        return
    if not (options.overlap and following):
        plan.communicate(words.all_reduce(plain_ns), 0)
        return
    covered = following[:1] if options.overlap < 0.2 else following
    ns = round(sum(op.ns for op in covered) / min(options.overlap, 0.95))
    plan.communicate(words.all_reduce(ns), len(covered))
