"""Writing: head, steps and tail of a document, in constant memory, and the truth that builds up meanwhile."""

from __future__ import annotations

import gzip
import io
import json
import os
from collections import Counter as Tally
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import attrs
import numpy as np

from traceir.synth.lowering import PID, STREAMS, Lowering, serving_mark
from traceir.synth.model import COMM, MAIN
from traceir.synth.options import Decoder
from traceir.synth.program import COUNTERS, Counter, Launch, Program
from traceir.synth.schedule import Clock, device_work, stall_gap
from traceir.synth.schedule import Times as Instants
from traceir.synth.text import Template, compile_rows
from traceir.synth.truth import (
    GapTruth,
    Member,
    StackTruth,
    StepTruth,
    Times,
    Truth,
    Variant,
    add_times,
    measure,
)

BASE_NS = 1_767_189_312_000_000_000
"""baseTimeNanoseconds; times in the document count from it."""
START_NS = 1_365_627_862_814_773
"""Where the window begins."""
Kind = tuple[bool, bool, bool]


@attrs.define
class _Writer:
    options: Decoder
    out: IO[str]
    min_bytes: int
    clock: Clock = attrs.field(init=False)
    bases: dict[Counter, int] = attrs.field(init=False)
    templates: dict[Kind, tuple[Program, Template]] = attrs.field(factory=dict)
    bytes: int = 0
    events: int = 0
    steps: list[StepTruth] = attrs.field(factory=list)
    stacks: list[StackTruth] = attrs.field(factory=list)
    gaps: list[GapTruth] = attrs.field(factory=list)
    parts: list[Times] = attrs.field(factory=list)
    idle_between: int = 0
    last_end: int | None = None
    orphans: list[Launch] = attrs.field(factory=list)

    def __attrs_post_init__(self) -> None:
        rng = np.random.RandomState(self.options.seed)
        self.clock = Clock(self.options, START_NS + 400_000, rng, [START_NS + 40_000] * 2)
        self.bases = dict.fromkeys(COUNTERS, 1) | {"correlation": 5_000, "step": 0}

    def write(self) -> Truth:
        self._emit(_head(self.options))
        marks = _lane_rows(self.options)
        self._rows(marks)
        if self.options.orphan_layers:
            self._orphans()
        step = 0
        while step < self.options.steps or self.bytes < self.min_bytes:
            self._step(step)
            step += 1
        end = max(self.clock.host, self.last_end or 0) + 300_000
        self._rows(_window_rows(end))
        self._emit('\n  ],\n  "traceName": "decoder.pt.trace.json"\n}\n')
        return self._truth()

    def _emit(self, text: str) -> None:
        self.out.write(text)
        self.bytes += len(text)

    def _rows(self, rows: list[dict[str, Any]]) -> None:
        """Metadata rows; the last row of a document has no comma behind it."""
        text = "".join(",\n  " + json.dumps(row) for row in rows)
        self._emit(text[2:] if not self.events else text)
        self.events += len(rows)

    def _text(self, text: str) -> None:
        """Rows of a template, each of which ends with a comma and a line break, made to follow other rows."""
        self._emit(",\n" + text[:-2])

    def _program(self, kind: Kind) -> tuple[Program, Template]:
        if kind not in self.templates:
            program = Lowering(self.options, *kind).step()
            rows = [*program.host_rows, *program.runtime_rows, *program.device_rows]
            self.templates[kind] = program, compile_rows(program, rows)
        return self.templates[kind]

    def _orphans(self) -> None:
        program = Lowering(self.options, False, False, False).orphans()
        host = self.clock.host
        times = self.clock.run(program, 1)
        self.clock.host = host
        self.clock.ready = [max(self.clock.ready)] * len(self.clock.ready)
        template = compile_rows(program, program.device_rows)
        self._text(template.fill(times, self.bases))
        self.events += template.rows
        self._advance(program)
        self.orphans = program.launches
        self._account(program, times)
        # Kernels only: collectives of the stack count as kernels too, copies do not.
        layers = [launch.layer for launch in program.launches if launch.layer >= 0]
        self.stacks.append(StackTruth(step=None, layers=len(set(layers)), partial=True, kernels=len(layers)))

    def _step(self, step: int) -> None:
        options = self.options
        kind = (options.is_prefill(step), options.is_replay(step), options.is_stalled(step))
        program, template = self._program(kind)
        self.clock.host += options.host_gap_ns
        times = self.clock.run(program, options.prefill_scale if kind[0] else 1)
        self._text(template.fill(times, self.bases | {"step": step}))
        self.events += template.rows
        before = self.last_end
        part = self._account(program, times)
        first = int(times.start.min())
        if before is not None and options.sync and step:
            self.gaps.append(GapTruth(start_ns=before, end_ns=first, gap_class="after_sync"))
        gap = stall_gap(program, times, options.stall == "blocking")
        if gap is not None:
            self.gaps.append(gap)
        self._record(step, kind, program, times, part)
        self._advance(program)

    def _account(self, program: Program, times: Instants) -> Times:
        part = measure(device_work(program, times))
        first, last = int(times.start.min()), int(times.end.max())
        if self.last_end is not None:
            if first < self.last_end:
                raise AssertionError("Device work of two steps may not overlap, or the truth would be wrong.")
            self.idle_between += first - self.last_end
        self.last_end = last
        self.parts.append(part)
        return part

    def _record(self, step: int, kind: Kind, program: Program, times: Instants, part: Times) -> None:
        kernels = [launch for launch in program.launches if launch.op.kind != "memory"]
        layers = [launch for launch in kernels if launch.layer >= 0]
        self.stacks.append(StackTruth(step=step, layers=self.options.layers, partial=False, kernels=len(layers)))
        truth = StepTruth(
            index=step,
            label=_label(self.options, step),
            phase="prefill" if kind[0] else "decode",
            replayed=kind[1],
            start_ns=int(times.start.min()),
            end_ns=int(times.end.max()),
            kernels=len(kernels),
            all_reduces=sum(launch.op.label == "all_reduce" for launch in kernels),
            times=part,
        )
        self.steps.append(truth)

    def _advance(self, program: Program) -> None:
        for counter in COUNTERS:
            if counter != "step":
                self.bases[counter] += program.counts[counter]

    def _truth(self) -> Truth:
        program = next(iter(self.templates.values()))[0]
        variants, most = _variants(program.launches, self.options)
        counts = Tally(launch.op.label for launch in self.orphans)
        return Truth(
            device=self.options.device,
            base_ns=BASE_NS,
            events=self.events,
            bytes=self.bytes,
            layers=self.options.layers,
            kernels_per_layer=most,
            variants=variants,
            stacks=tuple(self.stacks),
            all_reduces=sum(step.all_reduces for step in self.steps) + counts["all_reduce"],
            all_gathers=(len(self.steps) if self.options.tensor_parallel > 1 else 0) + counts["all_gather"],
            orphans=len(self.orphans),
            kernels=sum(step.kernels for step in self.steps) + len(self.orphans),
            times=add_times(self.parts, self.idle_between),
            steps=tuple(self.steps),
            gaps=tuple(self.gaps),
        )


def _label(options: Decoder, step: int) -> str:
    if options.marks == "profiler":
        return f"ProfilerStep#{step}"
    return serving_mark(options.is_prefill(step)) if options.marks == "serving" else ""


def _variants(launches: list[Launch], options: Decoder) -> tuple[tuple[Variant, ...], int]:
    """The distinct bodies of the layers by their labels and roles, and the size of the most frequent one."""
    bodies: dict[int, list[Member]] = {}
    for launch in launches:
        if launch.layer >= 0:
            op = launch.op
            bodies.setdefault(launch.layer, []).append(Member(label=op.label, role=op.role, kernel=op.kernel))
    shapes: dict[tuple[tuple[str, str], ...], list[int]] = {}
    for layer, members in bodies.items():
        shapes.setdefault(tuple((m.label, m.role) for m in members), []).append(layer)
    variants = tuple(
        Variant(name="moe" if options.is_moe(layers[0]) else "dense", layers=tuple(layers),
                members=tuple(bodies[layers[-1]]))
        for layers in shapes.values()
    )  # fmt: skip
    most = max(shapes.items(), key=lambda item: len(item[1]))
    return variants, len(most[0])


def _head(options: Decoder) -> str:
    amd = options.vendor == "amd"
    size = options.tensor_parallel
    versions: dict[str, object] = {"cupti_version": 28, "cuda_runtime_version": 12090, "cuda_driver_version": 13000}
    if amd:
        versions = {"roctracer_version": 4.1, "hip_runtime_version": 70253211, "hip_driver_version": 70253211}
    document: dict[str, object] = {"schemaVersion": 1, "deviceProperties": [_device(options)], **versions}
    if size > 1:
        group = {"pg_name": "0", "pg_desc": "default_pg", "backend_config": "cuda:nccl", "pg_size": size,
                 "ranks": list(range(size))}  # fmt: skip
        document["distributedInfo"] = {
            "backend": "nccl", "rank": options.rank, "world_size": size, "pg_count": 2,
            "pg_config": [group, group | {"pg_name": "2", "pg_desc": "tp"}], "nccl_version": "2.27.3",
        }  # fmt: skip
    flags = {"record_shapes": options.shapes, "with_stack": options.stack, "profile_memory": options.memory}
    document |= {name: 1 for name, on in flags.items() if on}
    document |= {"trace_id": f"{options.seed:032X}", "displayTimeUnit": "ms", "baseTimeNanoseconds": BASE_NS}
    lines = ",\n".join(f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in document.items())
    return "{\n" + lines + ',\n  "traceEvents": [\n'


def _device(options: Decoder) -> dict[str, object]:
    common = {"totalGlobalMem": 85_899_345_920, "maxThreadsPerBlock": 1024, "maxThreadsPerMultiprocessor": 2048,
              "regsPerBlock": 65536}  # fmt: skip
    if options.vendor == "amd":
        own = {"computeMajor": 9, "computeMinor": 4, "warpSize": 64, "sharedMemPerBlock": 65536, "numSms": 304,
               "maxSharedMemoryPerMultiProcessor": 65536}  # fmt: skip
    else:
        own = {"computeMajor": 9, "computeMinor": 0, "warpSize": 32, "sharedMemPerBlock": 49152, "numSms": 132,
               "regsPerMultiprocessor": 65536, "sharedMemPerBlockOptin": 232448,
               "sharedMemPerMultiprocessor": 233472}  # fmt: skip
    return {"id": options.device, "name": "Synthetic accelerator", **common, **own}


def _lane_rows(options: Decoder) -> list[dict[str, Any]]:
    """The M rows that name processes and threads."""
    ts = START_NS // 1000

    def meta(name: str, pid: int, tid: int, args: dict[str, object]) -> dict[str, Any]:
        return {"name": name, "ph": "M", "ts": ts, "pid": pid, "tid": tid, "args": args}

    rows = []
    for pid, label, order in ((PID, "CPU", PID), (options.device, f"GPU {options.device}", 5_000_000 + options.device)):
        rows.append(meta("process_name", pid, 0, {"name": "python3"}))
        rows.append(meta("process_labels", pid, 0, {"labels": label}))
        rows.append(meta("process_sort_index", pid, 0, {"sort_index": order}))
    lanes = [(PID, PID, f"thread {PID} (python3)")]
    comm = options.comm_stream and options.tensor_parallel > 1
    for stream in (MAIN, COMM) if comm else (MAIN,):
        tid = STREAMS[options.vendor][stream]
        lanes.append((options.device, tid, f"stream {tid} "))
    for pid, tid, name in lanes:
        rows.append(meta("thread_name", pid, tid, {"name": name}))
        rows.append(meta("thread_sort_index", pid, tid, {"sort_index": tid}))
    return rows


def _window_rows(end: int) -> list[dict[str, Any]]:
    """The rows that frame the record window; their pids and tids are strings, as in every such file."""
    begin, stop = START_NS // 1000, end // 1000
    return [
        {"ph": "X", "cat": "Trace", "ts": begin, "dur": stop - begin, "pid": "Spans", "tid": "PyTorch Profiler",
         "name": "PyTorch Profiler (0)", "args": {"Op count": 0}},
        {"name": "process_sort_index", "ph": "M", "ts": begin, "pid": "Spans", "tid": 0,
         "args": {"sort_index": 536870912}},
        {"name": "Iteration Start: PyTorch Profiler", "ph": "i", "s": "g", "pid": "Traces",
         "tid": "Trace PyTorch Profiler", "ts": begin},
        {"name": "Record Window End", "ph": "i", "s": "g", "pid": "", "tid": "", "ts": stop},
    ]  # fmt: skip


def write(options: Decoder, path: str | os.PathLike[str], *, min_bytes: int = 0) -> Truth:
    """Write a synthetic trace to `path` (gzip where it ends in .gz) and return what is true of it.

    With `min_bytes` steps are added until the text has that many bytes. Memory stays constant but for one small
    record a step; equal arguments give equal bytes.
    """
    target = Path(path)
    if target.suffix == ".gz":
        with target.open("wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as packed:
            return _write_binary(options, packed.write, min_bytes)
    with target.open("wb", buffering=1 << 20) as file:
        return _write_binary(options, file.write, min_bytes)


def _write_binary(options: Decoder, sink: Callable[[bytes], Any], min_bytes: int) -> Truth:
    class Encoded(io.TextIOBase):
        def write(self, text: str) -> int:
            sink(text.encode("ascii"))
            return len(text)

    return _Writer(options, Encoded(), min_bytes).write()  # type: ignore[arg-type]


def render(options: Decoder) -> tuple[str, Truth]:
    """A synthetic trace as text, and what is true of it; for small ones."""
    out = io.StringIO()
    truth = _Writer(options, out, 0).write()
    return out.getvalue(), truth
