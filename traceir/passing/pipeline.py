"""The text of pipelines: `group{by=auto},overlap` to passes and back."""

from __future__ import annotations

import functools
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

_GLUED = re.compile(r"^([a-z][a-z0-9-]*?)([a-z][a-z0-9_]*)=")


@attrs.frozen
class Item:
    """One pass of a pipeline as written: its word, its options as texts, and its column (from 1)."""

    word: str
    settings: tuple[tuple[str, str], ...]
    column: int


@functools.cache
def _grammar() -> Lark:
    from lark import Lark

    text = resources.files("traceir.passing").joinpath("pipeline.lark").read_text("utf-8")
    return Lark(text, parser="lalr", lexer="contextual", propagate_positions=True)


def parse_items(text: str, known: Sequence[str] = ()) -> list[Item]:
    """The items of a pipeline text; a UsageError points at the column of a mistake. O(length)."""
    from lark.exceptions import UnexpectedInput

    try:
        tree: Any = _grammar().parse(text)
    except UnexpectedInput as error:
        raise UsageError(_explain(text, error, known)) from None
    return [_item(node) for node in tree.children if node is not None]


def _item(node: Any) -> Item:
    word, *settings = node.children
    pairs: dict[str, str] = {}
    for setting in settings:
        if setting is None:
            continue
        key, value = str(setting.children[0]), setting.children[1]
        if key in pairs:
            raise UsageError(f"The option {key} of {word} is given twice.")
        pairs[key] = "+".join(str(part.children[0]) for part in value.children) if value is not None else ""
    return Item(str(word), tuple(pairs.items()), word.column)


def _explain(text: str, error: Any, known: Sequence[str]) -> str:
    at = len(text) + 1 if getattr(error, "token", None) is not None and error.token.type == "$END" else error.column
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
    return (
        f"The pipeline cannot be read at column {at}; a pipeline is pass names with options, "
        f"such as 'group,overlap{{versus=any}}':\n  {text}\n  {' ' * (at - 1)}^"
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
            raise UsageError(f"{str(error)[:-1]} (column {item.column} of the pipeline).") from None
    return passes


def spell(passes: Sequence[Pass], *, every: bool = False) -> str:
    """The text of passes, which parses back to equal ones; `every` spells out defaults too."""
    return ",".join(item.text(every=every) for item in passes)
