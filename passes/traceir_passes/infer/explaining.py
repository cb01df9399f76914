"""How a name came to its role, step by step, for people who read or write rules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import attrs

from traceir_passes.infer import symbols, triton
from traceir_passes.infer.attributes import read
from traceir_passes.infer.classes import class_of, op_kind_of
from traceir_passes.infer.names import parse
from traceir_passes.infer.rules import UNKNOWN, RoleTable, Rule, Verdict
from traceir_passes.infer.stated import Stated
from traceir_passes.infer.verdicts import FALLBACK

BUILT_IN: Final = "built-in"
_SOURCES: Final = {"measured": "by its name", "guessed": "its name is a hint, so the launching operator is asked first"}


@attrs.frozen
class Explanation:
    """How a name came to its role: what was read of it, which rule gave what, and what was tried before.

    `rule` is None where no rule decided, `later` has the rules that match too and come too late.
    """

    name: str
    path: str
    role: str
    basis: str
    because: str
    symbol: str
    op_class: str
    op_kind: str
    stated: Stated = attrs.field(factory=Stated)
    rule: Rule | None = None
    tried: tuple[str, ...] = ()
    later: tuple[Rule, ...] = ()

    def lines(self) -> Iterator[str]:
        """The explanation as a page of text, one fact a line."""
        yield f"name      {self.name}"
        if self.path != self.name:
            yield f"path      {self.path}"
        yield f"role      {self.role}" + (f"  ({self.basis}: {_SOURCES[self.basis]})" if self.basis else "")
        yield f"class     {self.op_class}"
        yield f"op kind   {self.op_kind}"
        yield f"symbol    {self.symbol}"
        stated = "   ".join(f"{name} {value}" for name, value in self.stated.items.items())
        yield f"states    {stated or 'nothing of its library, types or tile'}"
        yield ""
        yield from self._decision()
        yield from ("", "tried before", *(f"  {step}" for step in self.tried)) if self.tried else ()
        if self.later:
            yield ""
            yield "matches too, and comes later"
            yield from (f"  {_place(rule)}, {rule.role}: {rule.pattern.pattern}" for rule in self.later)

    def _decision(self) -> Iterator[str]:
        if self.rule is None:
            yield f"because   {self.because}"
            if self.role == UNKNOWN:
                yield "          In a trace the operator that launched it is asked, then what encloses that. A rule of"
                yield "          your own gives it a role: traceir roles explain --roles mine.toml NAME."
            return
        yield f"because   {_place(self.rule)} matches"
        yield f"  pattern   {self.rule.pattern.pattern}"
        where = f"the whole name, in the wrapper {self.rule.wrapper}" if self.rule.wrapper else "the path"
        yield f"  where     {where}"
        for label, words in (("vendors", self.rule.vendors), ("libraries", self.rule.libraries)):
            if words:
                yield f"  {label:<9} {', '.join(words)}"
        for label, example in (("such as", self.rule.yes), ("but not", self.rule.no)):
            if example:
                yield f"  {label:<9} {example}"
        if self.rule.part:
            yield f"  a step of an unfused norm ({self.rule.part}): norm where its neighbours are the others of it"


def explain(name: str, rules: RoleTable) -> Explanation:
    """How the name alone gets its role from these tables. O(rules)."""
    verdict = rules.classify(name)
    role = FALLBACK.get(verdict.part, verdict.role)
    return Explanation(
        name=name,
        path=parse(name).path,
        role=role,
        basis=verdict.basis if role != UNKNOWN else "",
        because=verdict.because + (f"; {verdict.role} where it is a step of a norm" if verdict.part else ""),
        symbol=symbols.symbol(name),
        op_class=class_of(role),
        op_kind=op_kind_of(role, name),
        stated=read(name),
        rule=verdict.rule,
        tried=tuple(_tried(name, rules, verdict)),
        later=_later(name, rules, verdict),
    )


def _place(rule: Rule) -> str:
    return f"rule {rule.number} of {_table(rule.source)}"


def _table(source: str) -> str:
    return "the built-in table" if source == BUILT_IN else f"the table {source}"


def _tried(name: str, rules: RoleTable, verdict: Verdict) -> Iterator[str]:
    """What was asked in vain before the verdict, in order."""
    decided = verdict.rule
    own = [rule for rule in rules.rules if rule.source != BUILT_IN]
    at_path = [rule for rule in own if not rule.wrapper]
    for source in dict.fromkeys(rule.source for rule in own):
        if decided is not None and decided.source == source and not decided.wrapper:
            if decided.number > 1:
                yield f"{_table(source)}: its rules before {decided.number}"
            return
        yield f"{_table(source)}: {sum(rule.source == source for rule in at_path)} rules for paths, none matches"
    path = parse(name).path
    if triton.role(path):
        return
    yield "names that Inductor gives (triton_poi_fused_…): it is none"
    found = next((item for item in rules.wrappers if item.recognises(parse(name))), None)
    if found is None:
        yield f"wrappers ({', '.join(item.name for item in rules.wrappers)}): it is none"
        before = [rule for rule in rules.rules if not rule.wrapper and (decided is None or rule is not decided)]
        if decided is not None:
            before = [rule for rule in rules.rules[: rules.rules.index(decided)] if not rule.wrapper]
        yield f"rules for paths: {len(before)}, none matches"
        return
    yield f"wrappers: it is {found.name}, so rules for paths are not asked"
    inside = [rule for rule in rules.rules if rule.wrapper == found.name]
    before = inside[: inside.index(decided)] if decided is not None else inside
    if before:
        yield f"rules for {found.name}: {', '.join(rule.role for rule in before)}; none matches"


def _later(name: str, rules: RoleTable, verdict: Verdict) -> tuple[Rule, ...]:
    """The rules that would have decided if the deciding one were not there: of another role, and in the same place."""
    if verdict.rule is None:
        return ()
    at = rules.rules.index(verdict.rule)
    return tuple(
        rule
        for rule in rules.matching(name)
        if rules.rules.index(rule) > at and rule.wrapper == verdict.rule.wrapper and rule.role != verdict.role
    )
