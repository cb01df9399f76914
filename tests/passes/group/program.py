"""Made-up programs: host frames and ranges, launches inside them, and device work that runs behind, layers known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import attrs

import traceir as tir
from tests.build import Ev, module
from tests.passes.group.synthetic import Tape
from traceir_passes.group import Group
from traceir_passes.group.report import GroupReport, StackReport
from traceir_passes.group.tokens import ROLES

DENSE = "ngpkAgngag"
TP = "ngpkAgRngagR"


@attrs.define
class Program:
    """Writes host frames, launches, and device work that runs `lag` ns or more behind its launch."""

    lag: int = 0
    host: int = 0
    events: list[Ev] = attrs.field(factory=list)
    roles: dict[int, str] = attrs.field(factory=dict)
    truth: dict[int, list[int]] = attrs.field(factory=dict)
    """The ids of each layer."""
    free: dict[str, int] = attrs.field(factory=dict)

    @contextmanager
    def inside(self, name: str, kind: str = "host.frame", thread: str = "cpu.main") -> Iterator[int]:
        """A frame or range around what is written meanwhile; its position."""
        at, start = len(self.events), self.host
        self.events.append(Ev(kind, name, start, 0, thread))
        self.host += 10
        yield at
        self.host += 10
        self.events[at] = Ev(kind, name, start, self.host - start, thread)

    def play(
        self,
        letters: str,
        layer: int = -1,
        *,
        dur: int = 100,
        thread: str = "cpu.main",
        lane: str = "gpu0.s7",
        launched: bool = True,
    ) -> None:
        """Run a kernel (or copy, or memset) for each letter, each launched by a call of its own."""
        for letter in letters:
            call = len(self.events) if launched else None
            if launched:
                self.events.append(Ev("rt.launch", "cudaLaunchKernel", self.host, 2, thread))
            self.host += 5
            self.run(letter, layer, call, dur, lane)

    def replay(self, bodies: Sequence[str], first: int = -1, *, dur: int = 100, lane: str = "gpu0.s7") -> int:
        """Run the bodies by one graph launch; the position of that."""
        call = len(self.events)
        self.events.append(Ev("rt.graph_launch", "cudaGraphLaunch", self.host, 2, "cpu.main"))
        self.host += 5
        for k, body in enumerate(bodies):
            for letter in body:
                self.run(letter, first + k if first >= 0 else -1, call, dur, lane)
        return call

    def run(self, letter: str, layer: int, call: int | None, dur: int, lane: str) -> None:
        """Put one kernel, copy or memset onto a lane, as early as its launch and the lane allow."""
        start = max(self.free.get(lane, 0), self.host + self.lag)
        at = len(self.events)
        self.roles[at] = ROLES[letter]
        if layer >= 0:
            self.truth.setdefault(layer, []).append(at)
        kind = {"1": "dev.memcpy", "0": "dev.memset"}.get(letter, "dev.kernel")
        self.events.append(Ev(kind, ROLES[letter], start, dur, lane, launch=call))
        self.free[lane] = start + dur

    def modules(self, cls: str, bodies: Sequence[str], first: int = 0, **how: Any) -> None:
        """One module instance for each body."""
        for k, body in enumerate(bodies):
            with self.inside(f"nn.Module: {cls}_{k}"):
                self.play(body, first + k, **how)

    def module(self) -> tir.Module:
        """The module, roles written."""
        built = module(self.events)
        return built.with_texts("infer.role", [self.roles.get(id) for id in built["id"].tolist()])

    @property
    def layers(self) -> list[list[int]]:
        """The ids of all layers."""
        return list(self.truth.values())


def report(item: tir.Module) -> GroupReport:
    """What a grouped module says."""
    return Group().report(item)


def shape(item: tir.Module) -> list[tuple[int, str]]:
    """Layers and evidence of each stack."""
    return [(stack.layers, stack.evidence) for stack in report(item).stacks]


def only(item: tir.Module) -> StackReport:
    """The one stack of a module."""
    (stack,) = report(item).stacks
    return stack


def remarks(item: tir.Module, **options: Any) -> list[str]:
    """What the pass remarks on a module."""
    context = tir.PassContext()
    Group(**options).run(item, context)
    return [remark.message for remark in context.remarks]


def once(bodies: Sequence[str], head: str = "iE", tail: str = "ngyZ") -> Tape:
    """One forward pass."""
    tape = Tape()
    tape.add(head)
    tape.layers(bodies)
    tape.add(tail)
    return tape
