"""From a report to a module: kernels one after another, with their metrics as arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import attrs
import msgspec
import numpy as np

from traceir.errors import InputError
from traceir.ir import Finding, Ints, Lane, Module, ModuleBuilder, Strings
from traceir_frontends.ncu.table import Kernel, Report

_DURATIONS: Final = ("gpu__time_duration.sum", "gpu__time_duration.avg", "Duration")
_REGISTERS: Final = ("launch__registers_per_thread", "Registers Per Thread")
_MOST: Final = 1 << 62


@attrs.define(eq=False)
class MetricSource:
    """The kernels of a report, which are few and kept. An event's offset is its kernel."""

    path: str
    kernels: Sequence[Kernel]
    frontend: str = "ncu"

    def raw(self, offset: int, length: int) -> bytes:
        """The kernel's metrics as printed, as JSON."""
        kernel = self.kernels[offset]
        return msgspec.json.encode({name: value.text for name, value in kernel.metrics.items()})

    def args(self, offsets: Ints, lengths: Ints) -> Sequence[Mapping[str, Any]]:
        """Launch shape, and under `metrics` each metric as a number in its base unit, or as text if it is none."""
        return [_args(self.kernels[at]) for at in offsets.tolist()]


def lower(path: str, report: Report, odd: int, damage: str | None) -> Module:
    """The module of a report. O(kernels)."""
    kernels = report.kernels
    durations = [_duration(kernel) for kernel in kernels]
    dur = np.array([value or 0 for value in durations], np.int64)
    names = list(dict.fromkeys(kernel.name for kernel in kernels))
    code = {name: at for at, name in enumerate(names)}
    keys = [(kernel.process, kernel.device, kernel.stream) for kernel in kernels]
    lanes = {key: at for at, key in enumerate(dict.fromkeys(keys))}
    total = sum(value or 0 for value in durations)
    if total >= _MOST:
        raise InputError(f"The input {path} has kernels that took {total} ns together, which no clock shows.")
    several = len({process for process, _, _ in lanes}) > 1
    return ModuleBuilder(
        name=kernels[0].process_name or "kernels",
        strings=Strings(names),
        lanes=[_lane(*key, several=several) for key in lanes],
        kinds=["dev.kernel"],
        id=np.arange(len(kernels)),
        kind=np.zeros(len(kernels), np.uint16),
        name_code=np.array([code[kernel.name] for kernel in kernels], np.int32),
        ts=np.append(0, np.cumsum(dur)[:-1]).astype(np.int64),
        dur=dur,
        lane=np.array([lanes[key] for key in keys], np.int32),
        offset=np.arange(len(kernels)),
        length=np.ones(len(kernels), np.int32),
        meta={"origin_ns": None, "vendor": "nvidia"},
        health=_findings(report, sum(value is None for value in durations), odd, damage),
        source=MetricSource(path, kernels),
    ).build()


def _args(kernel: Kernel) -> dict[str, Any]:
    metrics = {
        name: value.text if value.number is None else _plain(value.number) for name, value in kernel.metrics.items()
    }
    told = {"grid": kernel.grid, "block": kernel.block, "stream": kernel.stream, "device": kernel.device}
    registers = next((metrics[name] for name in _REGISTERS if name in metrics), None)
    out: dict[str, Any] = {key: list(v) if isinstance(v, tuple) else v for key, v in told.items() if v is not None}
    if registers is not None:
        out["registers per thread"] = registers
    return {**out, "metrics": metrics, **({"advice": kernel.advice} if kernel.advice else {})}


def _plain(number: Decimal) -> int | float:
    return int(number) if abs(number) < _MOST and number == number.to_integral_value() else float(number)


def _duration(kernel: Kernel) -> int | None:
    for name in _DURATIONS:
        value = kernel.metrics.get(name)
        if value is not None and value.number is not None and value.unit == "ns" and 0 <= value.number < _MOST:
            return int(value.number.to_integral_value())
    return None


def _lane(process: int | None, device: int | None, stream: int | None, *, several: bool) -> Lane:
    owner = f".p{process}" if several and process is not None else ""
    name = f"gpu{0 if device is None else device}.s{'x' if stream is None else stream}{owner}"
    return Lane(name, "dev.stream", device=device, stream=stream, pid=process)


def _findings(report: Report, untimed: int, odd: int, damage: str | None) -> list[Finding]:
    out = [
        Finding(
            "no_clock", "info", 1, "Nsight Compute keeps no start times: kernels stand one after another, each as long "
            "as it took when it was replayed, so gaps and overlap say nothing.", None, ("overlap", "gaps"),
        )
    ]  # fmt: skip
    if untimed:
        message = f"{untimed} kernels have no duration among their metrics; record the section SpeedOfLight too."
        out.append(Finding("no_dur", "warning", untimed, message))
    if report.odd_rows:
        message = (
            f"Left out {report.odd_rows} lines that are no row of the table, the first in line {report.first_odd}."
        )
        out.append(Finding("unreadable", "warning", report.odd_rows, message))
    if odd:
        out.append(Finding("repaired", "warning", odd, f"Replaced {odd} characters that are no UTF-8."))
    if damage:
        out.append(Finding("truncated", "warning", 1, f"The gzip file is damaged ({damage}); read up to there."))
    return out
