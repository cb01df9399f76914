"""What tests of text frontends share: loading a text, and telling a module in tuples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs

import traceir as tir
from traceir.loading import Frontend
from traceir.testing import assert_equal
from traceir.text import Spelling, parse, spell


def load(path: Path, text: str | bytes, frontend: str | None = None) -> tir.Module:
    """The module of a text, by a frontend of its own choice."""
    file = path / "trace.txt"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return tir.load(file, frontend=frontend)


def told(module: tir.Module, lane: str | None = None, kind: str | None = None) -> list[tuple[str, int, int]]:
    """Name, start and length of events."""
    wanted = {key: value for key, value in (("lane", lane), ("kind", kind)) if value is not None}
    return [(event.name, event.ts, event.dur) for event in module.select(**wanted)]


def parents(module: tir.Module) -> dict[str, str | None]:
    """The name of what encloses each event, by its own name."""
    names = [module.event(row).name for row in range(len(module))]
    return {name: names[up] if up >= 0 else None for name, up in zip(names, module["parent"].tolist(), strict=True)}


def codes(module: tir.Module) -> list[str]:
    """The codes of the findings, without those that every host trace has."""
    return [item.code for item in module.health if item.code not in ("no_device", "integer_us", "sampled_stacks")]


def message(module: tir.Module, code: str) -> str:
    """The message of a finding."""
    return next(item.message for item in module.health if item.code == code)


def listing(module: tir.Module) -> str:
    """The module as text with all arguments, as goldens hold it."""
    return "".join(spell(module, Spelling(form="statements", args=True)))


def assert_round_trip(module: tir.Module) -> None:
    """The module is sound, and its text parses to an equal one, with and without arguments."""
    assert not [item for item in tir.verify(module) if item.level == "error"]
    for form in ("statements", "table"):
        text = "".join(spell(module, Spelling(form=form)))
        assert_equal(parse(text), module)
    again = parse(listing(module))
    assert [event.args for event in _events(again)] == [event.args for event in _events(module)]


def _events(module: tir.Module) -> list[Any]:
    return [module.event(row) for row in range(len(module))]


def assert_reopens(module: tir.Module, path: Path, frontend: Frontend) -> None:
    """A module that comes from a cache finds the arguments of its events again."""
    source = frontend.reopen(str(path), module)
    assert source is not None
    again = attrs.evolve(module, source=source)
    assert [event.args for event in _events(again)] == [event.args for event in _events(module)]
