"""Mistakes in texts: where each is found, and what is said of it."""

# ruff: noqa: E501  (the table stands as it is printed)

from __future__ import annotations

import tomllib
from importlib import resources
from pathlib import Path
from typing import Final

import pytest

from traceir.cli.main import main
from traceir.text import ParseError, parse

HEAD: Final = """\
#[traceir "1"]
module @m {
  lane @gpu0.s7 : dev.stream;
  lane @host : host.thread;
"""

# What is wrong on line 5 (or later) of a module, where, and what is said.
ITEMS: Final = (
    ('%1 = dev.kernel("k") @gpu0.s7 [0 +1]', 5, 39, "Expected ; at the end of the event."),
    ('%1 = dev.kernel("k) @gpu0.s7 [0 +1];', 5, 19, "The text in quotes does not end on its line."),
    ('%1 = dev.kernel("k" @gpu0.s7 [0 +1];', 5, 23, "Expected ) after the event's name."),
    ('%1 = dev.kernel("k") gpu0.s7 [0 +1];', 5, 24, "Expected the event's lane, such as @gpu0.s7, after its name."),
    (
        '%1 = dev.kernel("k") @gpu0.s7 [0 1];',
        5,
        36,
        "The length of an event is written with a plus sign, as in [100 +20].",
    ),
    (
        '%1 = dev.kernel "k" @gpu0.s7 [0 +1];',
        5,
        19,
        'Expected the event\'s name in parentheses, as in dev.kernel("name").',
    ),
    ("%1 = dev.kernel(k) @gpu0.s7 [0 +1];", 5, 19, "The event's name has to be in double quotes."),
    (
        '%1 = dev.kernal("k") @gpu0.s7 [0 +1];',
        5,
        8,
        'There is no kind of event dev.kernal; did you mean dev.kernel or dev.range or dev.graph? An unknown dialect\'s is written in quotes: "dev.kernal"(…).',
    ),
    ('%1 = dev.kernel("k") @gpu0.s8 [0 +1];', 5, 24, "There is no lane @gpu0.s8; did you mean @gpu0.s7?"),
    (
        '%1 dev.kernel("k") @gpu0.s7 [0 +1];',
        5,
        6,
        "An event's id is followed by = and its kind, as in %1 = dev.kernel(…).",
    ),
    ('%1 = dev.kernel("k") @gpu0.s7 [0 +1] {a 1};', 5, 43, "An attribute is written as key=value."),
    ('%1 = dev.kernel("k") @gpu0.s7 [0 +1] {a=1;', 5, 44, "Expected , or } after the attribute."),
    (
        '%1 = dev.kernel("k") @gpu0.s7 [0 +1] {a=1} <- %2;',
        5,
        46,
        "Attributes stand last in a statement: put this before the brace.",
    ),
    ('%1 = dev.kernel("k") @gpu0.s7 [0 +1] {};', 5, 41, "Expected an attribute, as in {key=value}."),
    ('%1 = dev.kernel("k") @gpu0.s7 [0 +1] {a=1, a=2};', 5, 46, "The attribute a is given twice."),
    (
        '%1 = dev.kernel("k") @gpu0.s7 [0 +1] <- %2;',
        5,
        43,
        "The event %2 is not in this text; if it lies outside, declare it: extern %2;",
    ),
    (
        '%1 = dev.kernel("k") @gpu0.s7 [0 +1] {x.y=1};',
        5,
        41,
        "The column x.y is not declared; declare it: column x.y : event<i64>;",
    ),
    (
        '%1 = dev.kernel("k") @gpu0.s7 [0 +1] "x";',
        5,
        40,
        "Expected one of <-, in, enqueue, after, flow, peer, to, dead, attributes in braces, or ; here.",
    ),
    ('%1 = dev.kernel("\\q") @gpu0.s7 [0 +1];', 5, 19, "There is no escape \\q in strings."),
    ('%1 = dev.kernel("k") @gpu0.s7 [1.5 +1];', 5, 34, "The time 1.5 is not a whole number of nanoseconds."),
    (
        '%1 = dev.kernel("k") @gpu0.s7 [9223372036854775807 +1];',
        5,
        34,
        "The event's time is out of range: times are 64-bit integers of nanoseconds.",
    ),
    (
        '%99999999999999999999999 = dev.kernel("k") @gpu0.s7 [0 +1];',
        5,
        3,
        "The id %99999999999999999999999 is out of range.",
    ),
    (
        '%1 = dev.kernel("k") @gpu0.s7 [0 +1];\n  %1 = dev.kernel("k") @gpu0.s7 [0 +1];',
        6,
        3,
        "The id %1 is given twice.",
    ),
    ("lan @g : dev.stream;", 5, 3, "Expected a lane, pass, column, region, event, block or a closing } here."),
    ("lane gpu0 : dev.stream;", 5, 8, "A lane's name begins with @, as in lane @gpu0.s7 : dev.stream;"),
    ('lane "g" : dev.stream;', 5, 8, "A lane's name begins with @, as in lane @gpu0.s7 : dev.stream;"),
    ("lane @g : dev.straem;", 5, 13, "There is no kind of lane dev.straem; did you mean dev.stream?"),
    ("lane @g dev.stream;", 5, 11, "A lane is written as lane @name : kind {…}; and its kind is missing here."),
    ("lane @gpu0.s7 : dev.stream;", 5, 8, "The lane @gpu0.s7 is declared twice."),
    ('lane @g : dev.stream {device="0"};', 5, 25, "The attribute device has to be a whole number."),
    ("lane @g : dev.stream {devise=0};", 5, 25, "A lane has no attribute devise; did you mean device?"),
    ("pass p1 overlap;", 5, 11, "A pass is written as pass p1 = name{option=value};"),
    ("pass p1 = Overlap;", 5, 13, "A pass is written as pass p1 = name{option=value};"),
    ("pass p1 = infer; pass p1 = infer;", 5, 25, "The pass p1 is given twice."),
    ("column a.b : event<i65>;", 5, 22, "There is no dtype i65; did you mean i64?"),
    (
        "column a.b : evnt<i64>;",
        5,
        10,
        "The annotation domain 'evnt' is none of event, edge, lane, module, region:<tree> and table:<name>.",
    ),
    ("column a.b : event<i64> by p9;", 5, 30, "There is no pass p9; there are none."),
    ("column a.b event<i64>;", 5, 14, "A column is written as column name : domain<dtype, unit> by p1;"),
    (
        'column a.b : event<i64> {units="ns"};',
        5,
        28,
        "A column has no attribute units; there are doc, null, basis, shown, values.",
    ),
    ("column ab : event<i64>;", 5, 10, "The annotation name 'ab' is not of the form <word>.<column>, in lower case."),
    ("kinds a b", 5, 11, "Kinds of events are separated by commas, as in kinds dev.kernel, rt.launch;"),
    ("health x : eror;", 5, 14, "There is no level eror; did you mean error?"),
    ("health x error;", 5, 12, 'A finding is written as health code : level {count=1, message="…"};'),
    ("health x : error {cont=1};", 5, 21, "A finding has no attribute cont; did you mean count?"),
    ("meta k = {a: 1};", 5, 13, "The metadata is not JSON: Expecting property name enclosed in double quotes."),
    ('meta k = {"a": 1}', 5, 3, 'Metadata is written as meta key = {"member": 1};'),
    ('meta k {"a": 1};', 5, 3, 'Metadata is written as meta key = {"member": 1};'),
    ("order;", 5, 8, "That rows stand in the order of the text is written as order written;"),
    ("extern %5..%3;", 5, 10, "The range ends before it begins; write it as %3..%5."),
    ("region @s : step { lane @x : host.thread; }", 5, 27, "In a region stand regions and events alone."),
    ("region @s step { }", 5, 13, "A region is written as region @name : kind, and its kind is missing here."),
    ("region @s : step %1;", 5, 20, "Expected ; at the end of the item before this one."),
    (
        'region @s : step { %1 = dev.kernel("k") @gpu0.s7 [0 +1];',
        6,
        2,
        "The text ends in the middle: a closing } or ; is missing.",
    ),
    (
        "region @s : step = { %9 };",
        5,
        24,
        "The event %9 is not in this text; if it lies outside, declare it: extern %9;",
    ),
    ('strings {\n  "a"\n  "a"\n  }', 5, 11, "The string pool holds a text twice."),
    ("strings {\n  a\n  }", 6, 3, "Each line of the string pool is one text in quotes."),
    ("events [id kind] {\n  1 2\n  }", 5, 11, "The events block lacks the column name."),
    (
        'kinds dev.kernel; strings { "k" }\n  events [id kind name ts dur lane] {\n  1 0 0 0 1\n  }',
        7,
        11,
        "The row has 5 cells, and the block has 6 columns: id, kind, name, ts, dur, lane.",
    ),
    (
        'kinds dev.kernel; strings { "k" }\n  events [id kind name ts dur lane] {\n  1 0 0 0 1 0 0\n  }',
        7,
        13,
        "The row has 7 cells, and the block has 6 columns: id, kind, name, ts, dur, lane.",
    ),
    (
        'kinds dev.kernel; strings { "k" }\n  events [id kind name ts dur lane] {\n  1 0 0 0 99999999999999999999 0\n  }',
        7,
        11,
        "The column dur holds times of 64 bits in ns, or with a unit.",
    ),
    (
        'kinds dev.kernel; strings { "k" }\n  events [id kind name ts dur lane live] {\n  1 0 0 0 1 0 7\n  }',
        7,
        15,
        "The column live holds 1 for an event that is there, and 0 for one removed.",
    ),
    (
        'kinds dev.kernel; strings { "k" }\n  events [id kind name ts dur lane] {\n  1 5 0 0 1 0\n  }',
        7,
        5,
        "The kind 5 is no code: the codes are 0 to 0.",
    ),
    (
        'kinds dev.kernel; strings { "k" }\n  events [id kind name ts dur lane parent] {\n  1 0 0 0 1 0 8\n  }',
        7,
        15,
        "The parent %8 is not in the text.",
    ),
    (
        "events [id kind name ts dur lane] {\n  1 0 0 0 1 0",
        7,
        2,
        "The text ends in the middle: a closing } or ; is missing.",
    ),
    ("table t [x.a] { 1 }", 5, 12, "The column x.a is not declared; declare it: column x.a : event<i64>;"),
    ("column x.a : table:t<i64>;", 5, 10, "The column x.a is one of table:t, and the text has no such table."),
    (
        'column x.a : event<i64>;\n  %1 = dev.kernel("k") @gpu0.s7 [0 +1];\n  values [id x.a] {\n  _ 1\n  }',
        8,
        3,
        "The column id has no null.",
    ),
    (
        'column x.a : event<i64>;\n  %1 = dev.kernel("k") @gpu0.s7 [0 +1];\n  values [id x.a] {\n  5 1\n  }',
        8,
        3,
        "The event of this id is not in the text.",
    ),
    (
        'column x.a : event<bool>;\n  %1 = dev.kernel("k") @gpu0.s7 [0 +1] {x.a=3};',
        6,
        41,
        "The value of x.a has to be true or false.",
    ),
    (
        'column x.a : event<enum> {values=["up","down"]};\n  %1 = dev.kernel("k") @gpu0.s7 [0 +1] {x.a=dwn};',
        6,
        41,
        "The value dwn is none of x.a; did you mean down?",
    ),
    (
        'column x.a : event<u32>;\n  %1 = dev.kernel("k") @gpu0.s7 [0 +1] {x.a=-1};',
        6,
        41,
        "The number -1 is out of the range of u32.",
    ),
    (
        'column x.a : event<i64>;\n  %1 = dev.kernel("k") @gpu0.s7 [0 +1] {x.a=2us};',
        6,
        41,
        "The column x.a is not one of ns, so 2us is no value of it.",
    ),
    (
        '%1 = dev.kernel("k") @host [0 +1];',
        5,
        3,
        "This breaks a rule of the IR, V12 lane-allowed: 1 events lie on a lane that is not for them, such as dev.kernel on a host.thread lane.",
    ),
    (
        '%1 = host.op("k") @host [0 +1] in %2;\n  %2 = host.op("k") @host [0 +1] in %1;',
        5,
        3,
        "This breaks a rule of the IR, V09 parent-acyclic: 2 events have a circle of parents above them.",
    ),
    (
        'extern %1;\n  %1 = dev.kernel("k") @gpu0.s7 [0 +1];',
        6,
        3,
        "The event %1 is declared to lie outside, and it is here.",
    ),
    (
        '%1 = dev.kernel("k") @gpu0.s7 [0 +1] to lanch %1;',
        5,
        43,
        "There is no kind of edge lanch; did you mean launch?",
    ),
    (
        '%1 = dev.kernel("k") @gpu0.s7 [0 +1] {p=%1};',
        5,
        41,
        "The value of p has to be a number, a text in quotes, true, false, null or a list.",
    ),
    (
        '%1 = coll.all_reduce("k") @gpu0.s7 [0 +1];',
        5,
        8,
        'There is no kind of event coll.all_reduce; there are host.op, host.frame, host.range, rt.launch, rt.graph_launch, rt.memcpy, rt.memset, rt.sync …. An unknown dialect\'s is written in quotes: "coll.all_reduce"(…).',
    ),
    ("edges [src dst] {\n  1 1\n  }", 5, 10, "The edges block lacks the column kind."),
    (
        'region @a : step { %1 = dev.kernel("k") @gpu0.s7 [0 +1]; }\n  region @b : other of step = { %1 };',
        6,
        33,
        "An event of this range is in another region of the tree step already.",
    ),
    ("module @x {", 5, 3, "Expected a lane, pass, column, region, event, block or a closing } here."),
    ("}", 6, 1, "A text holds one module, and something follows it."),
    ("$", 5, 3, "Expected a lane, pass, column, region, event, block or a closing } here."),
    ("/* x */", 5, 3, "Expected a lane, pass, column, region, event, block or a closing } here."),
    ("%1", 5, 5, "Expected ; at the end of the event."),
    ("column a.b : event<i64>; column a.b : event<i64>;", 5, 35, "The column a.b is declared twice."),
    ('health x : error {poisons="a"};', 5, 21, "The attribute poisons has to be a list of texts."),
    ("column x.a : event<i64>;\n  values [x.a] {\n  1\n  }", 6, 11, "The first column of a values block is id."),
    (
        "column x.a : event<i64>;\n  table pairs [x.a] {\n  1\n  }",
        6,
        16,
        "The column x.a is one of event, not of table:pairs.",
    ),
    ("events [id kind nam] {\n  1 2 3\n  }", 5, 19, "There is no column nam of events; did you mean name?"),
    ('%1 = dev.kernel("k") @gpu0.s7 [0 +1] in %1, %2;', 5, 45, "An event lies in one other event only."),
    ("order written; order writen;", 5, 24, "That rows stand in the order of the text is written as order written;"),
    (
        'kinds dev.kernel;\n  strings {\n  "k"\n  }\n  events [id id kind name ts dur lane] {\n  }',
        9,
        11,
        "The column id is given twice.",
    ),
    ("lane @g : dev.stream {device=1.5};", 5, 25, "The attribute device has to be a whole number."),
    (
        "region @s : step {kind=prefill} {\n  }",
        5,
        21,
        "The attribute kind needs the pass that wrote it: kind is short for <pass>.kind.",
    ),
    ('%-1 = dev.kernel("k") @gpu0.s7 [0 +1];', 5, 3, "An event begins with its id, such as %4."),
    (
        '%1 = dev.kernel("k") @gpu0.s7 [0 +1] <- %0..%9999999999;',
        5,
        43,
        "The range stands for 10000000000 events, and 1000000 is the most.",
    ),
    ("pass p1 = infer{;", 6, 2, "The text ends in the middle: a closing } or ; is missing."),
    ('%1 = dev.kernel("k") @gpu0.s7 [0 +1] enqueue;', 5, 47, "Expected an id such as %4 here."),
    ('%1 = dev.kernel("k") @gpu0.s7 [0 +1] dead', 5, 44, "Expected ; at the end of the event."),
    (
        'column x.a : event<u32>;\n  %1 = dev.kernel("k") @gpu0.s7 [0 +1];\n  values [id x.a] {\n  1 -3\n  }',
        8,
        5,
        "The value of x.a has to be a whole number from 0 to 4294967295.",
    ),
    ("meta k = 1e999;", 5, 3, "The metadata holds a number that is out of range."),
    (
        'column x.a : event<f64>;\n  %1 = dev.kernel("k") @gpu0.s7 [0 +1] {x.a=1e999};',
        6,
        45,
        "The number 1e999 is out of range.",
    ),
    ("meta k = [[[[", 5, 3, 'Metadata is written as meta key = {"member": 1};'),
    (
        '%1 = dev.kernel("k") @gpu0.s7 [0 +1] {a=[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]};',
        5,
        3,
        "Lists and objects nest more than 64 deep here.",
    ),
)

# Texts that are wrong as a whole.
TEXTS: Final = (
    ("", 1, 1, 'The text holds no module; it begins with #[traceir "1"] and module @name {.'),
    ("x", 1, 1, 'A text begins with its version, #[traceir "1"].'),
    ('{"traceEvents": []}', 1, 1, 'A text begins with its version, #[traceir "1"].'),
    ("module @m {}", 1, 1, 'A text begins with its version, #[traceir "1"].'),
    ('#[traceir "2"]\nmodule @m {\n}\n', 1, 1, "The text is of version '2', and this traceir reads version '1'."),
    ('#[traceir "1"]\nmodule "m" {\n}\n', 2, 8, "A module's name begins with @, as in module @decode {."),
    ('#[traceir "1"]\nmodule @m\n}\n', 3, 1, "Expected { here."),
    ('#[traceir "1"]\nmodule @m {\n', 2, 12, "The text ends in the middle: a closing } or ; is missing."),
    ('#[traceir "1"]\nmodule @m {\n}\nmodule @n {\n}\n', 4, 1, "A text holds one module, and something follows it."),
    (
        '#[traceir "1"]\nmodule @m {clock="us"} {\n}\n',
        2,
        12,
        'The clock is "ns": all times of a text are in nanoseconds.',
    ),
    ("%1", 1, 1, 'A text begins with its version, #[traceir "1"].'),
    ("#[traceir 1]\nmodule @m {\n}\n", 1, 1, 'A text begins with its version, #[traceir "1"].'),
    ("// only\n", 1, 8, 'The text holds no module; it begins with #[traceir "1"] and module @name {.'),
    ('#[traceir "1"]\nmodule @m {a=[1, x]} {\n}\n', 2, 18, "The word x has to be in quotes here."),
)


@pytest.mark.parametrize(("item", "line", "column", "message"), ITEMS)
def test_a_mistake_in_an_item_is_said_where_it_is(item: str, line: int, column: int, message: str) -> None:
    """The error has the place and the sentence, then the line, then a caret below the place."""
    _says(f"{HEAD}  {item}\n}}\n", line, column, message)


@pytest.mark.parametrize(("text", "line", "column", "message"), TEXTS)
def test_a_mistake_of_a_whole_text_is_said_where_it_is(text: str, line: int, column: int, message: str) -> None:
    """The same for texts that end early, begin late, or are something else."""
    _says(text, line, column, message)


def _says(text: str, line: int, column: int, message: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse(text, path="a.tir")
    error = caught.value
    assert (error.line, error.column, error.message) == (line, column, message)
    first, shown, caret = str(error).split("\n")
    assert first == f"a.tir:{line}:{column}: {message}"
    lines = text.split("\n")
    assert shown == f"  {lines[line - 1].rstrip(chr(13))}"[: len(shown)]
    assert caret == " " * (column + 1) + "^"


def test_each_example_of_a_mistake_gets_its_own_sentence() -> None:
    """No two groups of examples stop the parser in the same place with the same token."""
    from lark.exceptions import UnexpectedInput

    from traceir.text.mistakes import _EVENT, _HEAD, explain
    from traceir.text.parser import _lark

    groups = tomllib.loads(resources.files("traceir.text").joinpath("mistakes.toml").read_text("utf-8"))
    for start, mistakes in groups.items():
        for mistake in mistakes:
            for example in mistake["like"]:
                text = example.replace("{event}", _EVENT).replace("{head}", _HEAD)
                with pytest.raises(UnexpectedInput) as caught:
                    _lark().parse(text, start=start)
                assert explain(text, caught.value, start, _lark())[0] == mistake["says"], example


def test_the_command_line_shows_the_line_and_a_caret(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that cannot be read is bad input: exit code 3."""
    path = tmp_path / "bad.tir"
    path.write_text(HEAD + '  %1 = dev.kernel("k") @gpu0.s8 [0 +1];\n}\n')
    assert main(["run", str(path)]) == 3
    assert capsys.readouterr().err == (
        f"traceir: {path}:5:24: There is no lane @gpu0.s8; did you mean @gpu0.s7?\n"
        '    %1 = dev.kernel("k") @gpu0.s8 [0 +1];\n'
        "                         ^\n"
    )
