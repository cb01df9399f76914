"""The same run as text and as a database: events, edges and what passes make of them are equal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import traceir as tir
from tests.frontends.ascend.documents import (
    DEVICE,
    T0,
    edges_of,
    events_of,
    load_database,
    load_text,
    rows_of,
    step,
    timeline,
    write_database,
    write_text,
)
from traceir.cli.main import main


def test_both_hold_the_same_events(tmp_path: Path) -> None:
    """Kinds, names, times to the ns and lanes are those of the run, whatever wrote it down."""
    text, database = load_text(tmp_path, timeline(step())), load_database(tmp_path, rows_of(step()))
    assert events_of(text) == events_of(database)
    assert text.meta["origin_ns"] == database.meta["origin_ns"] == T0
    assert not tir.verify(text)
    assert not tir.verify(database)


@pytest.mark.parametrize("kind", ["launch", "enqueue", "flow"])
@pytest.mark.parametrize("calls", [True, False])
def test_both_have_the_same_edges(tmp_path: Path, kind: str, calls: bool) -> None:
    """The chain of three levels, and that of two without calls of CANN."""
    text, database = load_text(tmp_path, timeline(step(calls))), load_database(tmp_path, rows_of(step(calls)))
    assert edges_of(text, kind) == edges_of(database, kind) != []


def test_the_chain_has_three_levels(tmp_path: Path) -> None:
    """From the operator to the call of CANN, and from there to the task; parts of a collective have no launch."""
    module = load_text(tmp_path, timeline(step()))
    assert edges_of(module, "launch") == [
        ("AscendCL@aclrtMemcpyAsync", "MEMCPY_ASYNC"), ("AscendCL@aclrtRecordEvent", "EVENT_RECORD"),
        ("AscendCL@aclrtStreamWaitEvent", "EVENT_WAIT"), ("Node@launch", "aclnnMm_MatMulCommon_MatMulV2"),
        ("Node@launch", "hcom_allReduce__271_0_1"),
    ]  # fmt: skip
    assert edges_of(module, "enqueue") == [
        ("Enqueue", "Dequeue@aclnnMm"), ("HcclAllreduce", "Node@launch"), ("aclnnMm", "Node@launch"),
        ("aten::copy_", "AscendCL@aclrtMemcpyAsync"),
    ]  # fmt: skip
    assert edges_of(module, "flow") == [("aten::mm", "MmBackward0")]


def test_without_calls_operators_launch(tmp_path: Path) -> None:
    """Level 0 has no calls of CANN: the flow from the operator is what is known, and a finding says so."""
    module = load_text(tmp_path, timeline(step(calls=False)))
    assert edges_of(module, "launch") == [
        ("HcclAllreduce", "hcom_allReduce__271_0_1"), ("aclnnMm", "aclnnMm_MatMulCommon_MatMulV2"),
        ("aten::copy_", "MEMCPY_ASYNC"),
    ]  # fmt: skip
    assert "no_calls" in [finding.code for finding in module.health]


@pytest.mark.parametrize("passes", ["collectives", "overlap", "gaps"])
def test_both_give_equal_answers(tmp_path: Path, passes: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What passes report of a run does not depend on how it was written, but for ids and the vendor's lanes."""
    answers = []
    for path in (write_text(tmp_path / "text", timeline(step())), write_database(tmp_path / "db", rows_of(step()))):
        assert main(["run", "-q", "--passes", passes, "--emit", "json", str(path)]) == 0
        answers.append(_without_ids(json.loads(capsys.readouterr().out)["results"]))
    assert answers[0] == answers[1]
    assert str(DEVICE) in json.dumps(answers[0])


def _without_ids(value: Any) -> Any:
    """A report without ids, which are positions in a file, and without what only text holds."""
    if isinstance(value, dict):
        gone = ("event", "events", "first", "blame", "previous", "next", "example", "vendor")
        return {key: _without_ids(item) for key, item in value.items() if key not in gone}
    return [_without_ids(item) for item in value] if isinstance(value, list) else value
