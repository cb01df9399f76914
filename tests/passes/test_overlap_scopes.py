"""Accounts of every scope against a bitmap of nanoseconds, their laws on drawn modules, and times at the limits."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import traceir as tir
from tests.build import Ev, annotate, module
from tests.passes.test_overlap import CLASSES, KINDS, ROLES, annotate_enum
from traceir.ir import Annotation, Array, Mask, Region, Written
from traceir.passing import to_json
from traceir.testing import modules
from traceir_passes.overlap import Overlap, OverlapReport
from traceir_passes.overlap.lanes import LANES

SCOPES = ("step", "layer", "block", "microbatch", "collective")
LANE_NAMES = ("gpu0.s1", "gpu0.s2", "gpu1.s1")
ROLES_OF_COMPUTE = ("gemm", "norm", "unknown")
_END = 60


@attrs.frozen
class Piece:
    """One row of device work and the region of each scope that owns it (-1 none); collectives own communication."""

    cls: str
    start: int
    dur: int
    lane: str = "gpu0.s1"
    role: str = "gemm"
    step: int = -1
    layer: int = -1
    block: int = -1
    microbatch: int = -1
    collective: int = -1


def owned(piece: Piece, scope: str) -> int:
    """The region of a scope that owns a piece, -1 for none."""
    if scope == "layer" and piece.block >= 0:
        return piece.block // 2  # blocks are parts of layers, two in each
    if scope == "collective" and piece.cls != "comm":
        return -1
    return int(getattr(piece, scope))


def traced(pieces: list[Piece]) -> tir.Module:
    """A module of these rows as the passes before `overlap` leave it; ids are positions."""
    kinds = {"memory": "dev.memcpy"}
    item = module([Ev(kinds.get(one.cls, "dev.kernel"), one.cls, one.start, one.dur, one.lane) for one in pieces])
    ids = range(len(pieces))
    roles = {i: pieces[i].role if pieces[i].cls == "compute" else ROLES[pieces[i].cls] for i in ids}
    item = annotate(item, Annotation("infer.role", dtype="str"), roles)
    item = annotate_enum(item, Annotation("infer.class", dtype="enum", values=CLASSES), {i: pieces[i].cls for i in ids})
    comm = {i: "all_reduce" for i in ids if pieces[i].cls == "comm"}
    item = annotate_enum(item, Annotation("coll.kind", dtype="enum", values=KINDS), comm)
    rows = [pieces[id] for id in item["id"].tolist()]
    item = item.with_tree("steps", [Region("step", f"step.{i}", i) for i in range(3)], [one.step for one in rows])
    layers = [Region("stack", "stack.0", 0)]
    for i in range(3):
        layers.append(Region("layer", f"layer.{i}", i, 0))
    blocks = [
        Region("block", f"layer.{i // 2}.{'attention' if i % 2 == 0 else 'mlp'}", i, 1 + i // 2) for i in range(6)
    ]
    leaf = [4 + one.block if one.block >= 0 else 1 + one.layer if one.layer >= 0 else -1 for one in rows]
    item = item.with_tree("layers", [*layers, *blocks], leaf)
    item = item.with_tree(
        "microbatches", [Region("microbatch", f"mb.{i}", i) for i in range(2)], [one.microbatch for one in rows]
    )
    instance = Annotation("coll.instance", dtype="id", unit="table:collectives")
    owner = np.array([owned(one, "collective") for one in rows], np.int32)
    first = np.array([next((at for at, row in enumerate(owner) if row == i), -1) for i in range(3)], np.int32)
    item = item.with_columns({"coll.instance": owner})
    item = item.with_table("collectives", {"coll.event": first, "coll.bytes": np.array([8, tir.NULL_I64, 16])})
    declared = (
        instance,
        Annotation("coll.event", "table:collectives", "id"),
        Annotation("coll.bytes", "table:collectives", "i64", "B"),
    )
    return attrs.evolve(item, annotations={**item.annotations, **{one.name: Written(one, None) for one in declared}})


def ran(item: tir.Module, **options: Any) -> tuple[tir.Module, OverlapReport]:
    """The module after `overlap`, whose laws have to hold, and its report."""
    wanted = Overlap(**options)
    done = tir.PassManager((wanted,)).run(item)
    assert wanted.check(done) == []
    return done, wanted.report(done)


PIECES = st.lists(
    st.builds(
        Piece,
        st.sampled_from(("comm", "compute", *CLASSES)),  # these two matter most
        st.integers(0, 25),
        st.integers(0, 20),
        st.sampled_from(("gpu0.s1", *LANE_NAMES)),
        st.sampled_from(ROLES_OF_COMPUTE),
        *[st.integers(-1, 2)] * 2,
        st.integers(-1, 5),
        st.integers(-1, 1),
        st.integers(-1, 2),
    ),
    max_size=12,
)
WELL = settings(max_examples=max(80, settings.default.max_examples if settings.default else 0))
"""As many drawn modules as it takes to see every class beside every other."""


# --- the reference: a bitmap of the nanoseconds of a device ----------------------------------------------------


def bits(pieces: list[Piece]) -> Mask:
    """The nanoseconds in which one of the pieces runs."""
    out = np.zeros(_END, bool)
    for one in pieces:
        out[one.start : one.start + one.dur] = True
    return out


def counted(own: list[Piece], device: list[Piece]) -> dict[str, Any]:
    """The account of some of a device's pieces by counting bits."""

    def of(pieces: list[Piece], *classes: str) -> Mask:
        return bits([one for one in pieces if one.cls in classes])

    low, high = min(one.start for one in own), max(one.start + one.dur for one in own)
    inside = np.zeros(_END, bool)
    inside[low:high] = True
    comm, compute = of(own, "comm"), of(device, "compute")
    beside: dict[str, Array] = {
        role: comm & bits([one for one in device if one.cls == "compute" and one.role == role])
        for role in ROLES_OF_COMPUTE
    }
    known = bits([one for one in device if one.cls == "compute" and one.role != "unknown"])
    sets = {
        "span_ns": inside,
        "busy_ns": bits(own),
        "compute_ns": of(own, "compute"),
        "comm_ns": comm,
        "memory_ns": of(own, "memory"),
        "fused_ns": of(own, "fused"),
        "overlap_ns": comm & compute,
        "exposed_ns": comm & ~compute,
        "exposed_any_ns": comm & ~of(device, "compute", "memory", "fused"),
        "idle_ns": inside & ~bits(device),
        "foreign_ns": inside & bits(device) & ~bits(own),
        "unknown_ns": bits([one for one in own if one.cls == "compute" and one.role == "unknown"]),
        "overlap_unknown_ns": comm & compute & ~known,
    }
    out: dict[str, Any] = {key: int(mask.sum()) for key, mask in sets.items()}
    out["hidden_by_ns"] = max(int(mask.sum()) for mask in beside.values())
    out["events"], out["time_ns"] = len(own), sum(one.dur for one in own)
    return out


def rows_of(report: OverlapReport, scope: str) -> list[Any]:
    """The rows of a scope."""
    name = {"block": "layer_blocks", "microbatch": "microbatches"}.get(scope, f"{scope}s")
    return list(getattr(report, name))


@WELL
@given(PIECES)
def test_every_scope_is_what_the_bitmaps_say(pieces: list[Piece]) -> None:
    """Devices, steps, layers, blocks, micro-batches and collectives, with what no region owns; rows in order."""
    _, report = ran(traced(pieces))
    for number in (0, 1):
        device = [one for one in pieces if one.lane.startswith(f"gpu{number}")]
        for scope in ("device", *SCOPES):
            found = [row for row in rows_of(report, scope) if row.device == number]
            regions = sorted({owned(one, scope) for one in device} - {-1}) if scope != "device" else [-1]
            expected = [[one for one in device if scope == "device" or owned(one, scope) == i] for i in regions]
            rest = [one for one in device if owned(one, scope) < 0] if scope not in ("device", "collective") else []
            expected = [own for own in (*expected, *([rest] if regions and rest else [])) if own]
            assert len(found) == len(expected)
            for row, own in zip(found, expected, strict=True):
                wanted = {key: value for key, value in counted(own, device).items() if hasattr(row, key)}
                assert "exposed_any_ns" in wanted
                assert {key: getattr(row, key) for key in wanted} == wanted
                assert row.overlap_ratio == (wanted["overlap_ns"] / wanted["comm_ns"] if wanted["comm_ns"] else None)
                part, whole = ("overlap_unknown_ns", "comm_ns") if scope == "collective" else ("unknown_ns", "busy_ns")
                assert row.unknown_share == (wanted[part] / wanted[whole] if wanted[whole] else None)
                assert (row.hidden_by is None) == (row.hidden_by_ns == 0)


def figures(report: OverlapReport) -> list[tuple[str, list[dict[str, Any]]]]:
    """The accounts of all scopes without what a shift, or another number or order of events, may change."""
    left = ("start_ns", "end_ns", "events", "event")
    return [
        (scope, [{k: v for k, v in attrs.asdict(row).items() if k not in left} for row in rows_of(report, scope)])
        for scope in ("device", *SCOPES)
    ]


@given(PIECES, st.randoms(use_true_random=False), st.integers(-(10**15), 10**15), st.integers(0, 12))
def test_order_origin_and_cuts_do_not_matter_to_any_scope(
    pieces: list[Piece], random: Any, shift: int, cut: int
) -> None:
    """Neither the order in the source, nor a shift of all times, nor two touching events in the place of one."""
    expected = figures(ran(traced(pieces))[1])
    assert figures(ran(traced(random.sample(pieces, len(pieces))))[1]) == expected
    assert figures(ran(traced([attrs.evolve(one, start=one.start + shift) for one in pieces]))[1]) == expected
    parts = [
        attrs.evolve(one, start=one.start + at, dur=length)
        for one in pieces
        for at, length in ((0, min(cut, one.dur)), (min(cut, one.dur), one.dur - min(cut, one.dur)))
    ]
    assert figures(ran(traced(parts))[1]) == expected


@given(PIECES)
def test_conservation_in_every_scope(pieces: list[Piece]) -> None:
    """hidden + exposed = communication; what nothing hides is no more than what compute does not hide."""
    _, report = ran(traced(pieces))
    for scope in ("device", *SCOPES):
        for row in rows_of(report, scope):
            assert row.overlap_ns + row.exposed_ns == row.comm_ns
            assert row.exposed_any_ns <= row.exposed_ns
            assert scope == "collective" or row.busy_ns + row.foreign_ns + row.idle_ns == row.span_ns
            assert row.overlap_unknown_ns <= row.overlap_ns
            assert row.hidden_by_ns <= row.overlap_ns


@WELL
@given(PIECES)
def test_lanes_are_the_sets_of_the_device(pieces: list[Piece]) -> None:
    """The table of spans that viewers show holds, nanosecond by nanosecond, what the accounts are made of."""
    done, _ = ran(traced(pieces))
    for number in (0, 1):
        device = [one for one in pieces if one.lane.startswith(f"gpu{number}")]
        comm, compute = (bits([one for one in device if one.cls == cls]) for cls in ("comm", "compute"))
        inside = np.zeros(_END, bool)
        if device:
            inside[min(one.start for one in device) : max(one.start + one.dur for one in device)] = True
        expected = {
            "computing": compute,
            "communication": comm,
            "not overlapped": comm & ~compute,
            "copies": bits([one for one in device if one.cls == "memory"]),
            "fused": bits([one for one in device if one.cls == "fused"]),
            "free": inside & ~bits(device),
        }
        for code, name in enumerate(LANES):
            found = np.zeros(_END, bool)
            mine = (done["overlap.lane"] == code) & (done["overlap.lane_device"] == number)
            for start, dur in zip(done["overlap.lane_start"][mine], done["overlap.lane_dur"][mine], strict=True):
                assert not found[start : start + dur].any()
                found[start : start + dur] = True
            assert (found == expected[name]).all()


# --- what the rows say ---------------------------------------------------------------------------------------


def test_rows_name_their_regions() -> None:
    """A block its layer, a micro-batch itself, a collective its first event, kind and bytes; nulls where none is."""
    pieces = [
        Piece("comm", 0, 10, block=1, microbatch=0, collective=0),
        Piece("compute", 4, 4, "gpu0.s2", role="norm", block=2, microbatch=1),
        Piece("comm", 20, 5, collective=1),
        Piece("comm", 30, 5, collective=0),
    ]
    _, report = ran(traced(pieces))
    assert [(row.layer, row.index, row.name) for row in report.layer_blocks] == [
        ("layer.0", 1, "layer.0.mlp"),
        ("layer.1", 2, "layer.1.attention"),
        (None, None, None),
    ]
    assert [(row.index, row.name) for row in report.microbatches] == [(0, "mb.0"), (1, "mb.1"), (None, None)]
    said = [(row.event, row.kind, row.bytes, row.comm_ns, row.hidden_by) for row in report.collectives]
    assert said == [(0, "all_reduce", 8, 15, "norm"), (2, "all_reduce", None, 5, None)]
    data = to_json(report)
    assert data["collectives"][0]["exposed_any_ns"] == 11
    assert data["collectives"][0]["unknown_share"] == 0


def test_scopes_that_there_are_not_have_no_rows() -> None:
    """Without trees and collectives there are devices only."""
    item = module([Ev("dev.kernel", "ncclDevKernel_AllReduce_Sum_f32_RING_LL", 0, 10)])
    manager = tir.PassManager.parse("overlap")
    report = manager.reports(manager.run(item))["overlap"]
    assert isinstance(report, OverlapReport)
    assert (report.steps, report.layers, report.layer_blocks, report.microbatches) == ((), (), (), ())
    assert len(report.collectives) == 1  # which `collectives` has found


def test_a_tree_of_blocks_comes_before_those_of_layers() -> None:
    """Where a pass builds a tree `blocks`, its blocks are meant."""
    item = traced([Piece("comm", 0, 10, block=1)])
    item = item.with_tree("blocks", [Region("block", "moe.0", 0)], [0])
    assert [row.name for row in ran(item)[1].layer_blocks] == ["moe.0"]


def test_the_unknown_share_stands_beside_the_ratio() -> None:
    """In the head of the page, in the table of devices, and in each row of JSON."""
    pieces = [Piece("comm", 0, 10), Piece("compute", 5, 10, "gpu0.s2", role="unknown"), Piece("comm", 0, 5, "gpu1.s1")]
    _, report = ran(traced(pieces))
    (fact,) = [fact for fact in report.headline() if fact.label == "exposed gpu0"]
    assert "66.7 % of busy is of unknown role" in fact.note
    assert "unreliable" in fact.note
    block = next(block for block in report.blocks() if block.title == "devices")
    assert {row[0]: row[-1] for row in block.rows} == {"gpu0": "66.7 %", "gpu1": "0.0 %"}
    data = to_json(report)
    assert (data["devices"][0]["unknown_share"], data["devices"][0]["overlap_unknown_ns"]) == (pytest.approx(2 / 3), 5)


def test_collectives_on_the_page_are_few() -> None:
    """The most exposed ones, and how many more there are; JSON has all of them."""
    pieces = [Piece("comm", at * 2, 1) for at in range(25)] + [Piece("compute", 0, 50, "gpu0.s2")]
    item = traced(pieces)
    count = len(pieces) - 1
    owner = np.array([one if one < count else -1 for one in item["id"].tolist()], np.int32)
    columns = {"coll.event": np.array([item.row_of(i) for i in range(count)], np.int32)}
    item = item.with_columns({"coll.instance": owner}).with_table("collectives", columns)
    item = attrs.evolve(item, annotations={k: v for k, v in item.annotations.items() if k != "coll.bytes"})
    _, report = ran(item)
    block = next(block for block in report.blocks() if block.title.startswith("collectives"))
    assert (len(block.rows), block.note, block.detail) == (20, "and 5 more, in JSON", True)
    assert len(report.collectives) == count


# --- hostile modules -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["coll.kind", "infer.role", "infer.class"])
def test_a_column_of_another_table_is_refused_in_a_sentence(name: str) -> None:
    """A plug-in's column of that name on lanes is not what `overlap` needs, and no index error."""
    item = traced([Piece("comm", 0, 10)])
    gone = {key: column for key, column in item.tables["event"].columns.items() if key != name}
    tables = {**item.tables, "event": attrs.evolve(item.tables["event"], columns=gone)}
    item = attrs.evolve(item, tables=tables).with_columns({name: np.array([0], np.int16)}, "lane")
    wrong = Annotation(name, "lane", "enum", values=("a",))
    item = attrs.evolve(item, annotations={**item.annotations, name: Written(wrong, None)})
    with pytest.raises(tir.PassError, match=rf"The column {name} belongs to lane, and overlap needs it for events"):
        tir.PassManager((Overlap(),)).run(item)


def test_columns_of_another_table_that_are_not_needed_are_left_alone() -> None:
    """`coll.instance` on lanes gives no collectives, and nothing fails."""
    item = traced([Piece("comm", 0, 10)])
    gone = {key: column for key, column in item.tables["event"].columns.items() if key != "coll.instance"}
    tables = {**item.tables, "event": attrs.evolve(item.tables["event"], columns=gone)}
    item = attrs.evolve(item, tables=tables).with_columns({"coll.instance": np.array([5], np.int64)}, "lane")
    wrong = Annotation("coll.instance", "lane", "i64")
    item = attrs.evolve(item, annotations={**item.annotations, "coll.instance": Written(wrong, None)})
    _, report = ran(item)
    assert report.collectives == ()
    assert report.communication[0].library is None


@pytest.mark.parametrize(
    ("times", "fits"),
    [
        (((-(2**62), 5), (2**62 - 6, 5)), True),
        (((-(2**63), 5), (2**63 - 6, 5)), False),
        (((0, 2**62), (0, 2**62)), False),
        (((0, 2**62), (0, 2**62 - 1)), True),
    ],
)
def test_times_that_no_64_bits_hold_have_no_account(times: tuple[tuple[int, int], ...], fits: bool) -> None:
    """A device of which a span or a sum would not fit is left out and said to be; nothing is negative or clamped.

    The exposed time of a single event fits in any case.
    """
    lanes = ("gpu0.s1", "gpu0.s2")
    pieces = [Piece("comm", start, dur, lane) for (start, dur), lane in zip(times, lanes, strict=True)]
    pieces += [Piece("comm", 0, 5, "gpu1.s1"), Piece("compute", 0, 3, "gpu1.s2")]
    done, report = ran(traced(pieces))
    assert [row.device for row in report.devices] == ([0, 1] if fits else [1])
    assert [finding.code for finding in done.health] == ([] if fits else ["time_range"])
    exposed = {event.id: event["overlap.exposed"] for event in done.select()}
    assert exposed == {0: times[0][1], 1: times[1][1], 2: 2, 3: None}


@given(modules(annotations=False, tables=False, max_events=8))
def test_laws_hold_on_any_module(item: tir.Module) -> None:
    """Times at the ends of int64, removed rows, trees of any shape, windows, hostile names."""
    manager = tir.PassManager((Overlap(),))
    try:
        done = manager.run(item)
    except tir.PassError as error:
        assume("overlap" in str(error).split(":")[0])  # what another pass cannot read is its own matter
        raise
    assert Overlap().check(done) == []
    to_json(Overlap().report(done))
