"""Role tables: ordered rules in TOML that give a kernel its role by its name."""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Literal, Self

import attrs

import traceir as tir
from traceir_passes.infer import triton
from traceir_passes.infer.classes import ROLES
from traceir_passes.infer.names import KernelName, parse

Basis = Literal["measured", "derived", "guessed"]
Scope = Literal["path", "wrapper"]
UNKNOWN = "unknown"
_KEYS = frozenset(
    {"role", "pattern", "scope", "wrapper", "vendors", "vendor", "libraries", "library", "part", "basis", "yes", "no"}
)


@attrs.frozen
class Rule:
    """A role and the pattern that gives it; `wrapper` names the wrapper whose kernels it looks into, if any.

    `number` is its place in the table `source`, from 1.
    """

    role: str
    pattern: re.Pattern[str]
    wrapper: str = ""
    vendors: tuple[str, ...] = ()
    part: str = ""
    basis: Basis = "measured"
    yes: str = ""
    no: str = ""
    source: str = "built-in"
    libraries: tuple[str, ...] = ()
    number: int = 0

    @property
    def scope(self) -> Scope:
        """Whether it is matched against the path or against the whole name of a wrapper's kernels."""
        return "wrapper" if self.wrapper else "path"


@attrs.frozen
class Wrapper:
    """A kernel that says all in its template arguments, recognised by its whole path or leaf."""

    name: str
    leaf: re.Pattern[str] | None
    path: re.Pattern[str] | None
    otherwise: str

    def recognises(self, name: KernelName) -> bool:
        """Whether the name's kernel is this wrapper."""
        if self.leaf is not None:
            return self.leaf.fullmatch(name.leaf) is not None
        return self.path is not None and self.path.fullmatch(name.path) is not None


@attrs.frozen
class Verdict:
    """The role of a name, with what gave it: a rule, a wrapper's default, an Inductor name, or nothing."""

    role: str
    basis: Basis = "measured"
    part: str = ""
    because: str = ""
    rule: Rule | None = None
    wrapper: str = ""


@attrs.frozen
class RoleTable:
    """Ordered rules and wrappers. `classify` is the whole of what a name alone can say."""

    rules: tuple[Rule, ...]
    wrappers: tuple[Wrapper, ...] = ()

    @classmethod
    def built_in(cls) -> Self:
        """The table that is shipped."""
        return cls.of(tomllib.loads(_data("roles.toml")), "built-in")

    @classmethod
    def read(cls, path: str) -> Self:
        """A user's table; a file that cannot be read or a rule that is not well formed is a UsageError."""
        try:
            data = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            why = error.strerror or "the system refuses it"
            raise tir.UsageError(f"The role table {path} cannot be read: {why}.") from error
        except UnicodeDecodeError as error:
            raise tir.UsageError(
                f"The role table {path} cannot be read: byte {error.start} is no UTF-8, which a table has to be."
            ) from error
        except tomllib.TOMLDecodeError as error:
            why = str(error)
            raise tir.UsageError(
                f"The role table {path} cannot be read: it is no TOML, {why[:1].lower()}{why[1:]}."
            ) from error
        return cls.of(data, path)

    @classmethod
    def of(cls, data: Mapping[str, Any], source: str) -> Self:
        """A table from TOML data with the arrays `rule` and `wrapper`; UsageError for anything else in it."""
        if unknown := sorted(set(data) - {"rule", "wrapper"}):
            raise tir.UsageError(
                f"The role table {source} has the key {unknown[0]!r}; its rules are [[rule]], and wrappers [[wrapper]]."
            )
        return cls(
            tuple(_rule(item, source, at) for at, item in enumerate(data.get("rule", ()), 1)),
            tuple(_wrapper(item, source) for item in data.get("wrapper", ())),
        )

    def before(self, other: RoleTable) -> RoleTable:
        """This table's rules first, then the other's. Own path rules precede even the other's wrappers."""
        return RoleTable((*self.rules, *other.rules), (*self.wrappers, *other.wrappers))

    def classify(self, text: str) -> Verdict:
        """The role of a kernel's name, `unknown` if it says nothing. O(rules)."""
        name = parse(text)
        own = next((r for r in self._extra() if r.pattern.search(name.path)), None)
        if own is not None:
            return _by(own)
        fused = triton.role(name.path)
        if fused:
            return Verdict(fused, because="the operators that Inductor put into the name")
        for wrapper in self.wrappers:
            if wrapper.recognises(name):
                return self._inside(wrapper, text)
        found = next((r for r in self.rules if not r.wrapper and r.pattern.search(name.path)), None)
        return _by(found) if found is not None else Verdict(UNKNOWN, because="no rule matches the name")

    def matching(self, text: str) -> tuple[Rule, ...]:
        """All rules whose pattern is found where they look, in order: what decides, and what it keeps from deciding."""
        name = parse(text)
        wrapper = next((item.name for item in self.wrappers if item.recognises(name)), "")
        return tuple(
            rule
            for rule in self.rules
            if rule.pattern.search(text if rule.wrapper else name.path) and rule.wrapper in ("", wrapper)
        )

    def path_role(self, text: str) -> str:
        """The role that the path rules alone give to a text such as an operator's name."""
        path = parse(text).path
        return next((r.role for r in self.rules if not r.wrapper and r.pattern.search(path)), UNKNOWN)

    def _extra(self) -> Iterator[Rule]:
        return (rule for rule in self.rules if rule.source != "built-in" and not rule.wrapper)

    def _inside(self, wrapper: Wrapper, text: str) -> Verdict:
        rules = (r for r in self.rules if r.wrapper == wrapper.name and r.pattern.search(text))
        found = next(rules, None)
        if found is not None:
            return _by(found)
        because = f"a kernel of the wrapper {wrapper.name}, none of whose rules matches"
        return Verdict(wrapper.otherwise, because=because, wrapper=wrapper.name)


def _by(rule: Rule) -> Verdict:
    where = f"inside the wrapper {rule.wrapper}" if rule.wrapper else "in the path"
    because = f"{rule.pattern.pattern} {where} ({rule.source})"
    return Verdict(rule.role, rule.basis, rule.part, because, rule, rule.wrapper)


def _data(name: str) -> str:
    return resources.files("traceir_passes.infer").joinpath(name).read_text(encoding="utf-8")


def _rule(item: Mapping[str, Any], source: str, at: int) -> Rule:
    where = f"The rule {at} of the role table {source}"
    if unknown := sorted(set(item) - _KEYS):
        raise tir.UsageError(f"{where} has the key {unknown[0]!r}; known are {', '.join(sorted(_KEYS))}.")
    if "role" not in item or "pattern" not in item:
        raise tir.UsageError(f"{where} needs the keys role and pattern.")
    if item["role"] not in ROLES:
        raise tir.UsageError(f"{where} gives the role {item['role']!r}; known are {', '.join(sorted(ROLES))}.")
    if item.get("basis", "measured") not in ("measured", "guessed"):
        raise tir.UsageError(f"{where} has the basis {item['basis']!r}; it has to be measured or guessed.")
    if item.get("scope", "path") == "wrapper" and not item.get("wrapper"):
        raise tir.UsageError(f"{where} has the scope wrapper and names no wrapper.")
    try:
        pattern = re.compile(item["pattern"], re.IGNORECASE)
    except re.error as error:
        raise tir.UsageError(
            f"{where} has the pattern {item['pattern']!r}, which is no expression: {error}."
        ) from error
    return Rule(
        item["role"],
        pattern,
        item.get("wrapper", ""),
        _words(item, "vendors", "vendor"),
        item.get("part", ""),
        item.get("basis", "measured"),
        item.get("yes", ""),
        item.get("no", ""),
        source,
        _words(item, "libraries", "library"),
        at,
    )


def _words(item: Mapping[str, Any], several: str, one: str) -> tuple[str, ...]:
    """A key's words, whether it is spelled for one word or for several."""
    found = item.get(several, item.get(one, ()))
    return (found,) if isinstance(found, str) else tuple(found)


def _wrapper(item: Mapping[str, Any], source: str) -> Wrapper:
    leaf, path = (re.compile(item[key], re.IGNORECASE) if key in item else None for key in ("leaf", "path"))
    if "name" not in item or "otherwise" not in item or (leaf is None and path is None):
        raise tir.UsageError(f"A wrapper of the role table {source} needs the keys name, otherwise, and leaf or path.")
    return Wrapper(item["name"], leaf, path, item["otherwise"])


@functools.cache
def built_in() -> RoleTable:
    """The shipped table, read once a process."""
    return RoleTable.built_in()


def table(path: str) -> RoleTable:
    """The shipped table, with a user's rules (`path`, empty for none) before it."""
    return RoleTable.read(path).before(built_in()) if path else built_in()
