"""`traceir passes`, `instruments` and `printers`: what there is, and one of it with its options."""

from __future__ import annotations

from pathlib import Path

import pytest

from traceir.passing.instruments import INSTRUMENTS
from traceir.printers import PRINTERS

from .lines import Command

PLUGIN = '''
import attrs
import traceir as tir
from traceir.passing import Instrument

@attrs.frozen
class Nod(tir.Pass):
    """Nod."""
    often: int = tir.option(help="How often.")
    share: tir.Share = tir.option(0.5, help="Of what.")

    def run(self, module, context):
        return module

@attrs.define(eq=False)
class Slowest(Instrument):
    """Say which pass took longest."""
'''


@pytest.mark.parametrize(("group", "table"), [("instruments", INSTRUMENTS), ("printers", PRINTERS)])
def test_each_sort_has_its_list(group: str, table: dict[str, tuple[str, str]], command: Command) -> None:
    """A name and what it does, a line each."""
    lines = command.output(group).splitlines()
    assert lines == command.output(group, "list").splitlines()
    assert [line.split(None, 1) for line in lines] == [[name, row[1]] for name, row in sorted(table.items())]


def test_plug_in_files_bring_instruments_to_the_list(decode: Path, command: Command) -> None:
    """With whom they are from."""
    Path("mine.py").write_text(PLUGIN)
    lines = command.output("instruments", "--plugin", "mine.py").splitlines()
    assert "slowest      Say which pass took longest.  (mine.py)" in lines


@pytest.mark.parametrize("group", ["passes", "instruments"])
def test_an_instrument_is_shown_with_its_options(group: str, command: Command) -> None:
    """By whichever command, since one name may be all that somebody knows."""
    lines = command.output(group, "show", "print").splitlines()
    assert lines[0] == "print: Print the module around passes, as text: a page of it, or a window."
    assert "  limit=200  (int)" in lines
    assert "      The most events that are printed." in lines
    assert "  window=none  (str | none)" in lines
    assert lines[-1] == "an instrument: --instrument 'print{passes=all}'"
    assert not any(line.startswith(("reads", "writes")) for line in lines)


def test_a_printer_is_shown_with_its_options(command: Command) -> None:
    """The way to choose it is at the end; one without options needs no braces."""
    assert command.output("printers", "show", "folded").splitlines()[-1].startswith("a printer: --emit 'folded{by=")
    assert (
        command.output("passes", "show", "verify").splitlines()[-1] == "an instrument: --instrument 'verify{when=each}'"
    )


def test_a_pass_is_shown_by_the_other_commands_too(command: Command) -> None:
    """As by its own."""
    assert command.output("instruments", "show", "overlap") == command.output("passes", "show", "overlap")


def test_an_option_without_a_default_is_said_to_be_needed(decode: Path, command: Command) -> None:
    """In words."""
    Path("mine.py").write_text(PLUGIN)
    lines = command.output("passes", "--plugin", "mine.py", "show", "nod").splitlines()
    assert lines[2:7] == [
        "options",
        "  often  (int, has to be given)",
        "      How often.",
        "  share=0.5  (share)",
        "      Of what.",
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["instruments", "show", "prnt"], "There is no instrument 'prnt'; did you mean print or culprit."),
        (["printers", "show"], "Name the printer to show, as in: traceir printers show folded."),
        (["instruments", "list", "x"], "The list has all instruments; to show one, write: traceir instruments show x."),
    ],
)
def test_what_there_is_not_is_said(words: list[str], message: str, command: Command) -> None:
    assert command.refusal(*words, code=2) == message
