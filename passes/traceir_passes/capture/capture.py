"""The pass `capture`: its columns, and the way from captures to the kernels of replays."""

from __future__ import annotations

import functools
from typing import ClassVar

import attrs
import numpy as np

import traceir as tir
from traceir.ir import Array
from traceir_passes.capture import report
from traceir_passes.capture.join import Joiner, Match, Refusal, Replay, replays
from traceir_passes.capture.sessions import Session, sessions
from traceir_passes.infer.launching import operator_role
from traceir_passes.infer.rules import built_in

_NO = "no work of a replay that is joined"


@attrs.frozen
class Capture(tir.Pass):
    """Join what the host did while a graph was recorded to its replays.

    A replay is one call that starts hundreds of kernels, so nothing in it says which module a kernel is of. While the
    graph was captured the host made a call for each: a trace of that (`--capture FILE`, or the same file if the capture
    lies in its window) has them with their modules, operators and shapes. A replay is joined to a capture that has as
    many nodes, with equal names in the same order, or at the same ids of nodes where both sides have these; one
    difference refuses the whole of it, with the place. Where a
    profiler records no names at a capture (CUDA), the operators must not contradict the kernels, and most have to
    confirm them; the join is `derived` then, else `measured`. O(events), and O(nodes) for each distinct replay.
    """

    reads: ClassVar[tuple[str, ...]] = ("kind", "name", "ts", "dur", "lane", "parent", "live", "edges")
    uses: ClassVar[tuple[str, ...]] = ("args",)
    writes: ClassVar[tuple[tir.Annotation, ...]] = (
        tir.Annotation("capture.module", dtype="str", doc="The modules around the captured call.", null=_NO),
        tir.Annotation("capture.op", dtype="str", doc="The innermost operator around it.", null=_NO),
        tir.Annotation("capture.shapes", dtype="str", doc="The input shapes of that operator, as JSON.", null=_NO),
        tir.Annotation("capture.frame", dtype="str", doc="The innermost source frame around it.", null=_NO),
        tir.Annotation("capture.launch", "table:replays", "id", doc="The launch of the replay.", null="never"),
        tir.Annotation("capture.nodes", "table:replays", "i64", "nodes", doc="Work of the replay.", null="never"),
        tir.Annotation(
            "capture.basis", "table:replays", "enum", values=report.BASES, null="not joined",
            doc="How the replay is known to be a copy of the capture: by the names of its kernels, or by operators.",
        ),
        tir.Annotation("capture.reason", "table:replays", "str", doc="Why the replay is not joined.", null="joined"),
    )  # fmt: skip

    def run(self, module: tir.Module, context: tir.PassContext) -> tir.Module:
        """The module with the frames of captured calls on the replayed work, and a row for each replay."""
        given = context.inputs.get("capture")
        found = sessions(module) + (sessions(given, whole=True) if given is not None else [])
        mine = replays(module)
        if given is not None and not found:
            context.remark(self.name(), "The capture has no launches that were captured.", kind="missed")
        rules = built_in()
        joiner = Joiner(
            module,
            found,
            functools.cache(lambda name: rules.classify(name).role),
            functools.cache(lambda name: operator_role(name, rules)),
        )
        said = [joiner.match(replay) if found else Refusal("there is no capture") for replay in mine]
        for reason in dict.fromkeys(item.reason for item in said if isinstance(item, Refusal) and found):
            context.remark(self.name(), f"not joined: {reason}.", kind="missed")
        return _tabled(_written(module, mine, said), mine, said)

    def report(self, module: tir.Module) -> report.CaptureReport:
        """How many replays are joined, and why others are not."""
        return report.build(module)

    def check(self, module: tir.Module) -> list[str]:
        """Only device work has a captured call."""
        wrong = (module["capture.module"] >= 0) & ~module.work
        return [f"{int(wrong.sum())} events that are no device work have a captured call."] if wrong.any() else []


def _written(module: tir.Module, mine: list[Replay], said: list[Match | Refusal]) -> tir.Module:
    """The event columns: one lookup for each capture, spread over all of its replays."""
    columns = {name: np.full(len(module), -1, np.int32) for name in ("module", "op", "shapes", "frame")}
    strings = module.strings
    known: dict[int, dict[str, Array]] = {}
    for replay, match in zip(mine, said, strict=True):
        if isinstance(match, Refusal):
            continue
        session = match.session
        if id(session) not in known:
            strings, known[id(session)] = _codes(strings, session)
        rows = replay.rows if match.order is None else replay.rows[match.order]
        for name, codes in known[id(session)].items():
            if name != "shapes" or match.shapes:
                columns[name][rows] = codes
    module = module.with_strings(strings)
    return module.with_columns({f"capture.{name}": codes for name, codes in columns.items()})


def _codes(strings: tir.ir.Strings, session: Session) -> tuple[tir.ir.Strings, dict[str, Array]]:
    frames = session.frames
    texts = {"module": frames.modules, "op": frames.operators, "shapes": frames.shapes, "frame": frames.frames}
    codes = {}
    for name, values in texts.items():
        strings, codes[name] = strings.encode(values)
    return strings, codes


def _tabled(module: tir.Module, mine: list[Replay], said: list[Match | Refusal]) -> tir.Module:
    """A row for each replay."""
    basis = [-1 if isinstance(item, Refusal) else report.BASES.index(item.basis) for item in said]
    module = module.with_table(
        "replays",
        {
            "capture.launch": np.array([replay.launch for replay in mine], np.int32),
            "capture.nodes": np.array([len(replay.rows) for replay in mine], np.int64),
            "capture.basis": np.array(basis, np.int16),
        },
    )
    reasons = [item.reason if isinstance(item, Refusal) else None for item in said]
    return module.with_texts("capture.reason", reasons, "table:replays")


__all__ = ["Capture"]
