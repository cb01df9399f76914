"""Microseconds to exact nanoseconds."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from traceir.ir import NULL_I64
from traceir_frontends.kineto import times


def expected(text: str) -> int:
    """The same by decimal arithmetic."""
    return int((Decimal(text) * 1000).to_integral_value(ROUND_HALF_EVEN))


@given(st.lists(st.integers(-(10**15), 8 * 10**15), min_size=1))
def test_three_decimals_are_exact_as_floats_or_refused(values: list[int]) -> None:
    """Arithmetic gives the decimal value to the nanosecond, or says that it cannot."""
    texts = [f"{'-' if value < 0 else ''}{abs(value) // 1000}.{abs(value) % 1000:03d}" for value in values]
    found = times.from_numbers([float(text) for text in texts])
    if max(map(abs, values)) < 2**43 * 1000:
        assert found is not None
    assert found is None or found.tolist() == values


@pytest.mark.parametrize(
    "text",
    ["1752829956515358.123", "0.0004", "3503599627370497.5", "12.3456", "8796093022209.001"],
)
def test_what_floats_cannot_hold_is_left_to_the_text(text: str) -> None:
    """Epoch times with decimals, large halves and a fourth decimal are not settled by arithmetic, and exact by text."""
    assert times.from_numbers([float(text)]) is None
    assert times.from_token(text.encode()) == expected(text)


def test_whole_numbers_are_exact_up_to_the_range() -> None:
    """Epoch microseconds as integers are exact, also with missing values among them; absurd ones are refused."""
    assert times.from_numbers([1752829956515358, 3]) == pytest.approx([1752829956515358000, 3000], abs=0)
    found = times.from_numbers([1752829956515358, float("nan")])
    assert found is not None
    assert found.tolist() == [1752829956515358000, NULL_I64]
    assert times.from_numbers([10**17]) is None
    assert times.from_numbers([2**80]) is None
    assert times.from_numbers([1e300]) is None


@given(st.decimals(-(10**12), 10**15, allow_nan=False, allow_infinity=False, places=6), st.booleans())
def test_tokens_are_exact(value: Decimal, quoted: bool) -> None:
    """Any decimal text is rounded half to even, in quotes or not, with an exponent or not."""
    for text in (str(value), f"{value:E}", f"{value:f}"):
        token = f'"{text}"' if quoted else text
        assert times.from_token(token.encode()) == expected(text)


@pytest.mark.parametrize(
    "token", [b"", b"null", b"NaN", b"Infinity", b'""', b'"soon"', b"1e300", b"-1e300", b"[1]", b"true"]
)
def test_what_is_no_time_is_none(token: bytes) -> None:
    """A token that gives no usable time gives none, and raises nothing."""
    assert times.from_token(token) is None
