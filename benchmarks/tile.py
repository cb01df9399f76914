"""Repeat a Kineto trace in time, to make a big sound trace of a small real one.

    python benchmarks/tile.py trace.json.gz --size 1GB -o big.json

Copies follow each other without overlap. In each, at the level of the text, so that nothing else changes: the whole
µs of every `ts` move on by the same amount (the digits behind the point stay), and the numbers that must be unique
(correlation and External id, flow id, Python ids, Ev Idx, Sequence number, Record function id, ProfilerStep#N) by
amounts that keep them apart. M rows and the rows of the record window are not repeated.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from traceir.synth.__main__ import size

_KEYS = {
    "ts": "ts",
    "correlation": "call",
    "wait_on_cuda_event_record_corr_id": "call",
    "External id": "call",
    "external id": "call",
    "id": "call",
    "Python id": "python",
    "Python parent id": "python",
    "Ev Idx": "ev",
    "Sequence number": "sequence",
    "Record function id": "record",
}
"""Which numbers move together: in old traces correlation, External id and flow id are one number."""
_TOKEN = re.compile(
    r'(?P<head>"(?P<key>' + "|".join(map(re.escape, _KEYS)) + r')"\s*:\s*)(?P<number>-?\d+)(?P<rest>[.\deE+-]*)'
    r'|(?P<step>"name"\s*:\s*"ProfilerStep#)(?P<n>\d+)'
)
_ARRAY = re.compile(r'"traceEvents"\s*:\s*\[')
_FILLER = re.compile(r"[\s,]*")


@attrs.frozen
class Tile:
    """The repeatable part of a trace: a text with `%d` slots, their values, and how far each moves per copy."""

    head: str
    once: str
    text: str
    values: NDArray[np.int64]
    moves: NDArray[np.int64]
    tail: str

    def copy(self, number: int) -> str:
        """The rows of one copy."""
        return self.text % tuple((self.values + number * self.moves).tolist())


def read_tile(text: str) -> Tile:
    """Find the event rows in a document and what has to move in them; ValueError where that is not possible."""
    found = _ARRAY.search(text)
    if found is None and not text.lstrip().startswith("["):
        raise ValueError("The document has no traceEvents.")
    start = found.end() if found else text.index("[") + 1
    once: list[str] = []
    rows: list[str] = []
    first, last = None, 0.0
    end = start
    for row, event, stop in _rows(text, start):
        end = stop
        window = event.get("cat") == "Trace" or (event.get("ph") == "i" and isinstance(event.get("pid"), str))
        if event.get("ph") == "M" or window:
            once.append(row)
            continue
        rows.append(row)
        ts = float(event["ts"])
        first = ts if first is None else min(first, ts)
        last = max(last, ts + float(event.get("dur", 0)))
    if first is None:
        raise ValueError("The document has no event that could be repeated.")
    body, values, groups = _slots(",\n".join(rows))
    moves = {group: _stride(values, groups, group) for group in set(groups)} | {"ts": int(last) - int(first) + 1000}
    return Tile(
        head=text[:start],
        once=",\n".join(once),
        text=body,
        values=np.array(values, np.int64),
        moves=np.array(
            [
                moves[group] if value > 0 or group in ("ts", "ev", "step") else 0
                for value, group in zip(values, groups, strict=True)
            ],
            np.int64,
        ),
        tail=text[_FILLER.match(text, end).end() :],  # type: ignore[union-attr]
    )


def _rows(text: str, start: int) -> Iterator[tuple[str, dict[str, Any], int]]:
    """Each row of the array with its own text and where it ends."""
    decode = json.JSONDecoder().raw_decode
    place = start
    while True:
        filler = _FILLER.match(text, place)
        place = filler.end() if filler else place
        if text[place] == "]":
            return
        event, end = decode(text, place)
        yield text[place:end], event, end
        place = end


def _slots(text: str) -> tuple[str, list[int], list[str]]:
    """The text with slots for the numbers that move, their values and their groups."""
    parts: list[str] = []
    values: list[int] = []
    groups: list[str] = []
    place = 0
    for match in _TOKEN.finditer(text):
        parts.append(text[place : match.start()].replace("%", "%%"))
        if match["step"] is not None:
            parts.append(match["step"] + "%d")
            values.append(int(match["n"]))
            groups.append("step")
        else:
            if "e" in match["rest"].lower():
                raise ValueError(f"The number {match[0]} has an exponent and cannot be moved at text level.")
            parts.append(match["head"].replace("%", "%%") + "%d" + match["rest"])
            values.append(int(match["number"]))
            groups.append(_KEYS[match["key"]])
        place = match.end()
    parts.append(text[place:].replace("%", "%%"))
    return "".join(parts), values, groups


def _stride(values: list[int], groups: list[str], group: str) -> int:
    mine = [value for value, own in zip(values, groups, strict=True) if own == group]
    positive = [value for value in mine if value >= 0] or [0]
    return max(positive) - min(positive) + 1


def tile(source: Path, target: Path, min_bytes: int) -> int:
    """Write copies of `source` to `target` until the text has `min_bytes`; returns how many there are."""
    raw = source.read_bytes()
    text = (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode("utf-8")
    del raw
    parts = read_tile(text)
    del text
    copies = written = 0
    with target.open("w", encoding="utf-8", newline="") as file:
        written += file.write(parts.head + parts.once)
        while copies == 0 or written + len(parts.tail) < min_bytes:
            separator = ",\n" if copies or parts.once else ""
            written += file.write(separator + parts.copy(copies))
            copies += 1
        file.write(parts.tail)
    return copies


def main(arguments: list[str] | None = None) -> int:
    """Tile as the arguments say."""
    parser = argparse.ArgumentParser(description="Repeat a Kineto trace in time, with all ids kept apart.")
    parser.add_argument("trace", type=Path, help="a .json or .json.gz file")
    parser.add_argument("--size", type=size, required=True, help="bytes of text to reach, such as 300MB or 1GB")
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args(arguments)
    copies = tile(given.trace, given.output, given.size)
    print(f"{given.output}: {copies} copies, {given.output.stat().st_size} bytes", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
