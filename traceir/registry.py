"""The registry: passes, frontends and printers by name, from entry points and single files, loaded when needed."""

from __future__ import annotations

import difflib
import functools
import importlib
import importlib.metadata
import importlib.util
import os
import sys
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import attrs

from traceir.errors import UsageError

Group = Literal["passes", "frontends", "printers", "pipelines"]
GROUPS: tuple[Group, ...] = ("passes", "frontends", "printers", "pipelines")


@attrs.frozen
class Entry:
    """One registered thing: its name, where it is (`package.module:Class` or the class), a line, who brings it.

    The target of a named pipeline is its text.
    """

    name: str
    target: str | type
    summary: str
    provider: str

    def load(self) -> Any:
        """The class itself; imported now if it has not been."""
        if not isinstance(self.target, str):
            return self.target
        module, _, attribute = self.target.partition(":")
        try:
            return getattr(importlib.import_module(module), attribute)
        except Exception as error:  # a plug-in may fail in any way
            raise UsageError(
                f"{self.name!r}, which {self.provider} brings, cannot be loaded from {self.target}: {error}."
            ) from error


@attrs.define(eq=False)
class Registry:
    """What is known by name. `Registry.installed()` reads the entry points; `add_file` adds a single file."""

    entries: dict[Group, dict[str, Entry]] = attrs.field(factory=lambda: {group: {} for group in GROUPS})
    broken: list[str] = attrs.field(factory=list)
    """A sentence for each plug-in whose table could not be read."""

    @classmethod
    def installed(cls) -> Registry:
        """All that installed distributions bring through the entry-point groups `traceir.<group>`."""
        registry = cls()
        for group in GROUPS:
            for point in sorted(importlib.metadata.entry_points(group=f"traceir.{group}"), key=_precedence):
                provider = point.dist.name if point.dist else point.value
                try:
                    table: Mapping[str, tuple[str, str]] = point.load()
                    entries = [Entry(name, *pair, provider) for name, pair in table.items()]
                except Exception as error:  # a plug-in may fail in any way, and must not take traceir down
                    registry.broken.append(f"The plug-in {provider} cannot be loaded and is left out: {error}.")
                    continue
                for entry in entries:
                    registry.add(group, entry)
        return registry

    @classmethod
    @functools.cache
    def default(cls) -> Registry:
        """What is installed, looked up once in a process; shared, so nothing may be added to it."""
        return cls.installed()

    def add(self, group: Group, entry: Entry) -> None:
        """Register an entry; a name that another provider has is an error that names both."""
        known = self.entries[group].get(entry.name)
        if known is not None and known.target != entry.target:
            raise UsageError(
                f"The name {entry.name!r} is brought by both {known.provider} and {entry.provider}; "
                "uninstall one of them."
            )
        self.entries[group][entry.name] = entry

    def add_file(self, path: str | Path) -> list[str]:
        """Import a single file and register the passes and frontends it defines; returns their names."""
        from traceir.loading import Frontend
        from traceir.passing import Pass

        module = _import_file(Path(path))
        names = []
        for value in vars(module).values():
            if not isinstance(value, type) or value.__module__ != module.__name__:
                continue
            group: Group | None = "passes" if issubclass(value, Pass) else None
            group = "frontends" if issubclass(value, Frontend) else group
            if group is None:
                continue
            name = value.name() if group == "passes" else value.word  # type: ignore[attr-defined]
            self.add(group, Entry(name, value, value.summary(), str(path)))  # type: ignore[attr-defined]
            names.append(name)
        if not names:
            raise UsageError(f"The plug-in file {path} defines no pass and no frontend.")
        return names

    def find(self, group: Group, name: str) -> Any:
        """The class of a name; an unknown name is a UsageError that offers the nearest ones."""
        entry = self.entries[group].get(name)
        if entry is None:
            what = {"passes": "pass", "frontends": "frontend", "printers": "printer", "pipelines": "pipeline"}[group]
            raise UsageError(f"There is no {what} {name!r}{nearest(name, self.entries[group])}.")
        return entry.load()

    def all(self, group: Group) -> Iterator[tuple[str, Entry]]:
        """The entries of a group by name."""
        return iter(sorted(self.entries[group].items()))


def nearest(name: str, known: Mapping[str, Any]) -> str:
    """`; did you mean a or b?`-like words for a name that is not known."""
    close = difflib.get_close_matches(name, list(known), 3, 0.5)
    if close:
        return f"; did you mean {' or '.join(close)}"
    return f"; there are {', '.join(sorted(known))}" if known else "; there are none at all"


def _precedence(point: importlib.metadata.EntryPoint) -> tuple[bool, str]:
    provider = point.dist.name if point.dist else ""
    return provider != "traceir", provider


def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise UsageError(f"The plug-in file {path} does not exist.")
    # Two files of one stem are two modules: their classes find their own names in sys.modules.
    name = f"traceir_plugin_{path.stem}_{zlib.crc32(os.fsencode(path.resolve())):08x}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"The plug-in file {path} is not a Python file; its name has to end in .py.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # the user's own code may fail in any way
        sys.modules.pop(name, None)
        raise UsageError(f"The plug-in file {path} cannot be imported: {type(error).__name__}: {error}.") from error
    return module
