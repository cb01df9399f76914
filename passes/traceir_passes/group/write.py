"""Writing: trees, labels and region columns from stacks and steps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import attrs
import numpy as np

import traceir as tir
from traceir.ir import Array, Ints, Rows, expand
from traceir_passes.group.layers import Layers, place_layers, starts_of
from traceir_passes.group.stack import DIRECTIONS, EVIDENCE, Stack
from traceir_passes.group.steps import PHASES, Step

KINDS = ("stack", "layer", "block")


def write_trees(
    module: tir.Module,
    tokens: Array,
    stacks: list[Stack],
    layers: Layers,
    steps: list[Step],
    member: Array,
    labels: Array,
    names: list[str],
) -> tir.Module:
    """The module with the trees `layers` and `steps`, their region columns, and all labels.

    `labels` are codes of `names` for work outside layers; what lies in layers is filled in here.
    """
    table = _Regions.of(stacks, layers)
    leaf = place_layers(module, tokens, layers, table.top, labels, names)
    per_layer, template = _templates(stacks, layers)
    # The pool is grown once, by all texts, since every larger pool indexes its strings anew.
    kinds = [body.kind for body in layers.bodies]
    checks = [_checks(stack) or None for stack in stacks]
    used = KINDS[: int(table.kind.max(initial=-1)) + 1]
    texts = [used, table.names, template, checks, kinds, *_step_texts(steps), names]
    strings, codes = module.strings.encode([text for part in texts for text in part])
    sizes = [len(part) for part in texts]
    kind, name, *on_regions, step_kind, step_name, mark, label = np.split(codes, np.cumsum(sizes)[:-1])
    module = module.with_strings(strings)
    module = module.with_tree(
        "layers", {"parent": table.parent, "kind": kind[table.kind], "name": name, "index": table.index}, leaf
    )
    module = _columns(module, stacks, layers, table, per_layer, on_regions)
    module = _write_steps(module, steps, member, (step_kind, step_name, mark))
    return module.with_columns({"group.label": np.append(label, np.int32(-1))[labels]})


@attrs.frozen(eq=False)
class _Regions:
    """The region table of the layers tree: every stack stands before its layers, every layer before its blocks.

    `at` is the region of each stack and `top` that of each layer; `kind` are positions in `KINDS`.
    """

    at: Ints
    top: Ints
    parent: Rows
    kind: Array
    index: Rows
    names: list[str]

    @classmethod
    def of(cls, stacks: list[Stack], layers: Layers) -> _Regions:
        """The table, by counting: a layer takes one row and one for each block of its body."""
        blocks = np.array([len(body.distinct) for body in layers.bodies], np.int64)[layers.body]
        ends = np.cumsum(1 + blocks)
        top = ends - blocks + layers.stack
        count = len(stacks) + (int(ends[-1]) if len(ends) else 0)
        first = starts_of(layers.stack, len(stacks))[:-1]
        at = np.append(0, ends)[first] + np.arange(len(stacks))
        owner, block = expand(top + 1, blocks)
        parent, index = np.full(count, -1, np.int32), np.empty(count, np.int32)
        kind = np.full(count, KINDS.index("block"), np.int8)
        kind[at], kind[top] = KINDS.index("stack"), KINDS.index("layer")
        parent[top], parent[block] = at[layers.stack], top[owner]
        index[at], index[top], index[block] = np.arange(len(stacks)), layers.number, block - top[owner] - 1
        return cls(at, top, parent, kind, index, _names(stacks, layers))


def _names(stacks: list[Stack], layers: Layers) -> list[str]:
    """The names of all regions in order; those below a stack are spelled once for all stacks of the same bodies."""
    distinct = [body.distinct for body in layers.bodies]
    spelled: dict[bytes, list[str]] = {}
    edges = starts_of(layers.stack, len(stacks)).tolist()
    out = []
    for number in range(len(stacks)):
        bodies = layers.body[edges[number] : edges[number + 1]]
        key = bodies.tobytes()
        if key not in spelled:
            spelled[key] = [
                name
                for k, body in enumerate(bodies.tolist())
                for name in (f"layer.{k}", *(f"layer.{k}.{block}" for block in distinct[body]))
            ]
        out.append(f"stack.{number}")
        out += spelled[key] if len(stacks) == 1 else map(f"stack.{number}.".__add__, spelled[key])
    return out


def _templates(stacks: list[Stack], layers: Layers) -> tuple[list[int], list[str]]:
    """For each stack the kernels of its most frequent body, and its name.

    The name is the program's name for it or a word for its body, numbered where bodies differ.
    """
    edges = starts_of(layers.stack, len(stacks)).tolist()
    typical: dict[tuple[bytes, bytes], tuple[int, int]] = {}
    numbered: Counter[str] = Counter()
    named: dict[tuple[str, bytes], str] = {}
    sizes, names = [], []
    for stack, a, b in zip(stacks, edges, edges[1:], strict=False):
        body, kernels = layers.body[a:b], layers.kernels[a:b]
        key = body.tobytes(), kernels.tobytes()
        if key not in typical:
            most = Counter(body.tolist()).most_common(1)[0][0]
            typical[key] = most, Counter(kernels[body == most].tolist()).most_common(1)[0][0]
        most, size = typical[key]
        base, text = stack.title or layers.bodies[most].kind, layers.bodies[most].text
        if (base, text) not in named:
            numbered[base] += 1
            named[(base, text)] = base if numbered[base] == 1 else f"{base}.{numbered[base]}"
        sizes.append(size)
        names.append(named[(base, text)])
    return sizes, names


def _columns(
    module: tir.Module,
    stacks: list[Stack],
    layers: Layers,
    table: _Regions,
    per_layer: list[int],
    codes: Sequence[Array],
) -> tir.Module:
    """The region columns of the layers tree; `codes` are those of templates, checks and kinds of bodies."""
    count = len(table.parent)

    def on_stacks(values: Sequence[float] | Array, null: float, dtype: type[np.generic]) -> Array:
        column: Array = np.full(count, null, dtype)
        column[table.at] = values
        return column

    template, checks, kinds = codes
    variant = np.full(count, -1, np.int32)
    variant[table.top] = kinds[layers.body]
    return module.with_columns(
        {
            "group.evidence": on_stacks([EVIDENCE.index(s.evidence) for s in stacks], -1, np.int16),
            "group.confidence": on_stacks([s.confidence for s in stacks], np.nan, np.float64),
            "group.partial": on_stacks([s.partial for s in stacks], False, np.bool_),
            "group.guessed": on_stacks([s.guessed for s in stacks], False, np.bool_),
            "group.step": on_stacks([s.step for s in stacks], -1, np.int32),
            "group.lane": on_stacks([s.lane for s in stacks], -1, np.int32),
            "group.direction": on_stacks([DIRECTIONS.index(s.direction) for s in stacks], -1, np.int16),
            "group.kernels_per_layer": on_stacks(per_layer, tir.NULL_I64, np.int64),
            "group.template": on_stacks(template, -1, np.int32),
            "group.checks": on_stacks(checks, -1, np.int32),
            "group.variant": variant,
        },
        "region:layers",
    )


def _checks(stack: Stack) -> str:
    return ", ".join(name if holds else f"no {name}" for name, holds in sorted(stack.checks.items()))


def _step_texts(steps: list[Step]) -> tuple[list[str], list[str], list[str]]:
    """The texts of the tree `steps`: the kind of its regions, their names, and the texts of their marks."""
    return ["step"][: len(steps)], [f"step.{k}" for k in range(len(steps))], [step.label for step in steps]


def _write_steps(module: tir.Module, steps: list[Step], member: Array, codes: Sequence[Array]) -> tir.Module:
    """The module with the tree `steps`, what each step does, and its mark; `codes` are those of `_step_texts`."""
    kind, names, labels = codes
    count = len(steps)
    regions = {
        "parent": np.full(count, -1, np.int32),
        "kind": np.repeat(kind, count),
        "name": names,
        "index": np.arange(count, dtype=np.int32),
    }
    return module.with_tree("steps", regions, member.astype(np.int32)).with_columns(
        {
            "group.phase": np.array([PHASES.index(s.phase) if s.phase else -1 for s in steps], np.int16),
            "group.mark": np.array([s.mark for s in steps], np.int32),
            "group.mark_text": labels,
        },
        "region:steps",
    )
