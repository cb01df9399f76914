"""Writing: trees, labels and region columns from stacks and steps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import attrs
import numpy as np

import traceir as tir
from traceir.ir import Array, Mask
from traceir_passes.group.attach import ended_before
from traceir_passes.group.labels import label_layer, label_outside
from traceir_passes.group.stack import DIRECTIONS, EVIDENCE, Stack
from traceir_passes.group.steps import PHASES, Step
from traceir_passes.group.tokens import ROLES, LaneWork


@attrs.define(eq=False)
class _Regions:
    """The region table of the layers tree while it is built."""

    regions: list[tir.Region] = attrs.field(factory=list)
    variant: dict[int, str] = attrs.field(factory=dict)
    stack_at: list[int] = attrs.field(factory=list)
    template: list[str] = attrs.field(factory=list)
    per_layer: list[int] = attrs.field(factory=list)

    def add(self, kind: str, name: str, index: int, parent: int) -> int:
        """Append a region; its position."""
        self.regions.append(tir.Region(kind, name, index, parent))
        return len(self.regions) - 1


def write_layers(module: tir.Module, tokens: Array, stacks: list[Stack], labels: Array, names: list[str]) -> tir.Module:
    """The module with the tree `layers`, its region columns, and `labels` (codes of `names`) filled in for layers."""
    leaf = np.full(len(module), -1, np.int32)
    build = _Regions()
    known: dict[tuple[bytes, str], tuple[list[str], list[str]]] = {}
    codes = {name: code for code, name in enumerate(names)}
    named: dict[tuple[str, bytes], str] = {}
    kernel = module.is_kind("dev.kernel")
    for number, stack in enumerate(stacks):
        at = build.add("stack", f"stack.{number}", number, -1)
        build.stack_at.append(at)
        prefix = "" if len(stacks) == 1 else f"stack.{number}."
        order = np.lexsort((stack.rows, stack.layer))
        rows, layer = stack.rows[order], stack.layer[order]
        bounds = np.searchsorted(layer, np.arange(stack.layers + 1)).tolist()
        own = module["lane"][rows] == stack.lane
        bodies: Counter[bytes] = Counter()
        sizes: dict[bytes, Counter[int]] = {}
        for k in range(stack.layers):
            mine = rows[bounds[k] : bounds[k + 1]]
            main = own[bounds[k] : bounds[k + 1]]
            body = tokens[mine[main]].tobytes()
            key = (body, stack.direction)
            if key not in known:
                known[key] = label_layer(body, backward=stack.direction == "backward")
            texts, blocks = known[key]
            bodies[body] += 1
            sizes.setdefault(body, Counter())[int(kernel[mine].sum())] += 1
            top = build.add("layer", f"{prefix}layer.{k}", k, at)
            build.variant[top] = _kind(stack, body, blocks)
            places = {
                block: build.add("block", f"{prefix}layer.{k}.{block}", i, top)
                for i, block in enumerate(dict.fromkeys(blocks))
            }
            for text in texts:
                codes.setdefault(text, len(codes))
            labels[mine[main]] = [codes[text] for text in texts]
            leaf[mine[main]] = [places[block] for block in blocks]
            if not main.all():
                _beside(module, tokens, mine, main, leaf, labels, codes)
        common = max(bodies, key=lambda body: bodies[body]) if bodies else b""
        build.per_layer.append(sizes[common].most_common(1)[0][0] if bodies else 0)
        build.template.append(_named(stack, common, known, named))
    names[:] = list(codes)
    return _columns(module.with_tree("layers", build.regions, leaf), stacks, build)


def _beside(
    module: tir.Module, tokens: Array, mine: Array, main: Mask, leaf: Array, labels: Array, codes: dict[str, int]
) -> None:
    """Place a layer's work on other lanes: in the block that its own lane was in, labelled by what it is.

    A reduction goes to the block that produced its input.
    """
    others = mine[~main]
    owned = mine[main]
    near = np.maximum(np.searchsorted(owned, others, side="right") - 1, 0)
    reduces = np.isin(tokens[others], np.frombuffer(b"RX", np.uint8))
    producer = ended_before(module, owned, module["ts"][others])
    near = np.where(reduces & (producer >= 0), producer, near)
    leaf[others] = leaf[owned[near]] if len(owned) else -1
    for row in others.tolist():  # a small subset: what runs beside the main lane
        letter = chr(int(tokens[row]))
        text = ROLES.get(letter, "unknown").replace("-", "_")
        labels[row] = codes.setdefault(text if letter not in "g." else "misc", len(codes))


def _kind(stack: Stack, body: bytes, blocks: list[str]) -> str:
    """A word for a layer's body: its attention and its feed-forward part."""
    attention = "attention" if b"A" in body or b"L" not in body else "linear_attention"
    if stack.direction == "backward":
        return f"{attention}_backward"
    feed = next((block for block in ("moe", "mlp") if block in blocks), "")
    return f"{attention}+{feed}" if feed else attention


def _named(
    stack: Stack,
    body: bytes,
    known: dict[tuple[bytes, str], tuple[list[str], list[str]]],
    named: dict[tuple[str, bytes], str],
) -> str:
    """The name of a template: the program's name for it or a word for its body, numbered where bodies differ."""
    base = stack.title or _kind(stack, body, known[(body, stack.direction)][1])
    if (base, body) not in named:
        same = sum(1 for name, _ in named if name == base)
        named[(base, body)] = base if not same else f"{base}.{same + 1}"
    return named[(base, body)]


def _columns(module: tir.Module, stacks: list[Stack], build: _Regions) -> tir.Module:
    """The region columns of the layers tree."""
    count = len(build.regions)
    at = np.array(build.stack_at, np.int64)

    def on_stacks(values: Sequence[float], null: float, dtype: type[np.generic]) -> Array:
        column: Array = np.full(count, null, dtype)
        column[at] = values
        return column

    domain = "region:layers"
    module = module.with_columns(
        {
            "group.evidence": on_stacks([EVIDENCE.index(s.evidence) for s in stacks], -1, np.int16),
            "group.confidence": on_stacks([s.confidence for s in stacks], np.nan, np.float64),
            "group.partial": on_stacks([s.partial for s in stacks], False, np.bool_),
            "group.guessed": on_stacks([s.guessed for s in stacks], False, np.bool_),
            "group.step": on_stacks([s.step for s in stacks], -1, np.int32),
            "group.lane": on_stacks([s.lane for s in stacks], -1, np.int32),
            "group.direction": on_stacks([DIRECTIONS.index(s.direction) for s in stacks], -1, np.int16),
            "group.kernels_per_layer": on_stacks(list(build.per_layer), tir.NULL_I64, np.int64),
        },
        domain,
    )
    texts: dict[str, list[str | None]] = {name: [None] * count for name in ("template", "checks", "variant")}
    for number, region in enumerate(build.stack_at):
        texts["template"][region] = build.template[number]
        texts["checks"][region] = _checks(stacks[number]) or None
    for region, variant in build.variant.items():
        texts["variant"][region] = variant
    for name, values in texts.items():
        module = module.with_texts(f"group.{name}", values, domain)
    return module


def _checks(stack: Stack) -> str:
    return ", ".join(name if holds else f"no {name}" for name, holds in sorted(stack.checks.items()))


def write_steps(module: tir.Module, steps: list[Step], member: Array) -> tir.Module:
    """The module with the tree `steps`, what each step does, and its mark."""
    regions = [tir.Region("step", f"step.{k}", k) for k in range(len(steps))]
    module = module.with_tree("steps", regions, member.astype(np.int32))
    module = module.with_columns(
        {
            "group.phase": np.array([PHASES.index(s.phase) if s.phase else -1 for s in steps], np.int16),
            "group.mark": np.array([s.mark for s in steps], np.int32),
        },
        "region:steps",
    )
    return module.with_texts("group.mark_text", [s.label for s in steps], "region:steps")


def label_edges(works: list[LaneWork], stacks: list[Stack], step: Array, labels: Array, names: list[str]) -> None:
    """Labels of what precedes a step's first layer and follows its last, on the lanes that have layers.

    Work between two stacks of one lane that lie in different steps, or are parted by a separator, follows the one
    and precedes the other: it is split at the first embedding.
    """
    codes = {name: code for code, name in enumerate(names)}
    for work in works:
        mine = [stack for stack in stacks if stack.lane == work.lane]
        if not mine:
            continue
        spans = [
            (int(np.searchsorted(work.rows, s.rows[0])), int(np.searchsorted(work.rows, s.rows[-1])) + 1, s.direction)
            for s in mine
        ]
        edges = [(0, "none"), *((stop, way) for _, stop, way in spans)]
        for (start, way), (stop, ahead) in zip(
            edges, [*((a, w) for a, _, w in spans), (len(work), "none")], strict=True
        ):
            if start < stop:
                _label_between(work, start, stop, way == "forward", ahead == "forward", step, labels, codes)
    names[:] = list(codes)


def _label_between(
    work: LaneWork, start: int, stop: int, after: bool, before: bool, step: Array, labels: Array, codes: dict[str, int]
) -> None:
    """Label one stretch outside layers: the tail of a forward pass, the head of the next, or both."""
    middle = _turn(work, start, stop, step) if after and before else stop if after else start
    parts = [(start, middle, False)] if after else []
    parts += [(middle, stop, True)] if before else []
    for a, b, is_before in parts:
        for row, text in zip(work.rows[a:b].tolist(), label_outside(work.text[a:b], before=is_before), strict=True):
            if text is not None:
                labels[row] = codes.setdefault(text, len(codes))


def _turn(work: LaneWork, start: int, stop: int, step: Array) -> int:
    """Where, between two forward stacks, the tail of one pass ends and the head of the next begins."""
    mine = step[work.rows[start:stop]]
    changes = np.flatnonzero(mine != mine[-1])
    if len(changes):
        return start + int(changes[-1]) + 1
    text = work.text[start:stop]
    embed = text.rfind(b"E")
    if embed < 0:
        return start + text.rfind(b"Z") + 1 if b"Z" in text else stop
    earlier = max(text.rfind(b"g", 0, embed), text.rfind(b"Z", 0, embed))
    return start + text.find(b"E", earlier + 1)
