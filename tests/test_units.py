"""Numbers as people read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from traceir import units
from traceir.passing.report import Fact


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "0 ns"),
        (999, "999 ns"),
        (1_000, "1.0 µs"),
        (250_349, "250.3 µs"),
        (999_949, "999.9 µs"),
        (999_951, "1.000 ms"),
        (9_656_000, "9.656 ms"),
        (1_234_000_000, "1.234 s"),
        (-4_500, "-4.5 µs"),
    ],
)
def test_a_time_has_the_unit_that_fits_it(ns: int, text: str) -> None:
    """Times change unit where rounding would otherwise show four digits before the point."""
    assert units.time(ns) == text


@given(st.integers(0, 10**13))
def test_a_printed_time_is_the_time_to_four_figures(ns: int) -> None:
    """Reading the text back gives the time to within half of its last printed digit."""
    number, unit = units.time(ns).split(" ")
    scale = {"ns": 1, "µs": 1_000, "ms": 1_000_000, "s": 1_000_000_000}[unit]
    digits = len(number.partition(".")[2])
    assert abs(float(number) * scale - ns) <= 0.5001 * scale * 10**-digits


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [(1, 3, "33.3 %"), (0, 5, "0.0 %"), (1, 10_000, "<0.1 %"), (1, 0, "–"), (5, 5, "100.0 %")],
)
def test_a_share_names_no_percentage_of_nothing(part: int, whole: int, text: str) -> None:
    """A share of nothing is a dash, a tiny share is not printed as zero."""
    assert units.share(part, whole) == text


@pytest.mark.parametrize(
    ("fact", "text"),
    [
        (Fact("busy", 9_773_000, "ns"), "9.773 ms"),
        (Fact("hidden", 0.156, "share", of="communication"), "15.6 % of communication"),
        (Fact("busy", 250, "ns", of="span", whole=1000), "250 ns (25.0 % of span)"),
        (Fact("busy", 250, "ns", "span", "same stream", 1000), "250 ns (25.0 % of span; same stream)"),
        (Fact("ratio", None, "share", note="no communication"), "unknown (no communication)"),
        (Fact("communication", "none", "text"), "none"),
        (Fact("bytes", 3 << 20, "B"), "3.0 MiB"),
        (Fact("idle", 5_000, "ns", note="not recorded or idle"), "5.0 µs (not recorded or idle)"),
        (Fact("events", 1234567), "1\u00a0234\u00a0567"),
        (Fact("factor", 3.14159), "3.142"),
        (Fact("rank", None), "unknown"),
    ],
)
def test_a_fact_has_its_unit_denominator_and_note(fact: Fact, text: str) -> None:
    """What is unknown is printed as unknown, with the reason."""
    assert units.fact(fact) == text
