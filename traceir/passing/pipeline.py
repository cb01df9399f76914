"""The text of pipelines: `group{by=auto},overlap` to passes and back."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable, Sequence
from importlib import resources
from typing import TYPE_CHECKING, Any

import attrs

from traceir.errors import UsageError
from traceir.passing.base import Pass

if TYPE_CHECKING:
    from lark import Lark

    from traceir.registry import Registry

_WORDS = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*(?:,[a-z][a-z0-9]*(?:-[a-z0-9]+)*)*\Z")
"""Names and commas and nothing else, as most pipelines are, for which the grammar need not be built."""
_GLUED = re.compile(r"^([a-z][a-z0-9-]*?)([a-z][a-z0-9_]*)=")


@attrs.frozen
class Item:
    """One pass of a pipeline as written: its word, its options as texts, and its line and column (from 1).

    `places` are the lines and columns of the options' words.
    """

    word: str
    settings: tuple[tuple[str, str], ...]
    column: int
    line: int = 1
    places: tuple[tuple[int, int], ...] = ()

    def place(self, option: str | None = None) -> str:
        """Where the item stands, or one of its options: `column 7`, or `line 2, column 3` below the first line."""
        for (name, _), place in zip(self.settings, self.places, strict=True):
            if name == option:
                return _place(*place)
        return _place(self.line, self.column)


def _place(line: int, column: int) -> str:
    return f"column {column}" if line == 1 else f"line {line}, column {column}"


@functools.cache
def _grammar() -> Lark:
    from lark import Lark

    text = resources.files("traceir.passing").joinpath("pipeline.lark").read_text("utf-8")
    return Lark(text, parser="lalr", lexer="contextual", propagate_positions=True)


def parse_items(text: str, known: Sequence[str] = ()) -> list[Item]:
    """The items of a pipeline text; a UsageError points at the column of a mistake. O(length)."""
    if _WORDS.match(text):
        words = text.split(",")
        columns = itertools.accumulate((len(word) + 1 for word in words[:-1]), initial=1)
        return [Item(word, (), column) for word, column in zip(words, columns, strict=True)]
    from lark.exceptions import UnexpectedInput

    try:
        tree: Any = _grammar().parse(text)
    except UnexpectedInput as error:
        raise UsageError(_explain(text, error, known)) from None
    return [_item(node) for node in tree.children if node is not None]


def _item(node: Any) -> Item:
    word, *settings = node.children
    pairs: dict[str, str] = {}
    places: list[tuple[int, int]] = []
    for setting in settings:
        if setting is None:
            continue
        key, value = setting.children
        if str(key) in pairs:
            place = _place(key.line, key.column)
            raise UsageError(f"The option {key} of {word} is given twice, the second time at {place}.")
        pairs[str(key)] = "+".join(str(part.children[0]) for part in value.children) if value is not None else ""
        places.append((key.line, key.column))
    return Item(str(word), tuple(pairs.items()), word.column, word.line, tuple(places))


def _explain(text: str, error: Any, known: Sequence[str]) -> str:
    ended = getattr(error, "token", None) is not None and error.token.type == "$END"
    before = text if ended else text[: error.pos_in_stream]
    line, at = before.count("\n") + 1, len(before) - before.rfind("\n")
    for part in text.split(","):
        glued = _GLUED.match(part.strip())
        word = next((w for w in known if part.strip().startswith(w) and "=" in part and "{" not in part), None)
        if glued and word:
            return (
                f"The pipeline {text!r} reads as if your shell expanded the braces (at {part.strip()!r}): "
                "quote the pipeline, as in --passes 'name{key=value}'."
            )
    for part in text.split(","):
        word = part.partition("{")[0].strip()
        if (meant := word.lower().replace("_", "-")) != word and meant in known:
            return f"There is no pass {word!r}; did you mean {meant}."
    # A tab is as wide as a space here, so that the caret stands below what it means.
    shown = text.split("\n")[line - 1].replace("\t", " ")
    return (
        f"The pipeline cannot be read at {_place(line, at)}; a pipeline is pass names with options, "
        f"such as 'group,overlap{{versus=any}}':\n  {shown}\n  {' ' * (at - 1)}^"
    )


def parse(text: str, registry: Registry) -> list[Pass]:
    """The passes of a pipeline text; named pipelines are expanded.

    Unknown passes, options and bad values are UsageErrors; nothing is run.
    """
    passes: list[Pass] = []
    for item in parse_items(text, [name for name, _ in registry.all("passes")]):
        named = registry.entries["pipelines"].get(item.word)
        if named is not None:
            if item.settings:
                raise UsageError(f"The pipeline {item.word} takes no options; write its passes out: {named.target}.")
            passes.extend(parse(str(named.target), registry))
            continue
        try:
            cls: Callable[[dict[str, str]], Pass] = registry.find("passes", item.word).from_text
            passes.append(cls(dict(item.settings)))
        except UsageError as error:
            place = item.place(getattr(error, "option", None))
            raise UsageError(f"{str(error)[:-1]} ({place} of the pipeline).") from None
    return passes


def spell(passes: Sequence[Pass], *, every: bool = False) -> str:
    """The text of passes, which parses back to equal ones; `every` spells out defaults too."""
    return ",".join(item.text(every=every) for item in passes)
