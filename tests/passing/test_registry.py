"""The registry: names from entry points and files, clashes, broken plug-ins, nearest names."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.passing.toys import Alpha, Beta, registry
from traceir.errors import UsageError
from traceir.registry import Entry, Registry


@attrs.frozen
class Dist:
    name: str


@attrs.frozen
class Point:
    """An entry point as importlib.metadata gives it."""

    provider: str
    table: Any
    group: str = "traceir.passes"

    @property
    def dist(self) -> Dist:
        return Dist(self.provider)

    @property
    def value(self) -> str:
        return f"{self.provider}:PASSES"

    def load(self) -> Any:
        if isinstance(self.table, Exception):
            raise self.table
        return self.table


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> list[Point]:
    """The entry points that the next `Registry.installed` sees."""
    points: list[Point] = []

    def find(group: str) -> list[Point]:
        return [point for point in points if point.group == group]

    monkeypatch.setattr(importlib.metadata, "entry_points", find)
    return points


def test_a_clash_names_both_distributions(installed: list[Point]) -> None:
    """Two distributions that bring one name are an error that says which they are."""
    installed += [Point("traceir", {"overlap": ("a:B", "One.")}), Point("acme", {"overlap": ("c:D", "Two.")})]
    with pytest.raises(UsageError) as error:
        Registry.installed()
    assert str(error.value) == "The name 'overlap' is brought by both traceir and acme; uninstall one of them."


def test_the_same_thing_twice_is_no_clash(installed: list[Point]) -> None:
    """A distribution that is found twice on the path brings its names once."""
    installed += [Point("acme", {"dma": ("a:B", "One.")}), Point("acme", {"dma": ("a:B", "One.")})]
    assert [name for name, _ in Registry.installed().all("passes")] == ["dma"]


@pytest.mark.parametrize(
    "table", [ImportError("no acme"), ValueError("boom"), {"x": "no pair"}, ["x"], {"x": ("a:B", "s", "too many")}]
)
def test_a_broken_plug_in_is_left_out_with_a_sentence(installed: list[Point], table: Any) -> None:
    """Whatever is wrong with its table, the others are there, and `broken` says which one is not and why."""
    installed += [Point("acme", table), Point("good", {"fine": ("a:B", "Fine.")})]
    found = Registry.installed()
    assert [name for name, _ in found.all("passes")] == ["fine"]
    (sentence,) = found.broken
    assert sentence.startswith("The plug-in acme cannot be loaded and is left out: ")


@pytest.mark.parametrize("target", ["no.such:Thing", "traceir:Nothing", "tests.passing.broken_import:X"])
def test_a_target_that_cannot_be_loaded_is_a_sentence(target: str) -> None:
    """The name, who brings it and where it should be, whatever the import raises."""
    entry = Entry("dma", target, "A pass.", "acme")
    with pytest.raises(UsageError, match=f"'dma', which acme brings, cannot be loaded from {target}: "):
        registry(dma=entry).find("passes", "dma")


def test_unknown_names_offer_the_nearest() -> None:
    """The nearest names, or all there are, or that there are none."""
    known = registry(Alpha, Beta)
    for name, message in {
        "bta": "There is no pass 'bta'; did you mean beta.",
        "qq": "There is no pass 'qq'; there are alpha, beta.",
    }.items():
        with pytest.raises(UsageError) as error:
            known.find("passes", name)
        assert str(error.value) == message
    with pytest.raises(UsageError, match=r"There is no frontend 'x'; there are none at all\."):
        known.find("frontends", "x")


PASS = '''
import attrs
import traceir as tir

@attrs.frozen
class {name}(tir.Pass):
    """Do {name}."""

    many: tir.Share = tir.option(0.5, help="How many.")
'''


def test_a_file_brings_its_passes(tmp_path: Path) -> None:
    """A single file is a plug-in: found by name, options parsed; two files of one stem do not mix."""
    (tmp_path / "other").mkdir()
    one, two = tmp_path / "mine.py", tmp_path / "other" / "mine.py"
    one.write_text(PASS.format(name="DeadGaps"), "utf-8")
    two.write_text(PASS.format(name="Other").replace("tir.Share", "int"), "utf-8")
    known = Registry()
    assert (known.add_file(one), known.add_file(two)) == (["dead-gaps"], ["other"])
    assert known.find("passes", "dead-gaps").from_text({"many": "25%"}).many == 0.25
    assert dict(known.all("passes"))["other"].summary == "Do Other."


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "The plug-in file {path} does not exist."),
        ("x = 1", "The plug-in file {path} defines no pass and no frontend."),
        ("1 / 0", "The plug-in file {path} cannot be imported: ZeroDivisionError: division by zero."),
    ],
)
def test_a_bad_file_is_refused(tmp_path: Path, content: str | None, message: str) -> None:
    """With a sentence that names the file."""
    path = tmp_path / "plug.py"
    if content is not None:
        path.write_text(content, "utf-8")
    with pytest.raises(UsageError) as error:
        Registry().add_file(path)
    assert str(error.value) == message.format(path=path)
