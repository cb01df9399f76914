"""Times are exact to the nanosecond, however they are written."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from traceir.ir import NULL_I64
from traceir_frontends.ascend.times import nanoseconds, of_texts

DIGITS = st.from_regex(r"[0-9]{1,16}(\.[0-9]{0,12})?", fullmatch=True)


@given(st.lists(DIGITS, max_size=20))
def test_digits_are_read_as_decimals_are(texts: list[str]) -> None:
    """Half to even beyond three decimals, against exact arithmetic; quoted, with a tab, and bare."""
    wanted = [int((Decimal(text) * 1000).to_integral_value(ROUND_HALF_EVEN)) for text in texts]
    wanted = [time if time <= 4 * 10**18 else NULL_I64 for time in wanted]
    assert of_texts(texts).tolist() == wanted
    assert nanoseconds([f'"{text}\t"'.encode() for text in texts]).tolist() == wanted


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("1736408883688177.930", 1736408883688177930),
        ("1736408883704643.212\t", 1736408883704643212),
        ("1699529622790614.8", 1699529622790614800),
        ("828.33653125", 828337),
        ("0.0005", 0),
        ("0.0015", 2),
        ("-12.5", -12500),
        ("1.5e3", 1_500_000),
        ("1e3", 1_000_000),
        ("", NULL_I64),
        ("N/A", NULL_I64),
        ("1 2", NULL_I64),
        ("1.2.3", NULL_I64),
        ("9" * 60, NULL_I64),
        ("99999999999999999999", NULL_I64),
    ],
)
def test_what_real_files_and_damage_hold(text: str, ns: int) -> None:
    """Values of real files, and what is no time."""
    assert of_texts([text, "1.5"]).tolist() == [ns, 1500]
