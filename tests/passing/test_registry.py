"""The registry: names from entry points and files, clashes, broken plug-ins, nearest names."""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import pytest

import traceir as tir
from tests.passing.toys import Alpha, Beta, registry
from traceir.errors import UsageError
from traceir.passing import Instrument
from traceir.registry import API, Entry, Group, Registry


@attrs.frozen
class Dist:
    name: str
    version: str = "1.0"


@attrs.frozen
class Point:
    """An entry point as importlib.metadata gives it."""

    provider: str
    table: Any
    group: str = "traceir.passes"
    module: str = "nowhere"
    """The module that its table stands in."""

    @property
    def dist(self) -> Dist:
        return Dist(self.provider)

    @property
    def value(self) -> str:
        return f"{self.module}:PASSES"

    def load(self) -> Any:
        if isinstance(self.table, BaseException):
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


def names(known: Registry, group: Group = "passes") -> list[str]:
    return [name for name, _ in known.all(group)]


def test_traceir_keeps_its_names_and_the_plug_in_its_others(installed: list[Point]) -> None:
    """In whatever order they are found; the sentence names both distributions."""
    mine, theirs = {"overlap": ("a:B", "One.")}, {"overlap": ("c:D", "Two."), "dma": ("c:E", "Three.")}
    installed += [Point("aaa", theirs), Point("traceir", mine)]
    found = Registry.installed()
    assert [(name, entry.provider) for name, entry in found.all("passes")] == [("dma", "aaa"), ("overlap", "traceir")]
    assert found.broken == [
        "The pass 'overlap' of aaa 1.0 is left out, since traceir 1.0 has a pass of that name.",
    ]


def test_nobody_has_a_name_that_two_plug_ins_bring(installed: list[Point]) -> None:
    """Neither wins by the order of the alphabet: the name is an error that names both, all else works."""
    for provider in ("acme", "zeta"):
        installed.append(Point(provider, {"dma": (f"{provider}:Dma", "Dma."), provider: (f"{provider}:P", "P.")}))
    found = Registry.installed()
    sentence = "The name 'dma' is brought by both acme 1.0 and zeta 1.0, so neither has it; uninstall all but one."
    assert (names(found), found.broken) == (["acme", "zeta"], [sentence])
    assert found.faults[0].providers == ("acme", "zeta")
    with pytest.raises(UsageError) as error:
        found.find("passes", "dma")
    assert str(error.value) == sentence
    with pytest.raises(UsageError, match=r"brought by both acme 1\.0 and zeta 1\.0"):
        found.add("passes", Entry("dma", "x:Y", "A third.", "mine.py"))


def test_three_that_bring_a_name_are_all_named(installed: list[Point]) -> None:
    """With one sentence, not one for each pair."""
    installed += [Point(provider, {"dma": (f"{provider}:Dma", "Dma.")}) for provider in ("a", "b", "c")]
    assert Registry.installed().broken == [
        "The name 'dma' is brought by a 1.0, b 1.0 and c 1.0, so none of them has it; uninstall all but one."
    ]


def test_a_distribution_that_clashes_with_itself_is_told_where(installed: list[Point]) -> None:
    """The places tell its two entries apart, where the name of the distribution would not."""
    installed += [Point("acme", {"dma": ("a:B", "One.")}), Point("acme", {"dma": ("c:D", "Two.")})]
    (sentence,) = Registry.installed().broken
    assert "both acme 1.0 (a:B) and acme 1.0 (c:D)" in sentence


def test_a_pipeline_cannot_take_the_name_of_a_pass(installed: list[Point]) -> None:
    """A pipeline text names both alike, so a pipeline would stand in the pass's place without a word."""
    installed += [
        Point("traceir", {"overlap": ("a:B", "One.")}),
        Point("acme", {"overlap": ("infer", "Another."), "mine": ("overlap", "Mine.")}, "traceir.pipelines"),
    ]
    found = Registry.installed()
    assert (names(found), names(found, "pipelines")) == (["overlap"], ["mine"])
    assert found.broken == [
        "The pipeline 'overlap' of acme 1.0 is left out, since traceir 1.0 has a pass of that name."
    ]


def test_the_same_thing_twice_is_no_clash(installed: list[Point]) -> None:
    """A distribution that is found twice on the path brings its names once."""
    installed += [Point("acme", {"dma": ("a:B", "One.")}), Point("acme", {"dma": ("a:B", "One.")})]
    found = Registry.installed()
    assert (names(found), found.broken) == (["dma"], [])


@pytest.mark.parametrize(
    "table",
    [
        ImportError("no acme"),
        ValueError("boom"),
        SystemExit(3),
        SyntaxError("two\nlines"),
        {"x": "no pair"},
        {"x": "ab"},
        {"x": ("a:B", None)},
        {1: ("a:B", "s")},
        ["x"],
        {"x": ("a:B", "s", "too many")},
    ],
)
def test_a_broken_plug_in_is_left_out_with_a_sentence(installed: list[Point], table: Any) -> None:
    """Whatever is wrong with its table, the others are there, and `broken` says which one is not and why."""
    installed += [Point("acme", table), Point("good", {"fine": ("a:B", "Fine.")})]
    found = Registry.installed()
    assert names(found) == ["fine"]
    (sentence,) = found.broken
    assert sentence.startswith("The plug-in acme 1.0 cannot be loaded and is left out: ")
    assert sentence.endswith("; reinstall or uninstall it.")
    assert "\n" not in sentence


def test_two_tables_that_fail_for_one_reason_are_one_sentence(installed: list[Point]) -> None:
    """A package that cannot be imported brings neither passes nor frontends, which is one thing to say."""
    error = ImportError("no acme")
    installed += [Point("acme", error), Point("acme", error, "traceir.frontends")]
    assert len(Registry.installed().broken) == 1


@pytest.mark.parametrize(("wanted", "fits"), [("1", True), ("1.7", True), (1, True), ("2", False), ("0.9", False)])
def test_a_plug_in_for_another_api_is_left_out(
    installed: list[Point], monkeypatch: pytest.MonkeyPatch, wanted: object, fits: bool
) -> None:
    """The major version decides; one line names the plug-in and its API, traceir and its API."""
    module = ModuleType("acme_for_tests")
    monkeypatch.setattr(module, "TRACEIR_API", wanted, raising=False)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    installed += [
        Point("acme", {"dma": ("a:B", "One.")}, module=module.__name__),
        Point("good", {"fine": ("a:B", "Fine.")}),
    ]
    found = Registry.installed()
    assert names(found) == (["dma", "fine"] if fits else ["fine"])
    major = str(wanted)[0]
    assert found.providers["acme"].api == major
    assert found.providers["good"].api == API
    assert found.broken == (
        []
        if fits
        else [
            f"The plug-in acme 1.0 is written for API {major} of traceir, and traceir {tir.__version__} has API {API}, "
            "so it is left out."
        ]
    )


@pytest.mark.parametrize("target", ["no.such:Thing", "traceir:Nothing", "tests.passing.broken_import:X", "no.such"])
def test_a_target_that_cannot_be_loaded_is_a_sentence(target: str) -> None:
    """The name, who brings it and where it should be, whatever the import raises."""
    entry = Entry("dma", target, "A pass.", "acme")
    with pytest.raises(UsageError, match=f"'dma', which acme brings, cannot be loaded from {target}: "):
        registry(dma=entry).find("passes", "dma")


@pytest.mark.parametrize(
    ("group", "target", "reason"),
    [
        ("passes", "traceir.loading:load", "and it has to be a class derived from traceir.Pass."),
        ("passes", "traceir.loading:Frontend", "and it has to be a class derived from traceir.Pass."),
        ("frontends", "traceir.passing:Pass", "and it has to be a class derived from traceir.Frontend."),
        ("printers", "traceir.passing:Pass", "and it has to be a class derived from traceir.printers.Printer."),
        ("passes", "tests.passing.test_registry:Undecorated", "is not decorated: write @attrs.frozen above the class"),
        ("passes", "tests.passing.test_registry:Below", "is not decorated: write @attrs.frozen above the class Below."),
        (
            "instruments",
            "tests.passing.test_registry:Watching",
            "is not decorated: write @attrs.define(eq=False) above the class",
        ),
    ],
)
def test_a_target_that_is_something_else_is_a_sentence(group: Group, target: str, reason: str) -> None:
    """What is loaded has to be what the table says that it is."""
    known = Registry()
    known.add(group, Entry("dma", target, "A pass.", "acme", group))
    with pytest.raises(UsageError, match="'dma', which acme brings, is ") as error:
        known.find(group, "dma")
    assert reason in str(error.value)


def test_those_that_ask_everybody_are_stopped_by_nobody() -> None:
    """What cannot be loaded is passed over, and told once."""
    known = registry(Alpha, dma=Entry("dma", "no.such:Thing", "A pass.", "acme"))
    for _ in range(2):
        assert list(known.loaded("passes")) == [("alpha", Alpha)]
    (fault,) = known.faults
    assert fault.providers == ("acme",)
    assert fault.sentence == (
        "The pass 'dma', which acme brings, cannot be loaded from no.such:Thing: "
        "ModuleNotFoundError: No module named 'no', so it is left out."
    )


class Undecorated(tir.Pass):
    """Forget the decorator."""


class Below(Alpha):
    """Forget the decorator that the base has."""

    many: int = tir.option(1, help="How many.")


class Watching(Instrument):
    """Forget it too."""

    most: int = tir.option(1, help="How many.")


@pytest.mark.parametrize("kind", [Below, Watching])
def test_a_class_that_forgot_its_decorator_cannot_be_made(kind: type[Any]) -> None:
    """Its options are no fields, and would be what attrs marks fields with."""
    with pytest.raises(UsageError) as error:
        kind()
    assert str(error.value) == (
        f"The class {kind.__name__} is not decorated, so its options are none: write @attrs.frozen above it, or "
        "@attrs.define(eq=False) above an instrument."
    )


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

    def run(self, module, context):
        return module
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


def test_a_file_may_have_bases_that_are_no_passes(tmp_path: Path) -> None:
    """A class whose name begins with an underscore is the file's own business."""
    path = tmp_path / "mine.py"
    path.write_text(PASS.format(name="_Base") + PASS.format(name="Real"), "utf-8")
    assert Registry().add_file(path) == ["real"]


def test_a_base_without_a_run_is_no_pass(tmp_path: Path) -> None:
    """Nor is an abstract class; a pass that forgot its run and has nobody below it is one, and says so when used."""
    path = tmp_path / "mine.py"
    path.write_text(
        "import abc\nimport attrs\nimport traceir as tir\nfrom traceir.passing import Instrument\n\n"
        "@attrs.frozen\nclass Base(tir.Pass):\n    'A base.'\n\n"
        "@attrs.frozen\nclass Real(Base):\n    'A pass.'\n"
        "    def run(self, module, context):\n        return module\n\n"
        "class Abstract(Instrument, abc.ABC):\n    'Abstract.'\n    @abc.abstractmethod\n    def what(self): ...\n\n"
        "@attrs.frozen\nclass Forgetful(tir.Pass):\n    'Forget.'\n",
        "utf-8",
    )
    assert Registry().add_file(path) == ["real", "forgetful"]


def test_a_file_that_takes_a_name_is_refused(tmp_path: Path) -> None:
    """It was asked for by name, so it is not left out in silence; both are named."""
    path = tmp_path / "mine.py"
    path.write_text(PASS.format(name="Alpha"), "utf-8")
    with pytest.raises(UsageError, match=r"The name 'alpha' is brought by both toys and .*mine\.py; uninstall one"):
        registry(Alpha).add_file(path)


@pytest.mark.parametrize("rest", ["", "from traceir import Something"])
def test_a_file_for_another_api_is_refused(tmp_path: Path, rest: str) -> None:
    """Even if it cannot be imported for that very reason."""
    path = tmp_path / "mine.py"
    path.write_text(f'TRACEIR_API = "2"\n{rest}\n', "utf-8")
    with pytest.raises(UsageError) as error:
        Registry().add_file(path)
    assert str(error.value) == (
        f"The plug-in file {path} is written for API 2 of traceir, and traceir {tir.__version__} has API {API}."
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "The plug-in file {path} does not exist."),
        ("x = 1", "The plug-in file {path} defines no pass, no frontend and no instrument."),
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


def test_a_group_that_is_none_is_a_sentence() -> None:
    """The groups are named; a KeyError would say nothing."""
    group: Any = "pass"
    with pytest.raises(UsageError) as error:
        Registry().find(group, "overlap")
    assert str(error.value) == (
        "There is no group 'pass' of entries; there are passes, frontends, printers, instruments, pipelines."
    )
