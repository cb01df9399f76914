"""Exact integer nanoseconds from Kineto's decimal microseconds, by arithmetic where that is exact and else by text."""

from __future__ import annotations

import math
import re
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any, Final

import numpy as np

from traceir.ir import NULL_I64, Ints

FRACTIONS_BELOW: Final = 2.0**43
"""Microseconds with three decimals below this survive float64: half a unit in the last place is below 0.5 ns."""
WHOLE_BELOW: Final = 2.0**53
EARLIEST: Final = -(10**18)
_LONGEST: Final = 64
"""Bytes of a token that can be a time; int() refuses texts of some thousands of digits, and decimals do not."""
LATEST: Final = 4 * 10**18
"""Times outside are damage: inside, starts, ends and differences of any two of them fit int64."""

_TOKEN: Final = re.compile(rb'"?\s*(-?)(\d+)(?:\.(\d{0,3})0*)?\s*"?\Z')


def from_numbers(values: list[Any]) -> Ints | None:
    """Nanoseconds of decoded microseconds (ints, floats, NaN for none), or None if only the text is exact.

    Rule: floor and fraction are scaled apart, which is exact for at most three decimals below 2^43 µs, and for
    whole numbers below 2^53; a fourth decimal is seen by what the rounding leaves. NaN becomes null. O(n).
    """
    try:
        numbers = np.fromiter(values, np.float64, len(values))
    except OverflowError:
        return None
    none = np.isnan(numbers)
    if none.any():
        numbers = np.where(none, 0.0, numbers)
    size = np.abs(numbers)
    most = float(size.max(initial=0.0))
    if most >= FRACTIONS_BELOW:
        exact = np.array(values)
        if exact.dtype == np.int64:
            return _bounded(exact)
        if exact.dtype != np.float64 or not _whole(values, most):
            return None
    floor = np.floor(numbers)
    thousandths = (numbers - floor) * 1000
    rest = np.rint(thousandths)
    # a value with at most three decimals is off by no more than its own representation error, a thousandfold; where
    # all are off by less than the least may be, which is so for times that are alike, none has to be asked singly
    off = np.abs(thousandths - rest)
    least = np.spacing(size.min()) * 512 + 1e-9 if len(size) else 0.0
    if off.max(initial=0.0) > least and (off > np.spacing(size) * 512 + 1e-9).any():
        return None
    out: Ints = floor.astype(np.int64) * 1000 + rest.astype(np.int64)
    if none.any():
        out[none] = NULL_I64
    return out


def _bounded(whole: Ints) -> Ints | None:
    """Whole microseconds as nanoseconds, or None if one is out of range."""
    if len(whole) and (int(whole.min()) < EARLIEST // 1000 or int(whole.max()) > LATEST // 1000):
        return None
    out: Ints = whole * 1000
    return out


def _whole(values: list[Any], most: float) -> bool:
    """Whether all values are ints that float64 holds."""
    return most < min(WHOLE_BELOW, LATEST / 1000) and all(type(value) is int or math.isnan(value) for value in values)


def from_token(token: bytes) -> int | None:
    """Nanoseconds of a JSON token (a number, or a number in quotes), half to even; None if it is no usable time."""
    found = _TOKEN.match(token)
    if found is not None and len(token) <= _LONGEST:
        sign, whole, part = found.groups()
        time = int(whole) * 1000 + (int(part.ljust(3, b"0")) if part else 0)
        time = -time if sign else time
    else:
        try:
            exact = Decimal(token.strip().strip(b'"').strip().decode("ascii", "replace"))
            if not exact.is_finite() or abs(exact.adjusted()) > 30:
                return 0 if exact == 0 else None
            time = int((exact * 1000).to_integral_value(ROUND_HALF_EVEN))
        except (InvalidOperation, ValueError):
            return None
    return time if EARLIEST <= time <= LATEST else None


def from_tokens(tokens: list[Any]) -> Ints:
    """Nanoseconds of many tokens (bytes-like, empty for none); null where there is no usable time."""
    times = (from_token(bytes(token)) for token in tokens)
    return np.fromiter((NULL_I64 if time is None else time for time in times), np.int64, len(tokens))


def to_token(value: Any) -> bytes:
    """The token of a mended value, so that mended and sound events take the same way."""
    if isinstance(value, str):
        return b'"' + value.encode("ascii", "replace") + b'"'
    return b"" if value is None or isinstance(value, bool) else str(value).encode("ascii", "replace")
