"""The registry: passes, frontends and printers by name, from entry points and single files, loaded when needed."""

from __future__ import annotations

import difflib
import functools
import importlib
import importlib.metadata
import importlib.util
import inspect
import os
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, Literal

import attrs

import traceir
from traceir.errors import UsageError

if TYPE_CHECKING:
    from traceir.loading import Head

API: Final = "1"
"""The major version of what plug-ins build on; a plug-in says which it was written for by `TRACEIR_API = "1"`.

It stands beside the plug-in's table of entries, or anywhere in a single file. Without it, it is the present one.
"""
API_MARK: Final = "TRACEIR_API"

Group = Literal["passes", "frontends", "printers", "instruments", "pipelines"]
GROUPS: tuple[Group, ...] = ("passes", "frontends", "printers", "instruments", "pipelines")
WORDS: Final[dict[Group, str]] = {
    "passes": "pass",
    "frontends": "frontend",
    "printers": "printer",
    "instruments": "instrument",
    "pipelines": "pipeline",
}
"""What one thing of a group is called."""
_BASES: Final[dict[str, tuple[str, str]]] = {
    "passes": ("traceir.passing", "Pass"),
    "frontends": ("traceir.loading", "Frontend"),
    "printers": ("traceir.printers", "Printer"),
    "instruments": ("traceir.passing", "Instrument"),
}
_OWN: Final = "traceir"
"""The distribution whose names no plug-in can take."""


@attrs.frozen
class Provider:
    """Who brings entries: a distribution and its version ("" unknown), or a single file; the API it was written for."""

    name: str
    version: str = ""
    api: str = API

    def __str__(self) -> str:
        return f"{self.name} {self.version}" if self.version else self.name


@attrs.frozen
class Fault:
    """Something that was left out: a sentence, and the names of the providers that it concerns."""

    providers: tuple[str, ...]
    sentence: str


@attrs.frozen
class Entry:
    """One registered thing: its name, where it is (`package.module:Class` or the class), a line, who brings it.

    The target of a named pipeline is its text. With its `group`, what is loaded is checked to be one of it. A frontend
    may have a `glance`, `package.module:function`: a cheap look at the head of an input, false where the frontend
    would not know it in any case, so that it need not be imported.
    """

    name: str
    target: str | type
    summary: str
    provider: str
    group: Group | None = None
    glance: str | None = None

    def may_know(self, head: Head) -> bool:
        """Whether the frontend is worth asking about an input: without a glance, or where that fails, it always is."""
        if self.glance is None:
            return True
        module, _, function = self.glance.partition(":")
        try:
            return bool(getattr(importlib.import_module(module), function)(head))
        except (Exception, SystemExit):  # a plug-in may fail in any way, and its frontend then speaks for itself
            return True

    def load(self) -> Any:
        """The class itself (a pipeline's text), imported now if it has not been; UsageError if it is not what it says.

        Whatever the import raises, the sentence names the entry, who brings it and where it should be.
        """
        if self.group == "pipelines":
            return self.target
        found = self._imported() if isinstance(self.target, str) else self.target
        if self.group is None:
            return found
        home, base = _BASES[self.group]
        if not (isinstance(found, type) and issubclass(found, getattr(importlib.import_module(home), base))):
            known = f"traceir.{base}" if base in traceir.__all__ else f"{home}.{base}"
            raise UsageError(f"{self._who}, is {found!r}, and it has to be a class derived from {known}.")
        if self.group != "frontends" and "__attrs_attrs__" not in vars(found):  # a base's decorator does not count
            how = "@attrs.define(eq=False)" if self.group == "instruments" else "@attrs.frozen"
            raise UsageError(f"{self._who}, is not decorated: write {how} above the class {found.__name__}.")
        for sentence in _mistakes(found):
            raise UsageError(f"{self._who}, cannot be used: {sentence}")
        return found

    @property
    def _who(self) -> str:
        return f"{self.name!r}, which {self.provider} brings"

    def _imported(self) -> Any:
        module, _, attribute = str(self.target).partition(":")
        try:
            return getattr(importlib.import_module(module), attribute)
        except (Exception, SystemExit) as error:  # a plug-in may fail in any way
            raise UsageError(f"{self._who}, cannot be loaded from {self.target}: {_told(error)}.") from error


@attrs.define(eq=False)
class Registry:
    """What is known by name. `Registry.installed()` reads the entry points; `add_file` adds a single file."""

    entries: dict[Group, dict[str, Entry]] = attrs.field(factory=lambda: {group: {} for group in GROUPS})
    providers: dict[str, Provider] = attrs.field(factory=dict)
    """Who brings something, or tried to, by name."""
    faults: list[Fault] = attrs.field(factory=list)
    """What was left out and why, in the order in which it was met."""
    contested: dict[tuple[str, str], str] = attrs.field(factory=dict)
    """The names that several plug-ins bring, by what they name, with the sentence that says who; nobody has them."""

    @property
    def broken(self) -> list[str]:
        """A sentence, in one line, for everything that was left out."""
        return [fault.sentence for fault in self.faults]

    @classmethod
    def installed(cls) -> Registry:
        """All that installed distributions bring through the entry-point groups `traceir.<group>`.

        A plug-in that cannot be imported or asks for another API is left out, and so are names that are taken: by
        traceir, which keeps its own, or by several plug-ins, none of which then has it. `faults` say so.
        """
        registry = cls()
        claims: dict[tuple[str, str], list[Entry]] = {}
        for group in GROUPS:
            for point in sorted(importlib.metadata.entry_points(group=f"traceir.{group}"), key=_precedence):
                for entry in registry._table(group, point):
                    claims.setdefault((_space(group), entry.name), []).append(entry)
        for (space, name), claimed in claims.items():
            registry._settle(space, name, claimed)
        return registry

    @classmethod
    @functools.cache
    def default(cls) -> Registry:
        """What is installed, looked up once in a process; shared, so nothing may be added to it."""
        return cls.installed()

    def _table(self, group: Group, point: importlib.metadata.EntryPoint) -> list[Entry]:
        """The entries of one table; none, and a fault, if it is not to be had."""
        provider = _provider(point)
        self.providers.setdefault(provider.name, provider)
        try:
            table = point.load()
            provider = attrs.evolve(provider, api=_api(sys.modules.get(getattr(point, "module", ""))))
            entries = [_entry(name, row, provider.name, group) for name, row in table.items()]
        except (Exception, SystemExit) as error:  # a plug-in may fail in any way, and must not take traceir down
            self._leave_out(
                f"The plug-in {provider} cannot be loaded and is left out: {_told(error)}; reinstall or uninstall it.",
                provider.name,
            )
            return []
        if provider.api != API:
            self.providers[provider.name] = provider
            self._leave_out(f"The plug-in {provider} {_other_api(provider.api)}, so it is left out.", provider.name)
            return []
        return entries

    def _settle(self, space: str, name: str, claimed: Sequence[Entry]) -> None:
        """Give a name to the one that claims it, or to traceir, or to nobody."""
        first = claimed[0]
        others = [entry for entry in claimed[1:] if (entry.group, entry.target) != (first.group, first.target)]
        if not others or first.provider == _OWN:
            self.entries[first.group or "passes"][name] = first
            for entry in others:
                self._leave_out(
                    f"The {_word(entry)} {name!r} of {self.providers[entry.provider]} is left out, since "
                    f"{self.providers[_OWN]} has a {_word(first)} of that name.",
                    entry.provider,
                )
            return
        names = [str(self.providers[entry.provider]) for entry in (first, *others)]
        if len(set(names)) < len(names):  # one of them brings it twice, so only the places tell them apart
            names = [f"{self.providers[entry.provider]} ({entry.target})" for entry in (first, *others)]
        which = ("both ", "neither has it") if len(names) == 2 else ("", "none of them has it")
        listed = f"{', '.join(names[:-1])} and {names[-1]}"
        sentence = f"The name {name!r} is brought by {which[0]}{listed}, so {which[1]}; uninstall all but one."
        self.contested[space, name] = sentence
        self._leave_out(sentence, *(entry.provider for entry in (first, *others)))

    def leave_out(self, group: Group, name: str, sentence: str) -> None:
        """Note that something installed does not work, as a sentence that the command line shows."""
        self._leave_out(sentence, self.entries[group][name].provider)

    def _leave_out(self, sentence: str, *providers: str) -> None:
        fault = Fault(tuple(dict.fromkeys(providers)), _line(sentence))
        if fault not in self.faults:  # its tables of passes and of frontends may fail for one reason
            self.faults.append(fault)

    def add(self, group: Group, entry: Entry) -> None:
        """Register an entry; a name that another provider has is an error that names both."""
        for other in GROUPS:
            known = self.entries[other].get(entry.name) if _space(other) == _space(group) else None
            if known is not None and (other != group or known.target != entry.target):
                if known.provider == entry.provider:
                    raise UsageError(
                        f"The name {entry.name!r} is brought twice by {entry.provider}; give one of the classes "
                        "another name, or add the file once."
                    )
                raise UsageError(
                    f"The name {entry.name!r} is brought by both {known.provider} and {entry.provider}; "
                    + ("choose another one." if known.provider == _OWN else "uninstall one of them.")
                )
        if (_space(group), entry.name) in self.contested:
            raise UsageError(self.contested[_space(group), entry.name])
        self.entries[group][entry.name] = entry

    def add_file(self, path: str | Path) -> list[str]:
        """Import a single file and register the passes, frontends and instruments it defines; returns their names.

        UsageError if it cannot be imported, was written for another API, or brings a name that is taken.
        """
        from traceir.loading import Frontend
        from traceir.passing import Instrument, Pass
        from traceir.passing.declared import wrong_word

        module = _import_file(Path(path))
        self.providers[str(path)] = Provider(str(path))
        names = []
        defined = [v for v in vars(module).values() if isinstance(v, type) and v.__module__ == module.__name__]
        for value in defined:
            if value.__name__.startswith("_") or _is_base(value, defined):
                continue
            group: Group | None = "passes" if issubclass(value, Pass) else None
            group = "frontends" if issubclass(value, Frontend) else group
            group = "instruments" if issubclass(value, Instrument) else group
            if group is None:
                continue
            wrong = None if group == "frontends" else _answer(value, "name", path) and wrong_word(value)
            if wrong:
                raise UsageError(f"The plug-in file {path} cannot be used: {wrong}")
            name = value.word if group == "frontends" else _answer(value, "name", path)  # type: ignore[attr-defined]
            self.add(group, Entry(name, value, _answer(value, "summary", path), str(path), group))
            names.append(name)
        if not names:
            raise UsageError(f"The plug-in file {path} defines no pass, no frontend and no instrument.")
        return names

    def find(self, group: Group, name: str) -> Any:
        """The class of a name; an unknown name is a UsageError that offers the nearest ones."""
        if group not in self.entries:
            raise UsageError(f"There is no group {group!r} of entries; there are {', '.join(GROUPS)}.")
        entry = self.entries[group].get(name)
        if entry is None:
            if (_space(group), name) in self.contested:
                raise UsageError(self.contested[_space(group), name])
            raise UsageError(f"There is no {WORDS[group]} {name!r}{nearest(name, self.entries[group])}.")
        return entry.load()

    def all(self, group: Group) -> Iterator[tuple[str, Entry]]:
        """The entries of a group by name."""
        return iter(sorted(self.entries[group].items()))

    def loaded(self, group: Group, head: Head | None = None) -> Iterator[tuple[str, Any]]:
        """The classes of a group by name; what cannot be loaded is left out, and becomes a fault.

        For those that ask everybody (which frontend knows this file?), so that a broken plug-in stops nobody else.
        With the head of an input, frontends that do not know it at a glance are neither imported nor given.
        """
        for name, entry in self.all(group):
            if head is not None and not entry.may_know(head):
                continue
            try:
                found = entry.load()
            except UsageError as error:
                self._leave_out(f"The {WORDS[group]} {str(error)[:-1]}, so it is left out.", entry.provider)
            else:
                yield name, found


def _answer(cls: Any, method: str, path: str | Path) -> str:
    """What a class of a file says of itself; UsageError, naming all three, if it cannot."""
    try:
        answer: str = getattr(cls, method)()
    except (Exception, SystemExit) as error:  # the user's own code may fail in any way
        raise UsageError(
            f"The plug-in file {path} cannot be used: The {method}() of the class {cls.__name__} fails: {_told(error)}."
        ) from error
    return answer


def _mistakes(found: Any) -> tuple[str, ...]:
    """What is wrong with the declaration of a pass, an instrument or a printer."""
    from traceir.passing.declared import mistakes
    from traceir.passing.options import Optioned

    return mistakes(found) if issubclass(found, Optioned) else ()


def _is_base(cls: type, defined: Sequence[type]) -> bool:
    """Whether a class of a file is there only for others to derive from: it is abstract, or a pass without a run.

    A pass without a run that nothing derives from is one that forgot it, which is said where it is used.
    """
    from traceir.passing import Pass

    derived = any(other is not cls and issubclass(other, cls) for other in defined)
    return inspect.isabstract(cls) or (derived and issubclass(cls, Pass) and cls.run is Pass.run)


def nearest(name: str, known: Mapping[str, Any]) -> str:
    """`; did you mean a or b?`-like words for a name that is not known."""
    close = difflib.get_close_matches(name, list(known), 3, 0.5)
    if close:
        return f"; did you mean {' or '.join(close)}"
    return f"; there are {', '.join(sorted(known))}" if known else "; there are none at all"


def _space(group: Group) -> str:
    """What names have to differ within: a pipeline text names passes and pipelines alike."""
    return "passes" if group == "pipelines" else group


def _word(entry: Entry) -> str:
    return WORDS[entry.group or "passes"]


def _precedence(point: importlib.metadata.EntryPoint) -> tuple[bool, str]:
    provider = _provider(point).name
    return provider != _OWN, provider


def _provider(point: importlib.metadata.EntryPoint) -> Provider:
    """The distribution of an entry point; where its metadata does not give a name, the module that the point names."""
    try:
        name, version = (point.dist.name, point.dist.version) if point.dist else (None, None)
    except Exception:  # whatever a damaged METADATA file leads to
        name, version = None, None
    return Provider(name, version or "") if name else Provider(point.value.partition(":")[0])


def _entry(name: str, row: Sequence[str], provider: str, group: Group) -> Entry:
    """A row of a table; TypeError if it is none."""
    most = 3 if group == "frontends" else 2
    told = isinstance(row, tuple | list) and 2 <= len(row) <= most and {type(part) for part in row} == {str}
    if not (isinstance(name, str) and told):
        kind = "text" if group == "pipelines" else "package.module:Class"
        raise TypeError(f"its table of {group} holds {name!r}: {row!r}, and not a name: ({kind!r}, 'a summary')")
    return Entry(name, row[0], row[1], provider, group, row[2] if len(row) > 2 else None)


def _api(module: ModuleType | None) -> str:
    """The major version of the API that a module was written for; the present one if it does not say."""
    return str(getattr(module, API_MARK, API)).partition(".")[0]


def _other_api(wanted: str) -> str:
    return f"is written for API {wanted} of traceir, and traceir {traceir.__version__} has API {API}"


def _told(error: BaseException) -> str:
    """An error in one line, without a full stop."""
    from traceir.passing.words import said

    return _line(said(error)).rstrip(".")


def _line(text: str) -> str:
    """One line, whatever a plug-in's error or name holds."""
    return " ".join(text.split())


def _beside(path: Path, failure: BaseException) -> str:
    """What to do about a module that lies beside a file, where Python does not look for it."""
    name = (failure.name or "").partition(".")[0] if isinstance(failure, ModuleNotFoundError) else ""
    found = [path.parent / f"{name}.py", path.parent / name] if name else []
    if not any(place.exists() for place in found):
        return ""
    return f"; {name} lies beside it, where nobody looks: put the folder {path.parent} on PYTHONPATH, or install both"


def _import_file(path: Path) -> ModuleType:
    if path.is_dir():
        raise UsageError(f"The plug-in {path} is a folder; name a Python file, or install the folder as a package.")
    if not path.is_file():
        raise UsageError(f"The plug-in file {path} does not exist.")
    # Two files of one stem are two modules: their classes find their own names in sys.modules.
    name = f"traceir_plugin_{path.stem}_{zlib.crc32(os.fsencode(path.resolve())):08x}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"The plug-in file {path} is not a Python file; its name has to end in .py.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    failure: BaseException | None = None
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # the user's own code may fail in any way
        failure = error
    # What it was written for is said first: names of another API are a likely reason for the failure.
    if (wanted := _api(module)) != API:
        sys.modules.pop(name, None)
        raise UsageError(f"The plug-in file {path} {_other_api(wanted)}.") from failure
    if failure is not None:
        sys.modules.pop(name, None)
        raise UsageError(
            f"The plug-in file {path} cannot be imported: {_told(failure)}{_beside(path, failure)}."
        ) from failure
    return module
