"""The second source of roles: the host operator that launched the work, its ancestors, and the module class."""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Callable, Sequence
from importlib import resources
from typing import Any, Final

import attrs
import numpy as np

import traceir as tir
from traceir_passes.infer.rules import UNKNOWN, RoleTable, Verdict

MODULE: Final = re.compile(r"(?:nn\.Module: )?(\w+?)(?:_\d+)?\Z")
_OF_FRAMEWORK: Final = ("aten::", "prim::", "autograd::", "torch::", "c10d::", "nccl:", "record_param_comms")


@attrs.frozen
class HostRule:
    """A role by an operator or module class; `innermost` rules count only right around the launch."""

    role: str
    pattern: re.Pattern[str]
    innermost: bool = False
    yes: str = ""
    no: str = ""


@functools.cache
def host_rules() -> tuple[tuple[HostRule, ...], tuple[HostRule, ...]]:
    """The shipped rules for operators and for module classes."""
    text = resources.files("traceir_passes.infer").joinpath("hosts.toml").read_text(encoding="utf-8")
    data = tomllib.loads(text)
    return tuple(map(_rule, data["op"])), tuple(map(_rule, data["class"]))


def _rule(item: dict[str, Any]) -> HostRule:
    pattern = re.compile(item["pattern"], re.IGNORECASE)
    return HostRule(item["role"], pattern, item.get("innermost", False), item["yes"], item["no"])


def operator_role(name: str, table: RoleTable, innermost: bool = True) -> str:
    """The role that an operator's name gives to what it launches, `unknown` if it says nothing.

    Operators of the framework are looked up in the table of operators; those of extensions, which often launch
    one kernel of the same name, by the rules for kernels too.
    """
    for rule in host_rules()[0]:
        if rule.pattern.fullmatch(name) and (innermost or not rule.innermost):
            return rule.role
    return UNKNOWN if name.startswith(_OF_FRAMEWORK) else table.path_role(name)


def class_role(name: str) -> str:
    """The role that the class of a frame `nn.Module: Class_N` gives to what is launched inside, or `unknown`.

    `Class_N` alone, as in a path of modules, is read alike.
    """
    found = MODULE.match(name)
    if found is None:
        return UNKNOWN
    return next((rule.role for rule in host_rules()[1] if rule.pattern.fullmatch(found[1])), UNKNOWN)


def ask(module: tir.Module, rows: Sequence[int], table: RoleTable) -> dict[int, Verdict]:
    """The verdict of the launching side for each of `rows` that it can tell of.

    Graph launches are not asked: the one call around hundreds of kernels says nothing of any of them. What the
    pass `capture` found of the captured call is asked in its place, where it ran before. The operator right around
    the launch gives a derived role, one further out or a module class a guessed one.
    O(rows × depth of the nest tree), vectorised over rows.
    """
    out: dict[int, Verdict] = {}
    chosen = np.asarray(rows, np.int64)
    launch = module.launch[chosen]
    chosen, launch = chosen[launch >= 0], launch[launch >= 0]
    single = ~module.is_kind("rt.graph_launch")[launch]
    chosen, launch = chosen[single], launch[single]
    _climb(module, chosen, launch, out, "host.op", lambda name, first: operator_role(name, table, first), "operator")
    left = np.array([row not in out for row in chosen.tolist()], bool)
    _climb(module, chosen[left], launch[left], out, "host.frame", lambda name, _: _frame_role(name), "class")
    _ask_captures(module, np.asarray(rows, np.int64), table, out)
    return out


def _frame_role(name: str) -> str:
    return class_role(name) if name.startswith("nn.Module: ") else UNKNOWN


def _ask_captures(module: tir.Module, rows: np.ndarray[Any, Any], table: RoleTable, out: dict[int, Verdict]) -> None:
    """Ask the captured call of replayed work: its innermost operator, then its modules from the inside outwards."""
    if "capture.op" not in module.annotations or "capture.module" not in module.annotations:
        return
    operators, paths = module["capture.op"][rows], module["capture.module"][rows]
    known: dict[tuple[int, int], Verdict | None] = {}
    for row, operator, path in zip(rows.tolist(), operators.tolist(), paths.tolist(), strict=True):
        if row in out or (operator < 0 and path < 0):
            continue
        if (operator, path) not in known:
            known[operator, path] = _captured(_text(module, operator), _text(module, path), table)
        verdict = known[operator, path]
        if verdict is not None:
            out[row] = verdict


def _text(module: tir.Module, code: int) -> str:
    return module.strings[code] if code >= 0 else ""


def _captured(operator: str, path: str, table: RoleTable) -> Verdict | None:
    role = operator_role(operator, table) if operator else UNKNOWN
    if role != UNKNOWN:
        return Verdict(role, "derived", "", f"the captured operator {operator}")
    for name in reversed(path.split("/")):
        role = class_role(name)
        if role != UNKNOWN:
            return Verdict(role, "guessed", "", f"the captured class {name}")
    return None


def _climb(
    module: tir.Module,
    rows: np.ndarray[Any, Any],
    at: np.ndarray[Any, Any],
    out: dict[int, Verdict],
    kind: str,
    role_of: Callable[[str, bool], str],
    what: str,
) -> None:
    """Walk outwards from the launches, one nest level a turn, until a name of this kind gives a role."""
    wanted, names, parent = module.is_kind(kind), module["name"], module.parent
    role_of = functools.cache(role_of)
    first = np.ones(len(rows), bool)
    while len(rows):
        here = wanted[at]
        keep = np.ones(len(rows), bool)
        for position in np.flatnonzero(here).tolist():
            name = module.strings[int(names[at[position]])]
            role = role_of(name, bool(first[position]))
            if role != UNKNOWN:
                derived = what == "operator" and first[position]
                out[int(rows[position])] = Verdict(role, "derived" if derived else "guessed", "", f"the {what} {name}")
                keep[position] = False
        first &= ~here
        up = parent[at]
        keep &= up >= 0
        rows, at, first = rows[keep], up[keep], first[keep]


def inside_optimizer(module: tir.Module, rows: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which of `rows` were launched inside an `Optimizer.step#…` range, by thread and time of the launch call."""
    names = module.strings.texts
    steps = np.array([text.startswith("Optimizer.step#") for text in names] + [False])
    ranges = steps[module["name"]] & module.is_kind("host") & module.live
    launch = module.launch[rows]
    out = np.zeros(len(rows), bool)
    for lane in np.unique(module["lane"][ranges]).tolist():
        on_lane = ranges & (module["lane"] == lane)
        spans = tir.Spans.of(module["ts"][on_lane], module.end[on_lane])
        mine = np.flatnonzero((launch >= 0) & (module["lane"][launch] == lane))
        out[mine] = spans.contains(module["ts"][launch[mine]])
    return out
