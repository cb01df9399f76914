"""Numbers as people read them: each with its unit and as many digits as help."""

from __future__ import annotations

from traceir.passing.report import Fact

_TIMES = ((1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "µs"))
_BYTES = ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


def time(ns: int | float) -> str:
    """A duration: `250.3 µs`, `9.656 ms`, `17 ns`."""
    if ns < 0:
        return "-" + time(-ns)
    for scale, unit in _TIMES:
        # 999.95 µs would print as 1000.0 µs, so it is already a ms.
        if ns >= scale * 0.99995:
            value = ns / scale
            return f"{value:.3f} {unit}" if scale > 1_000 else f"{value:.1f} {unit}"
    return f"{ns:.0f} ns"


def share(part: int | float, whole: int | float) -> str:
    """A share of a whole in percent; `–` if there is no whole."""
    if not whole:
        return "–"
    percent = 100 * part / whole
    if 0 < percent < 0.05:
        return "<0.1 %"
    return f"{percent:.1f} %"


def count(number: int) -> str:
    """A number with thin groups: `1 234 567`."""
    return f"{number:,}".replace(",", "\u00a0")


def size(number: int | float) -> str:
    """A number of bytes: `2.0 MiB`, `512 B`; a mean of some may be `0.5 B`."""
    if number < 0:
        return "-" + size(-number)
    for scale, unit in _BYTES:
        if number >= scale:
            return f"{number / scale:.1f} {unit}"
    return f"{number:.4g} B"


def fact(item: Fact) -> str:
    """The value of a fact with its unit and denominator, or why it is unknown."""
    value = item.value
    if value is None:
        return f"unknown ({item.note})" if item.note else "unknown"
    if isinstance(value, str):
        text = value
    elif item.unit == "ns":
        text = time(value)
    elif item.unit == "share":
        text = share(value, 1)
    elif item.unit == "B":
        text = size(int(value))
    else:
        text = count(value) if isinstance(value, int) else f"{value:.4g}"
    remarks = []
    if item.of and item.whole is not None and not isinstance(value, str):
        remarks.append(f"{share(value, item.whole)} of {item.of}")
    elif item.of:
        text += f" of {item.of}"
    if item.note:
        remarks.append(item.note)
    return f"{text} ({'; '.join(remarks)})" if remarks else text
