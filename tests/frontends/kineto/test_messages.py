"""Refusals and findings, word for word."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

import traceir as tir
from tests.frontends.kineto.documents import load, load_events, plain
from traceir_frontends.kineto import Kineto

AGAIN = "copy it again from where it was recorded"
REFUSED: list[tuple[bytes, str]] = [
    (b"", f"is empty (0 bytes); {AGAIN}."),
    (gzip.compress(b""), f"is empty (0 bytes); {AGAIN}."),
    (b" \n\t", f"holds nothing but 3 bytes of white space; {AGAIN}."),
    (
        b"hello world",
        "is no JSON: at byte 0 it has 'hello world' where { or [ has to stand; name a file that a profiler wrote.",
    ),
    (b"{}", "is JSON without a list traceEvents (it has the keys: none at all); it is no Kineto trace."),
    (b'{"a": 1, "b": [{}]}', "is JSON without a list traceEvents (it has the keys: a, b); it is no Kineto trace."),
    (b'{"traceEvents": {"a": 1}}', "has traceEvents that are no list; it is no Kineto trace."),
    (b'{"a": {"b": 1', f"ends at byte 13 before its list traceEvents begins; {AGAIN}."),
    (b'{"a": 1, 17}', "is no JSON: at byte 9 it has '17}' where a key or a value has to stand."),
    (
        b"\x1f\x8bhello",
        "begins like gzip, but nothing of it can be decompressed: its compressed data are damaged at byte 3 (Error -3 "
        f"while decompressing data: unknown compression method); {AGAIN}.",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("data", "message"), REFUSED, ids=[row[1][:40] for row in REFUSED])
def test_what_is_no_trace_is_refused_in_one_sentence(data: bytes, message: str, tmp_path: Path) -> None:
    """A refusal names the file and the place, and says what to do."""
    with pytest.raises(tir.InputError) as caught:
        load(tmp_path, data)
    assert str(caught.value) == f"The input {tmp_path / 'trace.json'} {message}"


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """A path without a file is an input error too."""
    with pytest.raises(tir.InputError) as caught:
        Kineto().load(str(tmp_path / "none.json"))
    assert str(caught.value) == f"The input {tmp_path / 'none.json'} cannot be read: No such file or directory."


def test_a_cut_file_says_where(tmp_path: Path) -> None:
    """The finding of a cut file has the byte and the event."""
    text = json.dumps(plain())
    cut = text.index('"relu"')
    module = load(tmp_path, text[:cut])
    (finding,) = (finding for finding in module.health if finding.code == "truncated")
    assert finding.message == (
        f"The file is cut: it ends at byte {cut}, inside event 5; the last step may lack work, so let the "
        "profiler finish writing."
    )
    assert finding.poisons == ("infer", "group", "collectives", "overlap", "gaps")


def test_the_order_of_findings_and_their_words(tmp_path: Path) -> None:
    """Damage of the file comes first, then what follows from it; each finding has one sentence and the first event."""
    events = plain()
    events[5]["dur"] = -1
    del events[2]
    module = load_events(tmp_path, events)
    found = [(item.code, item.level, item.count, item.first, item.message) for item in module.health]
    assert found == [
        ("repaired", "warning", 1, 4,
         "Given a duration of 0 ns in place of a negative one: 1 event; record again if their figures matter."),
        ("orphan_launch", "info", 1, 2,
         "1 of 2 device events have no launch in the file, a prefix: on each stream they come before all that have "
         "one, so they were launched before the record began; record one more warm-up step, with the host's runtime "
         "calls.")
    ]  # fmt: skip
