"""`traceir print` and `run --emit tir`: what is read back, what each flag changes, and where the output goes."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

import traceir as tir
from traceir.testing import assert_equal
from traceir.text import parse

from .lines import DECODE, Command, events

DEAD = DECODE.replace("[12500 +7500] <- %2;", "[12500 +7500] <- %2 dead;")
SMALL = (
    '{"traceEvents": [{"ph": "X", "cat": "kernel", "name": "k", "pid": 0, "tid": 7, "ts": 1.5, "dur": 2.25,'
    ' "args": {"device": 0, "stream": 7, "grid": [320, 1, 1], "note": "a \\"b\\""}}]}'
)
PACKED = gzip.compress(DECODE.encode())
FORMS = ("auto", "statements", "table")


# --- in ------------------------------------------------------------------------------------------------------------


def test_a_text_is_printed_as_it_stands(decode: Path, command: Command) -> None:
    """`print --emit tir` of what it wrote is the same text, letter by letter."""
    assert command.output("print", "--emit", "tir", str(decode)) == DECODE


@pytest.mark.parametrize("stdin", [DECODE.encode(), PACKED, b"\xef\xbb\xbf" + DECODE.encode()])
def test_a_text_comes_from_standard_input(stdin: bytes, decode: Path, command: Command) -> None:
    """Plain, gzip, and with a byte order mark."""
    assert command.output("print", "--emit", "tir", "-", stdin=stdin) == DECODE


@pytest.mark.parametrize(("name", "content"), [("a.tir.gz", PACKED), ("odd.json", DECODE.encode()), ("none", PACKED)])
def test_the_content_says_what_an_input_is(name: str, content: bytes, decode: Path, command: Command) -> None:
    """Not the ending of its name."""
    Path(name).write_bytes(content)
    assert command.output("print", "--emit", "tir", name) == DECODE


@pytest.mark.parametrize("break_", ["\r\n", "\n\n"])
def test_line_breaks_of_other_systems_are_read(break_: str, decode: Path, command: Command) -> None:
    Path("breaks.tir").write_bytes(DECODE.replace("\n", break_).encode())
    assert command.output("print", "--emit", "tir", "breaks.tir") == DECODE


def test_processes_can_be_piped(example: str) -> None:
    """`traceir run --emit tir … | traceir print -` in processes of their own, through real pipes."""
    traceir = f"{sys.executable} -c 'from traceir.cli.main import script; script()'"
    pipe = f"{traceir} run --passes group --emit tir {example} | {traceir} print --emit tir - > piped.tir"
    done = subprocess.run(["sh", "-c", pipe], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert_equal(parse(Path("piped.tir").read_text("utf-8")), tir.PassManager.parse("group").run(tir.load(example)))


def test_what_the_passes_found_is_printed_from_the_text(example: str, command: Command) -> None:
    """The results of a text are those of the run that wrote it, though no pass runs again."""
    ran = json.loads(command.output("run", "--emit", "json", example))
    command.output("run", "--emit", "tir", example, "-o", "a.tir.gz")
    printed = json.loads(command.output("print", "--emit", "json", "a.tir.gz"))
    assert printed["pipeline"] == ran["pipeline"] == "infer,group,collectives,overlap,gaps"
    assert printed["results"] == ran["results"]
    assert printed["inputs"] == [{"path": "a.tir.gz", "frontend": "tir", "events": 6578}]
    page = command.output("run", example).splitlines()
    assert command.output("print", "a.tir.gz").splitlines()[1:] == page[1:]


def test_printing_runs_no_pass_and_running_does(decode: Path, command: Command) -> None:
    """`print` shows what is there; `run` runs the default pipeline; `--passes` says which for both."""
    assert "pass p" not in command.output("print", "--emit", "tir", str(decode))
    records = [line for line in command.output("run", "--emit", "tir", str(decode)).splitlines() if "  pass p" in line]
    assert [line.split(" = ")[1] for line in records][:2] == ["infer;", "group;"]
    printed = command.output("print", "--passes", "infer", "--emit", "tir", str(decode))
    assert printed == command.output("run", "--passes", "infer", "--emit", "tir", str(decode))
    assert "  pass p1 = infer;\n" in printed


@pytest.mark.parametrize("record", ["stranger{x=1}", "group{nonsense=1}"])
def test_records_of_passes_that_are_not_installed_are_printed(record: str, decode: Path, command: Command) -> None:
    """A text with a stranger's pass, or another version's options, prints as it stands, without that report."""
    text = DECODE.replace("  column tree.step", f"  pass p1 = {record};\n  column tree.step")
    Path("other.tir").write_text(text, "utf-8")
    assert command.output("print", "--emit", "tir", "other.tir") == text
    report = json.loads(command.output("print", "--emit", "json", "other.tir"))
    assert (report["pipeline"], report["results"]) == (record, {})
    assert "rms_norm_kernel" in command.output("print", "other.tir")


# --- flags ---------------------------------------------------------------------------------------------------------


def test_both_forms_say_the_same(decode: Path, command: Command) -> None:
    """`--form` is the option of the same name, and `auto` takes statements for a small module."""
    texts = {form: command.output("print", "--emit", "tir", "--form", form, str(decode)) for form in FORMS}
    assert texts["auto"] == texts["statements"] == DECODE
    assert "  events [" in texts["table"]
    assert events(texts["table"]) == {}
    assert_equal(parse(texts["table"]), parse(texts["statements"]))
    assert command.output("print", "--emit", "tir{form=table}", str(decode)) == texts["table"]
    Path("table.tir").write_text(texts["table"], "utf-8")
    assert command.output("print", "--emit", "tir", "table.tir") == DECODE


def test_many_events_are_written_as_blocks(decode: Path, command: Command) -> None:
    """`auto` takes blocks above 20 000 events, unless arguments are asked for; `--form statements` goes before."""
    lines = [f'  %{n} = dev.kernel("k") @gpu0.s7 [{10 * n} +5];' for n in range(20_001)]
    head = '#[traceir "1"]\nmodule @many {\n  lane @gpu0.s7 : dev.stream {device=0, stream=7};\n'
    for number, form in ((20_000, "statements"), (20_001, "blocks")):
        cells = "".join(f"{n} 0 0 {10 * n} 5 0\n" for n in range(number))
        blocks = (
            f'  kinds dev.kernel;\n  strings {{\n"k"\n  }}\n  events [id kind name ts dur lane] {{\n{cells}  }}\n}}\n'
        )
        Path("many.tir").write_text(head + blocks, "utf-8")
        text = command.output("print", "--emit", "tir", "many.tir")
        assert ("  events [" in text) == (form == "blocks")
    assert command.output("print", "--emit", "tir", "--form", "statements", "many.tir").splitlines()[3:-1] == lines
    assert command.output("print", "--emit", "tir", "--args", "many.tir").splitlines()[3:-1] == lines


def test_arguments_are_written_when_asked_for(decode: Path, command: Command) -> None:
    """`--args` writes the source's own arguments, from a file of any format, and they survive being read."""
    Path("small.json").write_text(SMALL, "utf-8")
    bare = command.output("print", "--emit", "tir", "small.json")
    full = command.output("print", "--emit", "tir", "--args", "small.json")
    assert "grid" not in bare
    [line] = [line for line in full.splitlines() if line.startswith("  %")]
    assert line.endswith('[0 +2250] {device=0, stream=7, grid=[320, 1, 1], note="a \\"b\\""};')
    Path("full.tir").write_text(full, "utf-8")
    assert command.output("print", "--emit", "tir", "--args", "full.tir") == full
    assert command.output("print", "--emit", "tir", "full.tir") == bare


def test_blocks_hold_no_arguments_and_say_so(decode: Path, command: Command) -> None:
    """`--args` is not lost in silence where blocks are asked for."""
    Path("small.json").write_text(SMALL, "utf-8")
    words = ("print", "--emit", "tir", "--args", "--form", "table", "small.json")
    message = command.refusal(*words, code=2)
    assert message == "Blocks hold no arguments of events; print them as statements."


def test_removed_events_are_written_when_asked_for(decode: Path, command: Command) -> None:
    """`--dead` of `tir` marks them, of `chrome` keeps them; without it neither shows them."""
    Path("dead.tir").write_text(DEAD, "utf-8")
    left = events(command.output("print", "--emit", "tir", "dead.tir"))
    assert left.keys() == events(DECODE).keys() - {"%4"}
    text = command.output("print", "--emit", "tir", "--dead", "dead.tir")
    assert text == DEAD
    table = command.output("print", "--emit", "tir", "--dead", "--form", "table", "dead.tir")
    assert_equal(parse(table), parse(DEAD))
    assert "nvjet" not in command.output("print", "--emit", "chrome", "dead.tir")
    assert "nvjet" in command.output("print", "--emit", "chrome", "--dead", "dead.tir")


@pytest.mark.parametrize("by", ["step", "lane", "role"])
def test_the_page_is_summed_by_what_is_asked_for(by: str, example: str, command: Command) -> None:
    """`--by` is the printer's option; every page is another, and step is what it is without."""
    page = command.output("run", "--by", by, example)
    assert page == command.output("run", "--emit", f"folded{{by={by}}}", example)
    assert (page == command.output("run", example)) == (by == "step")


def test_one_layer_is_opened(example: str, command: Command) -> None:
    """`--expand` shows the kernels of one instance; several add up."""
    page = command.output("run", example)
    one = command.output("run", "--expand", "layer.3", example)
    two = command.output("run", "--expand", "layer.3", "--expand", "step.1", example)
    assert one == command.output("run", "--emit", "folded{expand=layer.3}", example)
    assert len(page.splitlines()) < len(one.splitlines()) < len(two.splitlines())
    assert command.output("run", "--emit", "folded{expand=layer.3}", "--expand", "step.1", example) == two


def test_a_text_is_written_to_the_width_of_no_page(decode: Path, command: Command) -> None:
    """Width, colour and `--verbose` are of pages; `--ascii` spells what is not ASCII so that it is read back."""
    Path("wide.tir").write_text(DECODE.replace('"decode"', '"décodage → µs 核"'), "utf-8")
    text = command.output("print", "--emit", "tir", "--width", "40", "-v", "wide.tir")
    assert text == Path("wide.tir").read_text("utf-8")
    plain = command.output("print", "--emit", "tir", "--ascii", "wide.tir")
    assert plain.isascii()
    assert plain != text
    assert_equal(parse(plain), parse(text))


def test_columns_and_the_nesting_tree_are_chosen(example: str, command: Command) -> None:
    """Options of `tir` without a flag: `columns` and `tree`."""
    text = command.output("run", "--passes", "group", "--emit", "tir{columns=group.label}", example)
    declared = [line.split()[1] for line in text.splitlines() if line.startswith("  column ")]
    assert declared == ["group.label"]
    nested = command.output("run", "--passes", "group", "--emit", "tir{tree=steps}", example)
    assert "  region @step.0 : step of steps" in nested
    [step] = [line for line in nested.splitlines() if line.startswith("  region @step.0 ")]
    assert step.endswith("{")
    [layer] = [line for line in nested.splitlines() if " region @stack.0.layer.0 :" in line]
    assert not layer.endswith("{") or "=" in layer


# --- out -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["out.tir", "out.txt", "-"])
def test_the_output_is_a_file_or_standard_output(name: str, decode: Path, command: Command) -> None:
    """The file holds what standard output would have, and nothing lies beside it; `-` is standard output."""
    out = command.output("print", "--emit", "tir", str(decode), "-o", name)
    assert out == (DECODE if name == "-" else "")
    if name != "-":
        assert Path(name).read_bytes() == DECODE.encode()
    assert {path.name for path in Path().iterdir()} == {"decode.tir", name} - {"-"}


@pytest.mark.parametrize("name", ["out.tir.gz", "out.json.gz"])
def test_an_output_that_ends_in_gz_is_packed(name: str, decode: Path, command: Command) -> None:
    """What is inside is what would have been printed."""
    emit = "tir" if ".tir" in name else "json"
    assert command.output("print", "--emit", emit, str(decode), "-o", name) == ""
    packed = Path(name).read_bytes()
    assert gzip.decompress(packed).decode() == command.output("print", "--emit", emit, str(decode))
    assert packed[3:8] == bytes(5), "the header holds neither a name nor a time"


def test_a_failed_run_leaves_the_output_as_it_was(decode: Path, command: Command) -> None:
    """An old file stays when the new one cannot be written whole."""
    Path("out.tir").write_text("old", "utf-8")
    for words in (["--window", "layer.9"], ["--emit", "tir{tree=nope}"]):
        done = command("print", "--emit", "tir", *words, str(decode), "-o", "out.tir")
        assert done.code == 2
        assert Path("out.tir").read_text("utf-8") == "old"
    assert {path.name for path in Path().iterdir()} == {"decode.tir", "out.tir"}


# --- refusals ------------------------------------------------------------------------------------------------------

REFUSALS = [
    (["--emit", "json", "--form", "table"], "The flag --form sets an option that the printer json does not have."),
    (["--emit", "tir", "--by", "role"], "The flag --by sets an option that the printer tir does not have."),
    (["--emit", "tir", "--expand", "a"], "The flag --expand sets an option that the printer tir does not have."),
    (["--emit", "chrome", "--args"], "The flag --args sets an option that the printer chrome does not have."),
    (["--emit", "folded", "--dead"], "The flag --dead sets an option that the printer folded does not have."),
    (
        ["--emit", "tir", "--form", "tabel"],
        "The option form of tir is 'tabel', and it has to be auto | statements | table.",
    ),
    (["--by", "rol"], "The option by of folded is 'rol', and it has to be step | lane | role."),
    (
        ["--expand", "layer.9"],
        "There is no step, layer or op named 'layer.9' with device work",
    ),
    (["--emit", "tir{tree=layers}"], "The module has no tree layers; there are step."),
    (["--emit", "tir{columns=overlap}"], "The module has no column overlap"),
    (["--emit", "tir{from=table}"], "The printer tir has no option 'from'; did you mean form."),
    (["-o", "decode.tir"], "The output decode.tir is the input itself; name another file."),
]


@pytest.mark.parametrize(
    ("words", "message"), REFUSALS, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_a_wrong_flag_is_one_sentence(words: list[str], message: str, decode: Path, command: Command) -> None:
    """Exit code 2, and nothing on standard output."""
    found = command.refusal("print", *words, str(decode), code=2)
    assert found.startswith(message)
    assert "\n" not in found


BAD = """#[traceir "1"]
module @decode.rank0 {
  lane @cpu.main : host.thread;
  lane @gpu0.s7  : dev.straem {device=0, stream=7};
}
"""


@pytest.mark.parametrize("verb", ["run", "print"])
@pytest.mark.parametrize("name", ["bad.tir", "-", "bad.tir.gz"])
def test_a_text_that_cannot_be_read_says_where(verb: str, name: str, decode: Path, command: Command) -> None:
    """File, line and column, what is wrong, the line and a caret below the place; exit code 3."""
    Path("bad.tir").write_text(BAD, "utf-8")
    Path("bad.tir.gz").write_bytes(gzip.compress(BAD.encode()))
    message = command.refusal(verb, name, code=3, stdin=BAD.encode())
    first, line, caret = message.split("\n")
    assert first == f"{name}:4:20: There is no kind of lane dev.straem; did you mean dev.stream?"
    assert line == "    lane @gpu0.s7  : dev.straem {device=0, stream=7};"
    assert line[len(caret) - 1 :].startswith("dev.straem")
    assert caret.strip() == "^"


def test_a_column_is_counted_as_an_editor_does(decode: Path, command: Command) -> None:
    """Characters, not bytes; a tab is one; a very long line is shown around the place."""
    lane = "  lane @gpu0.s7 : dev.stream;\n"
    for before in ("\t", "  ", " " * 500):
        event = f'{before}%10 = dev.kernel("核é") @gpu0.s7 [1 +-];\n'
        Path("bad.tir").write_text(f'#[traceir "1"]\nmodule @m {{\n{lane}{event}}}\n', "utf-8")
        first, line, caret = command.refusal("run", "bad.tir", code=3).split("\n")
        assert first.startswith(f"bad.tir:4:{event.index('+-') + 1}: ")
        assert line[len(caret) - 1 :].startswith("+-")
        assert len(line) <= 110


BYTES = [
    (DECODE.encode().replace(b"rms_norm", b"rms\xffnorm", 1), "The text bad.tir is no UTF-8: its line 12 holds"),
    (PACKED[:-20], "The input bad.tir is a gzip file that is damaged: "),
    (DECODE.encode()[: DECODE.index("%9")], "bad.tir:15:37: The text ends in the middle: "),
    (b'#[traceir "2"]\nmodule @m {\n}\n', "bad.tir:1:1: The text is of version '2', and"),
]


@pytest.mark.parametrize(("content", "message"), BYTES, ids=["latin", "cut gzip", "cut text", "version"])
def test_damaged_texts_are_refused(content: bytes, message: str, decode: Path, command: Command) -> None:
    """A text is read whole or not at all, with exit code 3."""
    Path("bad.tir").write_bytes(content)
    assert command.refusal("run", "bad.tir", code=3).startswith(message)
