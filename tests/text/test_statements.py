"""The fast readers against the slow: a regular expression against the grammar, numpy against rows by the cell."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any, Final, NoReturn

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from traceir.ir import Module
from traceir.registry import Registry
from traceir.testing import HOSTILE, assert_equal, modules
from traceir.text import ParseError, Spelling, parse, rows, spell
from traceir.text.draft import BlockItem, RegionItem, Statement
from traceir.text.errors import MistakeError
from traceir.text.parser import read_draft, read_event
from traceir.text.rows import read_rows
from traceir.text.spelling import Form
from traceir.text.statements import read_statement
from traceir.text.words import quote

REGISTRY: Final = Registry.installed()
LARGEST: Final = (1 << 63) - 1
_STRING: Final = r'"[^"\\\n]*(?:\\.[^"\\\n]*)*"'


def text_of(module: Module, form: Form) -> str:
    """The text of a module with all that it holds."""
    return "".join(spell(module, Spelling(form, dead=True), registry=REGISTRY))


def read(text: str) -> Module:
    """The module of a text."""
    return parse(text, registry=REGISTRY, check=False)


def exact(value: Any) -> Any:
    """A value with the types of all that is in it, so that 1, 1.0, true and -0.0 differ and NaN equals itself."""
    if attrs.has(type(value)):
        return type(value), [exact(getattr(value, field.name)) for field in attrs.fields(type(value))]
    if isinstance(value, dict):
        return dict, [(exact(key), exact(inner)) for key, inner in value.items()]
    if isinstance(value, list | tuple):
        return isinstance(value, tuple), [exact(inner) for inner in value]
    return type(value), repr(value)


def refuse(text: str, at: int) -> NoReturn:
    """Stands for the grammar where it must not be asked."""
    raise AssertionError(f"the grammar was asked for {text!r}")


def fast(text: str, at: int) -> Statement | None:
    """The statement as the regular expression reads it; None if that leaves it to the grammar."""
    try:
        return read_statement(text, at, refuse)
    except AssertionError:
        return None


def slow(text: str, at: int) -> Statement | MistakeError:
    """The statement as the grammar reads it, or what it says is wrong."""
    try:
        return read_event(text, at)
    except MistakeError as mistake:
        return mistake


def statements(items: list[Any]) -> list[Statement]:
    """All statements of a draft, those inside of regions too."""
    out: list[Statement] = []
    for item in items:
        if isinstance(item, Statement):
            out.append(item)
        elif isinstance(item, RegionItem):
            out += statements(item.items)
    return out


# --- statements as they are printed --------------------------------------------------------------------------


def both_read_what_is_printed(module: Module) -> None:
    """Each printed statement is read by the regular expression alone, and the grammar reads the same."""
    text = text_of(module, "statements")
    found = statements(read_draft(text).items)
    assert len(found) == len(module)
    for one in found:
        assert text[one.at :].startswith(one.text)
        assert exact(read_statement(one.text, one.at, refuse)) == exact(read_event(one.text, one.at)) == exact(one)


@given(modules())
def test_the_regular_expression_reads_printed_statements_as_the_grammar_does(module: Module) -> None:
    """Ids, kinds, names, times, clauses, attributes and the offsets of all of them."""
    both_read_what_is_printed(module)


@pytest.mark.slow
@settings(max_examples=2000, derandomize=False)
@given(modules(max_events=16))
def test_the_regular_expression_reads_very_many_statements_as_the_grammar_does(module: Module) -> None:
    """The same with other modules each time."""
    both_read_what_is_printed(module)


# --- statements as people write them -------------------------------------------------------------------------

SPACES: Final = ("", " ", "  ", "\t", "\n", "\r\n", "//\n", ' // ; } "\n', "//// é %1 = x();\n ", "\f", "\v", "\u00a0")
WORDS: Final = (
    "=", "of", "(", ")", "[", "]", "{", "}", ",", ";", "..", "<-", "after", "in", "enqueue", "flow", "peer", "to",
    "dead", "launch", "sync", "parent", "9x", "coll.all_reduce", "coll.", "dev.kernel", '"own.kind"', "x.a", '"x.a"',
    "a", '"a"', "@g", '@"g 7"', "%1", "%2", "%1:7", "%3..%5", "%5..%3", "%4..%4", f"%{LARGEST}", f"%{1 << 63}",
    "%40000:1", "0", "-1", "+1", "+-1", "1.5", "1us", "+1.5us", "0.5ns", "-inf", "inf", "1e3", "1e999", "01", "-0",
    f"{LARGEST}", f"+{LARGEST}", "true", "null", "NaN", "Infinity", "-Infinity", "[1, [2]]", '{"a": [1.5, "b"]}',
    '{"a": 1, "a": 2}', "[-Infinity]", "[-inf]", "[NaN, null, true]", "[+5, 01, -0]", "[a]", '["\\u{41}"]', "[]", "{}",
    '["\\ud83d\\ude00"]', '"\\ud83d"', '"\\q"', '"é\\n\\u0041"', '"', '"a', "é", "5é", "1 2",
)  # fmt: skip
"""What statements are made of, and what they must not hold."""


def tokens_of(draw: st.DrawFn) -> list[str]:
    """The tokens of a sound statement with up to three mistakes."""
    ids = st.sampled_from(("%1", "%2", "%1:7", "%3..%5", "%4..%4", "%0"))
    clause = st.one_of(
        st.tuples(st.sampled_from(("<-", "after", "in", "enqueue", "flow", "peer")), ids).map(list),
        st.tuples(st.sampled_from(("after", "flow")), ids, st.just(","), ids).map(list),
        st.tuples(st.just("to"), st.sampled_from(("launch", "flow")), ids).map(list),
        st.just(["dead"]),
    )
    values = st.sampled_from([word for word in WORDS if word[0] in '0123456789+-"[{%@nNitIx' and word not in '{["'])
    pair = st.tuples(st.sampled_from(("a", "b", '"a"', "x.a", '"x.a"', "dead", "in")), st.just("="), values).map(list)
    out = [
        "%1",
        "=",
        *draw(st.sampled_from(([], [], ["coll.all_reduce", "of"]))),
        draw(st.sampled_from(("dev.kernel", '"own.kind"'))),
    ]
    out += ["(", quote(draw(st.sampled_from(HOSTILE))), ")", draw(st.sampled_from(("@g", '@"g 7"'))), "["]
    out += [
        draw(st.sampled_from(("0", "-1", "1.5us", f"{LARGEST}"))),
        draw(st.sampled_from(("+1", "+-1", "+2us"))),
        "]",
    ]
    for one in draw(st.lists(clause, max_size=3)):
        out += one
    pairs = draw(st.lists(pair, max_size=3))
    for number, one in enumerate(pairs):
        out += ["{" if number == 0 else ",", *one]
    out += [*(["}"] if pairs else []), ";"]
    for _ in range(draw(st.sampled_from((0, 0, 0, 0, 1, 2)))):
        at = draw(st.integers(0, len(out) - 1))
        out[at : at + draw(st.integers(0, 1))] = draw(st.one_of(st.just([]), st.sampled_from(WORDS).map(lambda w: [w])))
    return out


@st.composite
def written(draw: st.DrawFn) -> str:
    """A statement, sound or not, as printers would write it, with up to two other blanks between its tokens."""
    tokens = tokens_of(draw)
    odd = draw(st.dictionaries(st.integers(0, len(tokens) - 1), st.sampled_from(SPACES), max_size=2))
    text = ""
    for number, (token, following) in enumerate(pairwise([*tokens, ""])):
        inside = number > 5 and "=" in (token, following)
        tight = token in ("(", "[", "{", "") or following in ("(", ")", "]", "}", ",", ";", "") or inside
        text += token + odd.get(number, "" if tight else " ")
    return text.strip(" \t\r\n")


def the_regular_expression_takes_nothing_else(text: str, at: int) -> None:
    """What the regular expression reads is what the grammar reads; it never takes what that refuses."""
    if (found := fast(text, at)) is None:
        return
    known = slow(text, at)
    assert isinstance(known, Statement), f"the grammar says of {text!r}: {known}"
    assert exact(found) == exact(known)


@settings(max_examples=150)
@given(written(), st.integers(0, 1000))
def test_the_regular_expression_takes_nothing_that_the_grammar_refuses(text: str, at: int) -> None:
    """Whatever is written: it agrees with the grammar, or leaves it to the grammar."""
    the_regular_expression_takes_nothing_else(text, at)


@pytest.mark.slow
@settings(max_examples=20_000, derandomize=False)
@given(written(), st.integers(0, 1000))
def test_the_regular_expression_takes_nothing_of_very_much_that_the_grammar_refuses(text: str, at: int) -> None:
    """The same with other statements each time."""
    the_regular_expression_takes_nothing_else(text, at)


HEAD: Final = '%9 = dev.kernel("k") @g [0 +1]'


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        (f"{HEAD} in %0..%2;", 37, "An event lies in one other event only."),
        (f"{HEAD} in %0, %2;", 37, None),
        (f"{HEAD} in %0 in %2;", 41, "An event lies in one other event only."),
        (f'{HEAD} {{a=1, "a"=2}};', 38, "The attribute a is given twice."),
        (f"{HEAD} {{a=1, a=2}};", 38, "The attribute a is given twice."),
        (f"{HEAD}\f;", 31, None),
        (f"{HEAD}\v;", 31, None),
        (f"{HEAD} <- %3..%1;", 35, "The range ends before it begins; write it as %1..%3."),
        (f'%9 = dev.kernel("k") @g [{LARGEST} +1];', 26, None),
        (f"{HEAD} {{a=[{'1' * 5000}]}};", 36, None),
        (f"{HEAD} {{a={'[' * 65}1{']' * 65}}};", None, "Lists and objects nest more than 64 deep here."),
    ],
)
def test_both_readers_refuse_the_same(text: str, column: int | None, message: str | None) -> None:
    """Odd statements, of which the regular expression must not make sense in its own way."""
    assert fast(text, 0) is None
    with pytest.raises(MistakeError) as caught:
        read_statement(text, 0, read_event)
    if message is not None:
        assert caught.value.message == message
    if column is not None:
        assert caught.value.at == column - 1


@pytest.mark.parametrize("value", ["[-Infinity]", "[NaN, Infinity]", '{"a": [1, 2.5, "b", null]}', "-inf", "1e3", "01"])
def test_both_readers_take_the_same_values(value: str) -> None:
    """Numbers and JSON that the printers may write are read by the grammar too."""
    text = f"{HEAD} {{a={value}}};"
    assert exact(fast(text, 5)) == exact(slow(text, 5))


# --- white space and comments --------------------------------------------------------------------------------

_BLOCK: Final = (
    rf"(?<=\n  )(?:strings|(?:events|values|edges|regions \S+|table \S+) \[[^\]\n]*\]) \{{(?:[^}}\"]|{_STRING})*\}}"
)
_TOKEN: Final = re.compile(
    rf"({_BLOCK}|(?<=\n  )(?:meta|pass) (?:[^;\"]|{_STRING})*;|#\[traceir \"1\"\]|//[^\n]*"
    r"|[+-]?\d+(?:\.\d+)?(?:[eE][+-]\d+)?\w*|-inf"
    rf"|coll\.\w+ of|@?{_STRING}|\.\.|<-|%[\d:]+|@?[A-Za-z0-9_][A-Za-z0-9_.-]*|\S)(\s*)"
)
"""A token of a printed text (or what may not be taken apart) and the blanks behind it, found without the grammar."""
_BETWEEN: Final = ("", " ", "\n", "\t\r\n", "  // %1 = x;\n", ' // "} {\n', "//\n", "\r\n\r\n")


def taken_apart(text: str) -> list[tuple[str, str]]:
    """The tokens of a printed text, each with the blanks behind it."""
    out = [(found.group(1), found.group(2)) for found in _TOKEN.finditer(text)]
    assert "".join(token + blanks for token, blanks in out) == text
    return out


@given(modules(max_events=5), st.data())
def test_white_space_and_comments_mean_nothing(module: Module, data: st.DataObject) -> None:
    """Any between two tokens, and on lines of their own in blocks, gives the same module."""
    text = text_of(module, data.draw(st.sampled_from(("statements", "table"))))
    tokens = taken_apart(text)
    odd = data.draw(st.lists(st.sampled_from(_BETWEEN), min_size=3, max_size=23))
    noisy = "".join(
        token + blanks + (odd[number % len(odd)] if not token.startswith("//") or blanks else "")
        for number, (token, blanks) in enumerate(tokens)
    )
    again = read(odd[0] + noisy)
    assert_equal(read(text), again)
    assert text_of(again, "statements") == text_of(module, "statements")


def test_blanks_stand_where_they_need_not() -> None:
    """All between tokens may go, and newlines may stand everywhere."""
    dense = (
        '#[traceir "1"]module@m{lane@g:dev.stream{device=0,stream=7};lane@c:host.thread{pid=1};pass p1=x;'
        "column x.a:event<i64,ns>by p1;extern%8;region@r:s by p1{"
        '%1=rt.launch("l")@c[0+2]in%8;%2=dev.kernel("k")@g[5+2]<-%1 after%8{x.a=3};}'
        "region@t:u by p1={@c:%1,@g:%2};}"
    )
    wide = "\n".join(re.findall(r'#\[traceir "1"\]|"[^"]*"|@\w+|%\d+|\+\d+|[\w.]+|<-|\S', dense))
    printed = text_of(read(wide), "statements")
    assert_equal(read(dense), read(wide))
    assert text_of(read(dense), "statements") == printed
    assert '    %2 = dev.kernel("k") @g [5 +2] <- %1 after %8 {x.a=3};\n' in printed


# --- rows ----------------------------------------------------------------------------------------------------

CELLS: Final = st.one_of(
    st.integers(-3, 20).map(str),
    st.sampled_from(("_", "-1", "0", "007", "-0", f"{LARGEST}", f"{-LARGEST - 1}", f"{LARGEST + 1}", "4294967295")),
    st.integers(-(1 << 65), 1 << 65).map(str),
)
DECIMALS: Final = st.one_of(
    st.floats(allow_nan=False).map(repr),
    st.sampled_from(("_", "1", "-0.0", "0.1", "1e3", "-inf", "inf", "1e999", f"{(1 << 53) + 1}", "1.", "_1")),
    st.sampled_from(("1_0", "nan", "infinity", "1e", "--1", "1-1", "0x1", "e", "inf1", "- 1", "1;")),
)


def listed(block: BlockItem, decimals: frozenset[str]) -> Any:
    """The cells of a block as they are stored, or what is wrong with them."""
    try:
        cells = read_rows(block, decimals)
    except MistakeError as mistake:
        return mistake.message
    return {name: [stored(value, name in decimals) for value in column.listed()] for name, column in cells.items()}


def stored(value: Any, decimal: bool) -> str | None:
    """What a cell is stored as, told apart by type and sign."""
    if value is None or type(value) not in (int, float):
        return None if value is None else f"{type(value).__name__} {value}"
    return repr(float(value)) if decimal else repr(value)


@settings(max_examples=120)
@given(st.data(), st.integers(1, 4))
def test_numpy_reads_rows_as_they_are_read_by_the_cell(data: st.DataObject, wide: int) -> None:
    """Numbers at the limits, nulls, odd spellings and rows of a wrong length: a comment must not change any of it."""
    names = [f"c{number}" for number in range(wide)]
    decimals = frozenset(name for name in names if data.draw(st.booleans()))
    cells = [DECIMALS if name in decimals else CELLS for name in names]
    rows = data.draw(st.lists(st.tuples(*cells), max_size=4))
    lines = [" ".join(row) for row in rows]
    if lines and data.draw(st.sampled_from((False, False, False, True))):
        lines[-1] += data.draw(st.sampled_from((" 1", " _", "1", " ", "\t")))
    text = "\n" + "".join(f"{line}\n" for line in lines) + "  "

    def block(rows: str) -> BlockItem:
        return BlockItem("table", "t", names, rows, 1, 0)

    plain = listed(block(text), decimals)
    assert plain == listed(block(f"// by the cell\n{text}"), decimals)
    assert plain == listed(block(text.replace(" ", "   ")), decimals)
    assert plain == listed(block(text.replace("\n", "\r\n")), decimals)


@pytest.mark.parametrize(
    "cell", ["1.", ".5", "-.5", "+1", "+0.5", "1e+3", "1E3", "-inf", "+inf", "--1", "1_0", "_1", "1-"]
)
def test_odd_numbers_are_read_alike(cell: str) -> None:
    """Numpy and Python know more spellings of numbers than a text may hold."""
    block = BlockItem("table", "t", ["c"], f"\n{cell}\n", 1, 0)
    apart = attrs.evolve(block, rows=f"// by the cell\n{cell}\n")
    for decimals in (frozenset[str](), frozenset({"c"})):
        assert listed(block, decimals) == listed(apart, decimals)


def test_numpy_reads_what_the_printer_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the tests above compare the slow way with itself."""
    asked: list[BlockItem] = []
    by_cell = rows._cells

    def spied(block: BlockItem) -> dict[str, rows.Cells]:
        asked.append(block)
        return by_cell(block)

    monkeypatch.setattr(rows, "_cells", spied)
    text = "\n1 _ 0.5\n-7 3 _\n  "
    block = BlockItem("table", "t", ["a", "b", "c"], text, 1, 0)
    read_rows(block, frozenset({"c"}))
    assert not asked
    for apart in (text.replace(" _", "  _"), f"// by the cell\n{text}"):
        read_rows(attrs.evolve(block, rows=apart), frozenset({"c"}))
        assert asked.pop().rows == apart


def slowed(token: str) -> str:
    """A block that has to be read by the cell; any other token as it is."""
    head, brace, rows = token.partition(" {\n")
    if not brace or not re.match(r"(?:events|values|edges|regions|table)\b", head):
        return token
    if len(rows) % 2:
        return f"{head} {{ // by the cell\n{rows}"
    return f"{head} {{\n" + re.sub(r"(?m)^(\S+) ", r"\1   ", rows)


@given(modules())
def test_blocks_read_by_the_cell_give_the_same_module(module: Module) -> None:
    """A comment in each block, or a second blank in each row, changes nothing."""
    text = text_of(module, "table")
    spread = "".join(slowed(token) + blanks for token, blanks in taken_apart(text))
    again = read(spread)
    assert_equal(module, again)
    assert text_of(again, "table") == text


NUMBERS: Final = """#[traceir "1"]
module @m {
  column x.i : table:t<i64>;
  column x.u : table:t<u32>;
  column x.f : table:t<f64>;
  column x.b : table:t<bool>;
  table t [x.i x.u x.f x.b] {
%s
  }
}
"""


@given(st.lists(st.tuples(CELLS, CELLS, DECIMALS, st.sampled_from("0011127_")), max_size=3))
def test_stored_numbers_do_not_depend_on_the_way_they_are_read(rows: list[tuple[str, str, str, str]]) -> None:
    """Either way the columns are equal, or both refuse a cell that is no number or out of its dtype's range."""
    lines = "\n".join(" ".join(row) for row in rows)

    def read_or_message(text: str) -> Any:
        try:
            return read(NUMBERS % text)
        except ParseError as error:
            return error.message

    plain, apart = read_or_message(lines), read_or_message(f"// by the cell\n{lines}")
    assert isinstance(plain, Module) == isinstance(apart, Module), (plain, apart)
    if isinstance(plain, Module) and isinstance(apart, Module):
        assert_equal(plain, apart)
