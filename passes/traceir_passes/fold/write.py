"""Writing: templates and ops as regions, instances as a table, and each event's op and instance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

import traceir as tir
from traceir import folding
from traceir.ir import Array, Ints
from traceir_passes.fold.columns import KINDS
from traceir_passes.fold.numbered import Numbered

_Row = dict[str, float | str | None]
"""What is said of one region."""


def write(module: tir.Module, templates: Sequence[Numbered]) -> tir.Module:
    """The module with the tree `fold`, its statistics, the instances and the events' columns. O(n)."""
    leaf, op, instance = (np.full(len(module), -1, np.int32) for _ in range(3))
    begins = np.cumsum([0, *(len(item.instances) for item in templates)])
    regions = [tir.Region("fold", "fold", 0)] if templates else []
    statistics: list[_Row] = [{} for _ in regions]
    places = [0] * len(templates)
    for number, place in _in_order(templates):
        item, region = templates[number], len(regions)
        if place < 0:
            places[number] = region
            parent = places[item.inside] if item.inside >= 0 else 0
            regions.append(tir.Region("template", item.name, number, parent))
            statistics.append(_of_template(item))
            continue
        one = item.ops[place]
        regions.append(tir.Region("op", item.names[place], place, places[number]))
        statistics.append(_of_op(item, place))
        op[one.rows] = region
        instance[one.rows] = begins[number] + one.of
        leaf[one.rows[one.of == item.exemplar]] = region
    module = module.with_tree("fold", regions, leaf)
    module = module.with_columns({"fold.op": op, "fold.instance": instance})
    module = _with_statistics(module, statistics)
    return _with_instances(module, templates, places, begins)


def _in_order(templates: Sequence[Numbered]) -> Iterator[tuple[int, int]]:
    """Templates (place -1) and their ops, by positions: those of a step with its layers' templates in between."""
    for number, item in enumerate(templates):
        if item.of != "step":
            continue
        yield number, -1
        place, inner = 0, number + 1
        for part in item.step.items:
            if isinstance(part, folding.Op):
                yield number, place
                place += 1
                continue
            for one in range(inner, inner + len(part.templates)):
                yield from ((one, at) for at in range(-1, len(templates[one].ops)))
            inner += len(part.templates)


def _with_statistics(module: tir.Module, rows: Sequence[_Row]) -> tir.Module:
    """The columns of the regions; the root's are null."""
    columns: dict[str, Array] = {
        f"fold.{name}": np.array(
            [tir.NULL_I64 if (value := row.get(name)) is None else value for row in rows], np.int64
        )
        for name in ("count", "present", "kernels", "median", "p10", "p90", "total", "exposed", "span", "busy", "host")
    }
    columns["fold.share"] = np.array([row.get("share", np.nan) for row in rows], np.float64)
    columns["fold.own"] = np.array([bool(row.get("own")) for row in rows], np.bool_)
    kinds = [row.get("of") for row in rows]
    columns["fold.of"] = np.array([KINDS.index(str(kind)) if kind is not None else -1 for kind in kinds], np.int16)
    strings = module.strings
    for name in ("title", "label", "block"):
        texts = [str(value) if (value := row.get(name)) else None for row in rows]
        strings, columns[f"fold.{name}"] = strings.encode(texts)
    return module.with_strings(strings).with_columns(columns, "region:fold")


def _of_template(item: Numbered) -> _Row:
    work, step = item.instances.work_ns, item.step
    low, middle, high = np.percentile(work, [10, 50, 90])
    own = item.template if item.template is not None else step
    total = int(work.sum())
    return {
        "of": item.of, "title": item.title, "count": len(work), "median": int(middle), "p10": int(low),
        "p90": int(high), "total": total, "share": _share(total, step),
        "exposed": own.exposed_ns, "span": own.span_ns, "busy": own.busy_ns, "host": own.host_ns,
    }  # fmt: skip


def _of_op(item: Numbered, place: int) -> _Row:
    op = item.ops[place]
    return {
        "label": op.label, "block": op.block, "present": op.present, "kernels": op.kernels,
        "median": op.median_ns, "p10": op.p10_ns, "p90": op.p90_ns, "total": op.total_ns,
        "share": _share(op.total_ns, item.step), "exposed": op.exposed_ns, "own": place in item.own,
    }  # fmt: skip


def _share(part: int, step: folding.Step) -> float:
    """A share of the work of like steps, to a millionth: more digits would not be read."""
    return round(part / step.work_ns, 6) if step.work_ns else np.nan


def _with_instances(
    module: tir.Module, templates: Sequence[Numbered], places: Sequence[int], begins: Ints
) -> tir.Module:
    """`table:fold.instances`, a row per instance: those of a template together, in order of time."""
    owner = np.repeat(np.arange(len(templates)), np.diff(begins))
    steps = module.tree("steps").at("step")

    def joined(parts: Iterator[Array], dtype: type[np.generic]) -> Array:
        return np.concatenate([np.empty(0, dtype), *parts]).astype(dtype)

    all_ = [item.instances for item in templates]
    first = joined((one.first for one in all_), np.int32)
    layers = (
        one.region if item.of == "layer" else np.full(len(one), -1) for one, item in zip(all_, templates, strict=True)
    )
    shown = begins[:-1] + np.array([item.exemplar for item in templates], np.int64)
    why = [text for item in templates for text in _outliers(item)]
    strings, codes = module.strings.encode(why)
    columns = {
        "name": _names(module, templates),
        "template": np.array(places, np.int32)[owner] if templates else np.empty(0, np.int32),
        "body": first[shown][owner] if templates else first,
        "first": first,
        "step": steps[first].astype(np.int32),
        "layer": joined(layers, np.int32),
        "work": joined((one.work_ns for one in all_), np.int64),
        "delta": joined((one.work_ns - int(np.median(one.work_ns)) for one in all_), np.int64),
        "device_span": joined((one.span_ns for one in all_), np.int64),
        "device_busy": joined((one.busy_ns for one in all_), np.int64),
        "host_span": joined((one.host_ns for one in all_), np.int64),
        "outlier": codes,
    }
    return module.with_strings(strings).with_table("fold.instances", {f"fold.{k}": v for k, v in columns.items()})


def _names(module: tir.Module, templates: Sequence[Numbered]) -> Array:
    """The names of the instances' regions, as codes of the pool; -1 for what lies outside any step."""
    parts: list[Array] = [np.empty(0, np.int32)]
    for item in templates:
        names = module.tree(f"{item.of}s").regions["name"]
        parts.append(np.append(names, np.int32(-1))[item.instances.region])
    return np.concatenate(parts).astype(np.int32)


def _outliers(item: Numbered) -> list[str | None]:
    """For each instance what makes it an outlier, None for what is none."""
    out: list[str | None] = [None] * len(item.instances)
    for one in item.outliers:
        out[one.instance] = folding.why(one)
    return out
