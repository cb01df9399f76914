"""`traceir roles`: why a kernel's name has its role, and the table of rules that gives roles."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any, Final

import attrs

from traceir.cli import common
from traceir.errors import UsageError
from traceir.passing import PassManager
from traceir.registry import Registry

PASS: Final = "infer"
"""The pass that gives roles. It is found by its word like any other, and says itself how it came to a role."""


def execute(arguments: argparse.Namespace) -> int:
    """Run the command."""
    registry = common.registry(arguments)
    with common.aside():
        item = _item(registry, arguments.roles)
        if arguments.action == "list":
            lines = list(_listed(item.rules().rules, arguments.verbose))
        else:
            pages = ["\n".join(item.explain(name).lines()) for name in arguments.names]
            lines = ["\n\n".join(pages)]
    print("\n".join(lines))
    return 0


def with_roles(passes: str, roles: str | None, registry: Registry) -> str:
    """A pipeline's text in which the pass that gives roles uses a table of the user's; UsageError if it names another.

    Where the pipeline does not have the pass it comes first, since others would have it inserted without the table.
    """
    if roles is None:
        return passes
    items: list[Any] = list(PassManager.parse(passes, registry=registry).passes) if passes else []
    own = [item for item in items if item.name() == PASS]
    for item in own:
        if item.roles:
            raise UsageError(
                f"The pipeline has {PASS}{{roles={item.roles}}} already; name one table, there or by --roles."
            )
    changed = [attrs.evolve(item, roles=roles) if item in own else item for item in items]
    return PassManager(tuple(changed if own else [_item(registry, roles), *items])).text


def _item(registry: Registry, roles: str | None) -> Any:
    return registry.find("passes", PASS).from_text({"roles": roles} if roles else {})


def _listed(rules: Any, verbose: bool) -> Iterator[str]:
    """The rules in the order in which they are tried: number, role, where it looks, vendors, pattern."""
    rows = [(str(rule.number), rule.role, rule.wrapper or "path", ", ".join(rule.vendors)) for rule in rules]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)] if rows else []
    table = None
    for row, rule in zip(rows, rules, strict=True):
        if rule.source != table:
            if table is not None:
                yield ""
            table = rule.source
            yield "the built-in table" if table == "built-in" else f"the table {table}"
        number, *words = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield f"{number.strip():>{widths[0]}}  {'  '.join(words)}  {rule.pattern.pattern}"
        if verbose:
            margin = " " * (widths[0] + 2)
            libraries = ", ".join(rule.libraries)
            examples = (("libraries", libraries), ("such as", rule.yes), ("but not", rule.no))
            yield from (f"{margin}{label:<9}  {text}" for label, text in examples if text)
