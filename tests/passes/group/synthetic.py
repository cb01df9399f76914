"""Small made-up traces with known layers: device work only, roles given, built without any frontend."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np

import traceir as tir
from traceir_passes.group.tokens import ROLES


@attrs.define
class Tape:
    """Device work in order: a letter per kernel, and the layer that it truly belongs to (-1 none)."""

    letters: list[str] = attrs.field(factory=list)
    names: list[str] = attrs.field(factory=list)
    lanes: list[int] = attrs.field(factory=list)
    truth: list[int] = attrs.field(factory=list)
    launch: list[int] = attrs.field(factory=list)

    def add(self, letters: str, layer: int = -1, *, tag: str = "", lane: int = 0, launch: int = -1) -> None:
        """Append kernels; their names are their role and `tag`. `launch` numbers a shared launch call."""
        for letter in letters:
            kernel = ROLES[letter].replace("-", "_") + ("_bwd" if tag.startswith("bwd") else "")
            self.letters.append(letter)
            self.names.append(f"{kernel}_{tag}" if tag else kernel)
            self.lanes.append(lane)
            self.truth.append(layer)
            self.launch.append(launch)

    def layers(self, bodies: Sequence[str], first: int = 0, **how: str | int) -> None:
        """Append one layer per body."""
        for k, body in enumerate(bodies):
            self.add(body, first + k, **how)  # type: ignore[arg-type]

    def kept(self, keep: Sequence[bool]) -> Tape:
        """The tape without some of its kernels."""
        out = Tape()
        for field in ("letters", "names", "lanes", "truth", "launch"):
            setattr(out, field, [value for value, ok in zip(getattr(self, field), keep, strict=True) if ok])
        return out

    def module(self, ranges: Sequence[tuple[str, int, int]] = ()) -> tir.Module:
        """The module, roles written. `ranges` are host ranges (text, first, last launch number).

        A launch with a number above 999 is a graph launch.
        """
        n = len(self.letters)
        calls = sorted({number for number in self.launch if number >= 0})
        position = {number: n + k for k, number in enumerate(calls)}
        size = n + len(calls) + len(ranges)
        ts = np.zeros(size, np.int64)
        dur = np.full(size, 900, np.int64)
        ts[:n] = 10**9 + 1000 * np.arange(n)
        kinds = ["dev.kernel", "dev.memcpy", "dev.memset", "rt.launch", "rt.graph_launch", "host.range"]
        kind = np.zeros(size, np.int64)
        kind[:n] = [{"1": 1, "0": 2}.get(letter, 0) for letter in self.letters]
        texts = list(self.names)
        for k, number in enumerate(calls):
            ts[n + k], dur[n + k] = 1000 * number, 500
            kind[n + k] = 4 if number > 999 else 3
            texts.append("launch")
        for k, (text, first, last) in enumerate(ranges):
            at = n + len(calls) + k
            ts[at], dur[at], kind[at] = 1000 * first - 100, 1000 * (last - first) + 900, 5
            texts.append(text)
        streams = range(max(self.lanes, default=0) + 1)
        lanes = [tir.Lane(f"gpu0.s{k}", "dev.stream", device=0, stream=k) for k in streams]
        lanes.append(tir.Lane("cpu.main", "host.thread", pid=1, tid=1))
        strings, codes = tir.Strings().encode(texts)
        linked = [k for k in range(n) if self.launch[k] >= 0]
        source = np.array([position[self.launch[k]] for k in linked], np.int64)
        module = tir.ModuleBuilder(
            name="made up",
            strings=strings,
            lanes=lanes,
            kinds=kinds,
            id=np.arange(size),
            kind=kind,
            name_code=codes,
            ts=ts,
            dur=dur,
            lane=np.array([*self.lanes, *[len(lanes) - 1] * (size - n)]),
            edges=[("launch", source, np.array(linked, np.int64))],
        ).build()
        roles = [ROLES[self.letters[i]] if i < n else None for i in module["id"].tolist()]
        return module.with_texts("infer.role", roles)


def grouped(module: tir.Module, **options: object) -> tir.Module:
    """The module after the group pass, with what it wrote declared as the manager would."""
    from traceir_passes.group import Group

    item = Group(**options)  # type: ignore[arg-type]
    result = item.run(module, tir.PassContext())
    assert item.check(result) == []
    return tir.PassManager((item,), insert=False).run(_declared(module))


def _declared(module: tir.Module) -> tir.Module:
    """The module with `infer.role` stamped as if its pass had run."""
    from traceir.ir import Written

    written = Written(tir.Annotation("infer.role", dtype="str"), None)
    return attrs.evolve(module, annotations={**module.annotations, "infer.role": written})


def found(module: tir.Module) -> list[list[list[int]]]:
    """The layers of a grouped module as ids: a list per stack, a list per layer."""
    tree = module.tree("layers")
    return [
        [module["id"][tree.events(int(layer))].tolist() for layer in tree.children(int(stack))]
        for stack in tree.of_kind("stack")
    ]


def truth(tape: Tape, lane: int | None = None) -> list[list[int]]:
    """The true layers of a tape as ids, in order of first appearance."""
    layers: dict[int, list[int]] = {}
    for k, layer in enumerate(tape.truth):
        if layer >= 0 and (lane is None or tape.lanes[k] == lane):
            layers.setdefault(layer, []).append(k)
    return list(layers.values())
