"""Small Kineto documents for tests: building blocks, and a strategy for valid ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

import traceir as tir
from traceir_frontends.kineto import Kineto

Event = dict[str, Any]


def op(name: str, ts: Any, dur: Any, **args: Any) -> Event:
    """An operator on the main thread."""
    return {"ph": "X", "cat": "cpu_op", "name": name, "pid": 7, "tid": 7, "ts": ts, "dur": dur, "args": args}


def call(name: str, ts: Any, dur: Any, correlation: Any, *, tid: int = 7, **args: Any) -> Event:
    """A runtime call."""
    args = {"correlation": correlation, **args}
    return {"ph": "X", "cat": "cuda_runtime", "name": name, "pid": 7, "tid": tid, "ts": ts, "dur": dur, "args": args}


def kernel(name: str, ts: Any, dur: Any, correlation: Any, *, stream: int = 20, **args: Any) -> Event:
    """A kernel on device 0."""
    args = {"device": 0, "stream": stream, "correlation": correlation, **args}
    return {"ph": "X", "cat": "kernel", "name": name, "pid": 0, "tid": stream, "ts": ts, "dur": dur, "args": args}


def plain() -> list[Event]:
    """A step of two kernels with their launches, the base of the damage table."""
    return [
        {"ph": "X", "cat": "user_annotation", "name": "ProfilerStep#1", "pid": 7, "tid": 7, "ts": 100.5, "dur": 60},
        op("aten::mm", 101.0, 20.25, **{"External id": 1}),
        call("cudaLaunchKernel", 105.125, 5, 11),
        kernel("gemm", 120.0, 10.5, 11),
        call("cudaLaunchKernel", 125.0, 5.001, 12),
        kernel("relu", 140.0, 2.002, 12),
        {"ph": "s", "cat": "ac2g", "name": "ac2g", "id": 11, "pid": 7, "tid": 7, "ts": 105.125},
        {"ph": "f", "cat": "ac2g", "name": "ac2g", "id": 11, "pid": 0, "tid": 20, "ts": 120.0, "bp": "e"},
    ]


def load(folder: Path, text: str | bytes, *, chunk_bytes: int = 1 << 20, name: str = "trace.json") -> tir.Module:
    """The module of a document."""
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return Kineto(chunk_bytes).load(str(path))


def load_events(folder: Path, events: list[Event], **top: Any) -> tir.Module:
    """The module of an event list."""
    return load(folder, json.dumps({"schemaVersion": 1, "traceEvents": events, **top}))


NAMES = st.sampled_from(['aten::add"quoted"', "k}, {", "µ-kernel", "a\\b", "aten::mm", '"], "x": [{', "]}"])
MICROS = st.integers(0, 10**13).map(lambda ns: (ns // 1000, ns % 1000))


@st.composite
def events(draw: st.DrawFn) -> list[tuple[str, int]]:
    """Events as JSON texts with random white space and key order; the integer says whether it is a row."""
    out = []
    for number in range(draw(st.integers(0, 12))):
        device = draw(st.booleans())
        whole, part = draw(MICROS)
        length, rest = draw(st.integers(0, 10**6)), draw(st.integers(0, 999))
        fields = {
            "ph": '"X"',
            "cat": '"kernel"'
            if device
            else draw(st.sampled_from(['"cpu_op"', '"python_function"', '"user_annotation"'])),
            "name": json.dumps(draw(NAMES), ensure_ascii=draw(st.booleans())),
            "pid": "0" if device else draw(st.sampled_from(["77", '"python"'])),
            "tid": draw(st.sampled_from(["7", "20"])),
            "ts": f"{whole}.{part:03d}",
            "dur": draw(st.sampled_from([f"{length}.{rest:03d}", str(length)])),
            "args": draw(
                st.sampled_from([f'{{"correlation": {number}}}', '{"list": [{"a": 1}, {"b": "}, {"}]}', "{}"])
            ),
        }
        if draw(st.booleans()):
            del fields["args"]
        keys = draw(st.permutations(list(fields)))
        gap = draw(st.sampled_from(["", " ", "\n\t", "\r\n    "]))
        body = f",{gap}".join(f'"{key}":{gap}{fields[key]}' for key in keys)
        out.append((f"{{{gap}{body}{gap}}}", number))
    return out


@st.composite
def documents(draw: st.DrawFn) -> str:
    """Valid documents: bare lists or objects, with the rest of the top level before and after the events."""
    gap = draw(st.sampled_from(["", " ", "\n", " \r\n\t"]))
    listed = "[" + gap + f"{gap},{gap}".join(text for text, _ in draw(events())) + gap + "]"
    if draw(st.booleans()):
        return gap + listed + gap
    rest = [
        '"deviceProperties": [{"id": 0}, {"id": 1}]',
        '"INFO": ["}, {", "]"]',
        '"traceName": "traceEvents\\": ["',
        '"n": 1.5e3',
    ]
    members = draw(st.permutations([f'"traceEvents":{gap}{listed}', *rest]))
    return gap + "{" + f"{gap},{gap}".join(members) + gap + "}" + gap
