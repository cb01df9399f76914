"""What classes declare: each mistake is a sentence that names the class and the attribute."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import traceir as tir
from traceir.cli.main import main
from traceir.errors import UsageError
from traceir.passing.declared import WORD, mistakes
from traceir.passing.pipeline import parse_items
from traceir.registry import Entry, Registry

A = tir.Annotation("mine.a", doc="A.")


def declared(attribute: str = "", *, base: type = tir.Pass, named: str = "Mine", **more: Any) -> type[Any]:
    """A class made from the source of its body, as a plug-in writes it."""
    text = (
        f"@attrs.frozen\nclass {named}(Base):\n    'Of a test.'\n"
        + "".join(f"    {line}\n" for line in attribute.splitlines())
        + ("    def run(self, module, context): return module\n" if base is tir.Pass else "")
    )
    space: dict[str, Any] = {"attrs": attrs, "tir": tir, "Base": base, "A": A, "Literal": Literal, **more}
    exec(compile(text, "plug-in", "exec", dont_inherit=True), space)
    made: type[Any] = space[named]
    return made


WRONG = {
    "writes = A": "In the class Mine writes is tir.Annotation('mine.a', …), and it has to be a tuple of annotations",
    "writes = (A, 'mine.b')": "In the class Mine writes is (Annotation(",
    "writes = (A, A)": "The class Mine declares in writes the column mine.a twice.",
    "writes = (tir.Annotation('mine.k', dtype='enum'),)": "The column mine.k of the class Mine is an enum without",
    "writes = (tir.Annotation('mine.k', values=('a',)),)": "The column mine.k of the class Mine has values, and is no",
    "reads = ('dur')": "In the class Mine reads is 'dur', and it has to be a tuple of names of columns, such as reads",
    "reads = ['dur']": "In the class Mine reads is ['dur'], and",
    "uses = ('dur', A)": "In the class Mine uses is ('dur', Annotation(",
    "uses = None": "In the class Mine uses is None, and",
    "reads: tuple[str, ...] = ('dur',)": "The field reads of the class Mine would be an option; write reads = … ",
    "annotates = 'no'": "In the class Mine annotates is 'no', and it has to be True or False.",
    "text: str = tir.option('', help='')": "The field text of the class Mine would be an option; rename it.",
    "x: list[int] = tir.option([], help='')": "The option x of the class Mine is a list[int]; it has to be an int",
    "x: dict[str, int] = tir.option({}, help='')": "The option x of the class Mine is a dict[str, int]; it has",
    "x: tuple[int, int] = tir.option((1, 2), help='')": "The option x of the class Mine is a tuple[int, int]; it has",
    "x: tuple = tir.option((), help='')": "The option x of the class Mine is a tuple; it has to be",
    "x: bytes | None = tir.option(None, help='')": "The option x of the class Mine is a bytes | None; it has to be",
    "x = tir.option(1, help='')": "The option x of the class Mine has no type; write it as x: int = tir.option(…).",
    "x: 'Nowhere' = tir.option(1, help='')": "The options of the class Mine cannot be understood: NameError: name "
    "'Nowhere' is not defined.",
    "x: int = tir.option('bad default', help='')": "A default is wrong: the option x of Mine is 'bad default', and it",
    "x: int = tir.option(0, help='', least=1)": "A default is wrong: the option x of Mine is 0, and it has to be 1",
    "x: Literal['a', 'b'] = tir.option('c', help='')": "A default is wrong: the option x of Mine is 'c', and it has to",
    "x: tuple[str, ...] = tir.option('abc', help='')": "A default is wrong: the option x of Mine is 'abc', and it has",
    "x: tuple[str, ...] = attrs.field(factory=lambda: 1 / 0)": "The options of the class Mine cannot be understood: "
    "ZeroDivisionError: division by zero.",
    "name = classmethod(lambda cls: 1 / 0)": "The name() of the class Mine fails: ZeroDivisionError: division by zero.",
    "name = classmethod(lambda cls: None)": "The class Mine is called None, which no pipeline can name: a word is",
    "name = classmethod(lambda cls: 'bad name')": "The class Mine is called 'bad name', which no pipeline can name",
}


@pytest.mark.parametrize("attribute", WRONG)
def test_a_wrong_declaration_is_a_sentence(attribute: str) -> None:
    """One, which begins as it should, and ends with a full stop."""
    (sentence,) = mistakes(declared(attribute))
    assert sentence.startswith(WRONG[attribute])
    assert re.search(r"[^.…]\.\Z", sentence)


def test_a_name_with_an_underscore_is_refused() -> None:
    """It would be registered as a word that no pipeline can name."""
    (sentence,) = mistakes(declared(named="Nice_Name"))
    assert sentence.startswith("The class Nice_Name is called 'nice_name', which no pipeline can name")


def test_an_undecorated_class_is_refused() -> None:
    """Below a decorated one it would have no options of its own."""

    class Late(declared()):  # type: ignore[misc]
        """Its option is no field."""

        n: int = tir.option(1, help="None.")

    assert mistakes(Late) == ("The class Late is not decorated: write @attrs.frozen above it.",)


def test_a_pass_without_run_is_refused() -> None:
    """It would fail when it runs."""

    @attrs.frozen
    class Idle(tir.Pass):
        """Do nothing."""

    (sentence,) = mistakes(Idle)
    assert sentence.startswith("The pass Idle has no run(self, module, context), which makes the new module; write one")


def test_all_mistakes_are_told() -> None:
    """Not the first only."""
    assert len(mistakes(declared("reads = 'dur'\nwrites = A\nx: list[int] = tir.option(0, help='')"))) == 3


@pytest.mark.parametrize(
    "attribute",
    [
        "",
        "x: int = tir.option(help='')",
        "x: float = tir.option(1, help='')",
        "x: tir.Share = tir.option(0.5, help='')\ny: tir.Duration = tir.option(5, help='')",
        "x: Literal['a', 'b'] = tir.option('a', help='')",
        "x: tuple[str, ...] = tir.option((), help='')",
        "x: tuple[Literal['a', 'b'], ...] | None = tir.option(None, help='')",
        "x: tuple[str, ...] = attrs.field(factory=tuple)",
        "x: str | int = 3",
        "reads = ('dur', 'a.b')\nuses = ('edges',)\nwrites = (A,)\nannotates = False",
    ],
)
def test_a_right_declaration_is_none(attribute: str) -> None:
    """All types that a pipeline can spell."""
    assert mistakes(declared(attribute)) == ()


def test_instruments_are_checked_too() -> None:
    """Their words and options; they have no columns."""
    base = tir.Instrument
    assert mistakes(declared("x: int = tir.option(1, help='')", base=base)) == ()
    (sentence,) = mistakes(declared("x: int = tir.option('1', help='')", base=base))
    assert sentence.startswith("A default is wrong: the option x of Mine is '1'")


def test_what_traceir_brings_is_right() -> None:
    """Passes, instruments and printers."""
    known = Registry.installed()
    classes = [entry.load() for group in ("passes", "instruments", "printers") for _, entry in known.all(group)]
    assert len(classes) > 15
    assert {cls: mistakes(cls) for cls in classes if mistakes(cls)} == {}


@given(st.text("ab0_-Z. {", max_size=5) | st.from_regex(r"[a-z0-9]+(-[a-z0-9]+)*", fullmatch=True))
def test_words_are_those_of_pipelines(word: str) -> None:
    """Law: the expression says what the grammar says."""
    try:
        read = [(item.word, item.settings) for item in parse_items(word)] == [(word, ())]
    except UsageError:
        read = False
    assert read == bool(WORD.match(word))


def test_the_registry_refuses_what_is_declared_wrongly() -> None:
    """By the name of the entry, who brings it, and the first mistake."""
    entry = Entry("mine", declared("reads = ('dur')"), "Of a test.", "acme", "passes")
    with pytest.raises(UsageError) as error:
        entry.load()
    assert str(error.value).startswith(
        "'mine', which acme brings, cannot be used: In the class Mine reads is 'dur', and"
    )


BAD = """
import attrs
import traceir as tir

@attrs.frozen
class Mine(tir.Pass):
    "Of a test."
    {attribute}
    def run(self, module, context):
        return module
"""


@pytest.mark.parametrize("command", [["plugins", "check"], ["passes", "show", "mine"]])
@pytest.mark.parametrize(
    "attribute", ["name = classmethod(lambda cls: 1 / 0)", "n: int = tir.option('x', help='')", "x: list[int] = 3"]
)
def test_the_command_line_says_so(
    command: list[str], attribute: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2 and a sentence that names the file and the class, never an internal error."""
    path = tmp_path / "mine.py"
    path.write_text(BAD.format(attribute=attribute), "utf-8")
    assert main([*command, "--plugin", str(path)]) == 2
    said = "".join(capsys.readouterr())
    assert str(path) in said
    assert "Mine" in said
    assert "internal error" not in said
