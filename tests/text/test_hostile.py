"""Hostile texts: the reader gives a module or says where the text is wrong, soon and in little memory."""

from __future__ import annotations

import ast
import contextlib
import functools
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import traceir as tir
from tests.conftest import ROOT
from traceir.errors import InputError
from traceir.ir import Module
from traceir.registry import Registry
from traceir.testing import assert_equal, assert_sound
from traceir.text import ParseError, Spelling, parse, spell
from traceir.text.spelling import Form

FORMS: Final[tuple[Form, ...]] = ("statements", "table")
REGISTRY: Final = Registry.installed()
HEAD: Final = (
    '#[traceir "1"]\nmodule @m {\n  lane @g : dev.stream {device=0, stream=7};\n  lane @c : host.thread {pid=1};\n'
)
EVENT: Final = '%1 = dev.kernel("k") @g [0 +1]'


def text_of(module: Module, form: Form) -> str:
    """The text of a module with all that it holds; only statements hold the source's arguments."""
    return "".join(spell(module, Spelling(form, dead=True, args=form == "statements"), registry=REGISTRY))


# --- bombs ---------------------------------------------------------------------------------------------------

BOMBS: Final = {
    "brackets": 'BODY + EVENT + " {a=" + "[" * 100_000 + "]" * 100_000 + "};"',
    "braces": 'BODY + EVENT + " {a=" + \'{"a":\' * 50_000 + "1" + "}" * 50_000 + "};"',
    "open brackets": 'BODY + EVENT + " {a=" + "[" * 100_000',
    "brackets of meta": 'BODY + "meta k = " + "[" * 100_000 + "]" * 100_000 + ";"',
    "open brackets of meta": 'BODY + "meta k = " + "[" * 100_000 + ";"',
    "brackets of the header": '\'#[traceir "1"] module @m {a=\' + "[" * 100_000 + "]" * 100_000 + "} {"',
    "brackets of a column": 'BODY + "column x.a : event<enum> {values=" + "[" * 100_000 + "]" * 100_000 + "};"',
    "brackets of a pass": 'BODY + "pass p1 = x{a=" + "[" * 100_000 + "]" * 100_000 + "};"',
    "braces of a pass": 'BODY + "pass p1 = x" + "{" * 100_000 + "}" * 100_000 + ";"',
    "parentheses": 'BODY + "%1 = dev.kernel" + "(" * 100_000 + ")" * 100_000 + ";"',
    "open parentheses": 'BODY + "%1 = dev.kernel" + "(" * 100_000',
    "modules": '\'#[traceir "1"] module @m {\' * 30_000',
    "open regions": 'BODY + "region @a : s {" * 20_000',
    "closed regions": 'BODY + "}" * 100_000',
    "listed regions": 'BODY + "region @a : s = {} {" * 20_000',
    "quotes": "'\"' * 1_000_000",
    "quotes inside": "BODY + '\"' * 999_999",
    "quotes of an event": "BODY + '%1 = dev.kernel(' + '\"' * 999_999",
    "pairs of quotes": "BODY + '%1 ' + '\"\"' * 500_000",
    "backslashes": "BODY + '%1 = dev.kernel(\"' + '\\\\' * 1_000_000",
    "backslashes that end": "BODY + '%1 = dev.kernel(\"' + '\\\\' * 1_000_001 + '\") @g [0 +1];'",
    "escapes": "BODY + '%1 = dev.kernel(\"' + '\\\\u{1F600}' * 100_000 + '\") @g [0 +1];'",
    "open escapes": "BODY + '%1 = dev.kernel(\"' + '\\\\u{' * 300_000 + '\") @g [0 +1];'",
    "halves of pairs": "BODY + '%1 = dev.kernel(\"' + '\\\\ud83d' * 100_000 + '\") @g [0 +1];'",
    "percents": "'%' * 1_000_000",
    "percents inside": "BODY + '%' * 1_000_000",
    "events that do not end": "BODY + (EVENT + chr(10)) * 20_000",
    "events without a head": "BODY + '%1;' * 100_000",
    "slashes": "'/' * 1_000_000",
    "slashes inside": "BODY + '/' * 1_000_000",
    "slashes of an event": "BODY + '%1' + '/' * 1_000_000",
    "apart slashes of an event": "BODY + '%1' + '/ ' * 500_000",
    "comments of an event": "BODY + EVENT + '//;' + chr(10) * 2 + ('//\"' + chr(10)) * 200_000",
    "comments": "BODY + ('//' + chr(10)) * 100_000",
    "an open string": "BODY + '%1 = dev.kernel(\"' + 'a' * 1_000_000",
    "open strings": "BODY + ('%1 = dev.kernel(\"k' + chr(10)) * 50_000",
    "open rows": "BODY + 'strings {' + ('\"a' + chr(10)) * 200_000",
    "rows that do not end": "BODY + 'strings {' + ('\"a\"' + chr(10)) * 200_000",
    "an open comment": "BODY + '// ' + 'a' * 1_000_000",
    "an open attribute": "BODY + EVENT + ' {a=' + 'a' * 1_000_000",
    "blanks": "BODY + ' ' * 1_000_000 + '#'",
    "blanks of an event": "BODY + EVENT + ' ' * 300_000 + '#;'",
    "blanks of a clause": "BODY + EVENT + ' <- %1' + ' ' * 300_000 + '#;'",
    "blanks between ids": "BODY + EVENT + ' <- %1' + ' , %1' * 30_000 + ' , #;'",
    "blanks of a kind of edge": "BODY + EVENT + ' to' + ' ' * 300_000 + '#;'",
    "commas": "BODY + EVENT + ' <- ' + ',' * 1_000_000 + ';'",
    "dots of a range": "BODY + 'extern %1' + '.' * 1_000_000 + ';'",
    "signs": "BODY + 'table t [x.a] {' + '-' * 1_000_000 + '}'",
    "a column of cells": "BODY + 'column x.a : table:t<i64>; table t [x.a] {' + '1 ' * 300_000 + '}'",
    "nulls": "BODY + 'column x.a : table:t<i64>; table t [x.a] {' + '_' * 1_000_000 + '}'",
    "exponents": "BODY + 'column x.a : table:t<f64>; table t [x.a] {' + '1e' * 300_000 + '}'",
    "columns of a block": "BODY + 'table t [' + 'x.a ' * 50_000 + '] {}'",
    "digits of a time": "BODY + '%1 = dev.kernel(\"k\") @g [' + '1' * 5000 + ' +1];'",
    "digits of a length": "BODY + '%1 = dev.kernel(\"k\") @g [0 +' + '9' * 5000 + '];'",
    "digits of an id": "BODY + '%' + '1' * 5000 + ' = dev.kernel(\"k\") @g [0 +1];'",
    "digits of an input": "BODY + '%' + '1' * 5000 + ':1 = dev.kernel(\"k\") @g [0 +1];'",
    "digits of a value": "BODY + EVENT + ' {a=' + '1' * 5000 + '};'",
    "digits of a list": "BODY + EVENT + ' {a=[' + '1' * 5000 + ']};'",
    "digits of a header": "'#[traceir \"1\"] module @m {a=' + '1' * 5000 + '} {}'",
    "digits of a lane": "BODY + 'lane @h : dev.stream {device=' + '1' * 5000 + '};'",
    "digits of metadata": "BODY + 'meta k = ' + '1' * 5000 + ';'",
    "digits of an index": "BODY + 'region @a : s {index=' + '1' * 5000 + '} {}'",
    "digits of a name": "BODY + 'region @a.' + '1' * 5000 + ' : s {} '",
    "digits of a cell": "BODY + 'column x.a : table:t<i64>; table t [x.a] {' + '1' * 5000 + '}'",
    "digits of a decimal": "BODY + 'column x.a : table:t<f64>; table t [x.a] {' + '1' * 5000 + '}'",
    "digits of a duration": "BODY + 'column x.a : event<i64, ns>;' + EVENT + ' {x.a=' + '1' * 5000 + 'us};'",
    "decimals of a time": "BODY + '%1 = dev.kernel(\"k\") @g [0.' + '1' * 5000 + 'us +1];'",
    "a range": "BODY + 'extern %2..%9999999999;' + EVENT + ' after %2..%9999999999;'",
    "a range of everything": "BODY + 'extern %2..%9223372036854775807;' + EVENT + ' after %2..%9223372036854775807;'",
    "many ranges": "BODY + 'extern %2..%99999999;' + EVENT + ' after %2..%999999' + ', %2..%999999' * 300 + ';'",
    "ranges of events": "BODY + 'extern %2..%99999999;' + "
    "''.join('%{} = dev.kernel(\"k\") @g [0 +1] after %2..%999999;'.format(10**9 + i) for i in range(300))",
    "a range of members": "BODY + EVENT + '; region @a : s = { %0..%9223372036854775807 };'",
    "many members": "BODY + EVENT + '; region @a : s = { %1' + ', %1' * 30_000 + ' };'",
    "a long range": "BODY + 'extern %2..%999999;' + EVENT + ' after %2..%999999;'",
    "lanes": "BODY + ''.join('lane @h{} : dev.steam;'.format(i) for i in range(10_000))",
    "unknown lanes": "BODY + ''.join('lane @h{} : dev.stream;'.format(i) for i in range(10_000)) + "
    "EVENT.replace('@g', '@h') + ';'",
}  # fmt: skip
"""Expressions that make hostile texts, by what they are; each is evaluated in the process that reads it."""

SOUND: Final = frozenset({
    "brackets of a pass", "escapes", "halves of pairs", "slashes inside", "comments", "an open comment",
    "digits of a name", "a range of members", "a long range",
})  # fmt: skip
"""Bombs that are texts as they should be, only large."""

SECONDS: Final = 15
MIB: Final = 700
"""What a bomb may take: many times what the largest takes, and a small part of what one that goes off would."""

PROGRAM: Final = """
import resource, sys, traceback
from traceir.registry import Registry
from traceir.text import ParseError, parse

BODY, EVENT, seconds, room = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]) << 20
REGISTRY = Registry.installed()
parse('#[traceir "1"] module @m {} ', registry=REGISTRY)
for expression in sys.argv[5:]:
    text = eval(expression) + "\\n}\\n"
    used = resource.getrusage(resource.RUSAGE_SELF)
    limit = int(used.ru_utime + used.ru_stime) + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.getrlimit(resource.RLIMIT_CPU)[1]))
    if room:
        mapped = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (mapped + room, resource.getrlimit(resource.RLIMIT_AS)[1]))
    try:
        parse(text, registry=REGISTRY)
        said = "read"
    except ParseError as error:
        said = str(error)
    except BaseException:
        said = "!! " + traceback.format_exc().splitlines()[-1]
    print(repr(said), flush=True)
"""


@functools.cache
def outcomes() -> dict[str, str]:
    """What each bomb came to. One process reads them in turn; if it dies, that is what its bomb came to."""
    out: dict[str, str] = {}
    room = str(MIB if sys.platform == "linux" else 0)
    while left := [name for name in BOMBS if name not in out]:
        given = [BOMBS[name] for name in left]
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, HEAD, EVENT, str(SECONDS), room, *given],
            capture_output=True,
            check=False,
            encoding="utf-8",
            env={**os.environ, "PYTHONUTF8": "1"},
        )
        said = done.stdout.splitlines()
        out.update(zip(left, map(ast.literal_eval, said), strict=False))
        if len(said) < len(left):
            assert done.returncode, done.stderr
            out[left[len(said)]] = f"!! ended with {done.returncode} {done.stderr[-300:]}"
    return out


@pytest.mark.skipif(sys.platform == "win32", reason="resources are not limited there")
@pytest.mark.parametrize("name", BOMBS)
def test_no_text_hangs_fills_the_memory_or_breaks_the_reader(name: str) -> None:
    """It is read, or refused with a place and a message that is not as long as the text."""
    said = outcomes()[name]
    if name in SOUND:
        assert said == "read"
    else:
        assert said.startswith("<text>:")
        assert [len(line) < 400 for line in said.splitlines()] == [True] * 3


# --- what is deep and yet sound ------------------------------------------------------------------------------


def nested(depth: int) -> str:
    """Regions inside each other, with an event in the innermost."""
    opened = "".join(f"region @r.{number} : s {{\n" for number in range(depth))
    return HEAD + opened + EVENT + ";\n" + "}" * depth + "\n}\n"


def test_ten_thousand_regions_inside_each_other_are_read_and_printed() -> None:
    """Neither reader nor printer recurses."""
    module = parse(nested(10_000), registry=REGISTRY)
    tree = module.tree("s")
    assert len(tree) == 10_000
    assert tree.parent.tolist() == list(range(-1, 9_999))
    assert tree.leaf.tolist() == [9_999]
    for form in FORMS:
        text = text_of(module, form)
        again = parse(text, registry=REGISTRY)
        assert_equal(module, again)
        assert text_of(again, form) == text


def test_values_nest_as_deep_as_said() -> None:
    """Sixty-four lists inside each other are read by either reader, sixty-five are refused."""
    for tail in (";", "//\n;"):
        text = HEAD + EVENT + " {a=" + "[" * 64 + "9" + "]" * 64 + "}" + tail + "}"
        assert len(parse(text, registry=REGISTRY)) == 1
        with pytest.raises(ParseError, match="nest more than 64 deep"):
            parse(text.replace("[9]", "[[9]]"), registry=REGISTRY)


# --- what is cut and torn ------------------------------------------------------------------------------------

EVERY: Final = (ROOT / "tests" / "golden" / "text" / "every.tir").read_text("utf-8")
PRINTED: Final = tuple(text_of(parse(EVERY, registry=REGISTRY), form) for form in FORMS)
ODD: Final = (
    "\0", "\x01", "\x7f", "\ufeff", "\u2028", "\ud800", "é", "\U0001f600", '"', "\\", "{", "}", "[", "]", "(", ")", ";",
    ",", "=", "%", "@", "//", "/", "#", "_", "-", "+", "..", "<-", "\r", "\n", "\t", "\v", "99999999999999999999",
    "null", "region @x : y {", "strings {", "%1", "in %1", 'meta a = "', '"\n', '#[traceir "1"]', "module @m {",
)  # fmt: skip


def read_or_refused(text: str) -> Module | None:
    """The module of a text, or None if it is refused with a place inside the text; any other error fails the test."""
    try:
        return parse(text, registry=REGISTRY)
    except ParseError as error:
        refused = error
    lines = text.split("\n")
    assert 1 <= refused.line <= len(lines)
    assert 1 <= refused.column <= len(lines[refused.line - 1]) + 1
    assert refused.message
    return None


@settings(max_examples=100)
@given(st.sampled_from(PRINTED), st.data())
def test_a_text_that_is_cut_is_refused(text: str, data: st.DataObject) -> None:
    """No prefix is a module, but one that lacks blanks only."""
    at = data.draw(st.integers(0, len(text)))
    assert (read_or_refused(text[:at]) is not None) == (at >= len(text.rstrip()))


@pytest.mark.slow
@pytest.mark.parametrize("text", PRINTED, ids=FORMS)
def test_every_prefix_of_a_text_is_refused(text: str) -> None:
    """At every character."""
    assert all(read_or_refused(text[:at]) is None for at in range(len(text.rstrip())))


@st.composite
def torn(draw: st.DrawFn) -> str:
    """A text with some parts taken out, doubled, moved or written over."""
    text = draw(st.sampled_from(PRINTED))
    for _ in range(draw(st.integers(1, 3))):
        low = draw(st.integers(0, len(text)))
        high = low + draw(st.sampled_from((0, 1, 1, 2, 5, 30, 300)))
        to = draw(st.integers(0, len(text)))
        moved = text[to : to + high - low]
        text = text[:low] + draw(st.one_of(st.sampled_from((*ODD, "", moved)), st.text(max_size=3))) + text[high:]
    return text


def torn_text_is_read_or_refused(text: str) -> None:
    """Nothing but a module, which can be printed and read again, or an error with its place."""
    module = read_or_refused(text)
    if module is not None:
        for form in FORMS:
            assert_equal(module, parse(text_of(module, form), registry=REGISTRY))


@settings(max_examples=120)
@given(torn())
def test_a_text_that_is_torn_is_read_or_refused(text: str) -> None:
    """What is read in spite of all is a module like any other."""
    torn_text_is_read_or_refused(text)


@pytest.mark.slow
@settings(max_examples=20_000, derandomize=False)
@given(torn())
def test_very_much_that_is_torn_is_read_or_refused(text: str) -> None:
    """The same with other texts each time."""
    torn_text_is_read_or_refused(text)


# --- bytes ---------------------------------------------------------------------------------------------------

MARK: Final = b"\xef\xbb\xbf"


@pytest.mark.parametrize("text", PRINTED, ids=FORMS)
@pytest.mark.parametrize(
    ("before", "end", "after"),
    [(MARK, b"\n", b""), (b"", b"\r\n", b""), (MARK + b"\r\n", b"\r\n", b"\r\n\r\n")],
    ids=["mark", "crlf", "both"],
)
def test_marks_and_line_ends_of_other_systems_are_read(
    text: str, before: bytes, end: bytes, after: bytes, tmp_path: Path
) -> None:
    """A byte order mark and CRLF change nothing."""
    path = tmp_path / "k.tir"
    path.write_bytes(before + text.encode().replace(b"\n", end) + after)
    assert_equal(parse(text, registry=REGISTRY), tir.load(path))


def test_a_line_end_of_other_systems_is_no_part_of_an_error(tmp_path: Path) -> None:
    """The column counts from the line's beginning, and what is shown of the line has no carriage return."""
    path = tmp_path / "k.tir"
    path.write_bytes(f"{HEAD}  {EVENT} {{x.a=1}};\n}}\n".replace("\n", "\r\n").encode())
    with pytest.raises(ParseError) as caught:
        tir.load(path)
    assert (caught.value.line, caught.value.column) == (5, 35)
    assert "\r" not in str(caught.value)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"\xff", "its line 5 holds a byte"),
        (b"\xc3", "its line 5 holds a byte"),
        (b"\xed\xa0\x80", "its line 5 holds a byte"),
        (b"\0", ":5:1: "),
        (MARK, ":5:1: "),
        (b"\xc2\xa0", ":5:1: "),
    ],
)
def test_bytes_that_are_no_text_are_refused_with_their_line(raw: bytes, message: str, tmp_path: Path) -> None:
    """Not UTF-8, a NUL, and signs that look like blanks."""
    path = tmp_path / "k.tir"
    path.write_bytes(HEAD.encode() + raw + b"\n}\n")
    with pytest.raises(InputError) as caught:
        tir.load(path)
    assert message in str(caught.value)


@given(st.binary(max_size=40), st.integers(0, 400))
def test_any_bytes_in_a_file_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, raw: bytes, at: int) -> None:
    """Bytes put into a sound file give a module or an InputError, whatever they are."""
    path = tmp_path_factory.getbasetemp() / "bytes.tir"
    whole = PRINTED[0].encode()
    path.write_bytes(whole[:at] + raw + whole[at:])
    with contextlib.suppress(InputError):
        assert_sound(tir.load(path, frontend="tir"))
