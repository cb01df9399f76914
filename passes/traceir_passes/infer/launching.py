"""The second source of roles: the host operator that launched the work, its ancestors, and the module class."""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Callable
from importlib import resources
from typing import Any, Final

import attrs
import numpy as np
import numpy.typing as npt

import traceir as tir
from traceir_passes.infer.classes import ROLES, class_of
from traceir_passes.infer.rules import UNKNOWN, RoleTable

MODULE: Final = re.compile(r"(?:nn\.Module: )?(\w+?)(?:_\d+)?\Z")
Ints = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]
_CODE: Final = {role: code for code, role in enumerate(ROLES) if role != UNKNOWN}
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
    one kernel of the same name, by the rules for kernels too. Around communication stand copies and reductions of
    other operators, so that it has to be right around the launch.
    """
    for rule in host_rules()[0]:
        if rule.pattern.fullmatch(name) and (innermost or not rule.innermost):
            return rule.role
    if name.startswith(_OF_FRAMEWORK):
        return UNKNOWN
    role = table.path_role(name)
    return role if innermost or class_of(role) != "comm" else UNKNOWN


def class_role(name: str) -> str:
    """The role that the class of a frame `nn.Module: Class_N` gives to what is launched inside, or `unknown`.

    `Class_N` alone, as in a path of modules, is read alike.
    """
    found = MODULE.match(name)
    if found is None:
        return UNKNOWN
    return next((rule.role for rule in host_rules()[1] if rule.pattern.fullmatch(found[1])), UNKNOWN)


@attrs.frozen(eq=False)
class Told:
    """What the launching side says, one entry for each row that was asked.

    `role` are codes in the order of `ROLES`, -1 where nothing is said; `derived` is whether the operator right around
    the launch said it, for else it is a guess.
    """

    role: Ints
    derived: Mask


def ask(module: tir.Module, rows: Ints, table: RoleTable) -> Told:
    """What the launching side says of each of `rows`.

    Graph launches are not asked: the one call around hundreds of kernels says nothing of any of them. What the
    pass `capture` found of the captured call is asked in its place, where it ran before. The operator right around
    the launch gives a derived role, one further out or a module class a guessed one.
    O(rows × depth of the nest tree), vectorised over rows.
    """
    told = Told(np.full(len(rows), -1, np.int16), np.zeros(len(rows), bool))
    launch = module.launch[rows]
    single = np.flatnonzero((launch >= 0) & ~module.is_kind("rt.graph_launch")[launch])
    _climb(module, single, launch[single], told, "host.op", lambda name, first: operator_role(name, table, first))
    left = single[told.role[single] < 0]
    _climb(module, left, launch[left], told, "host.frame", lambda name, _: _frame_role(name))
    told.derived[left] = False
    _ask_captures(module, rows, table, told)
    return told


def _frame_role(name: str) -> str:
    return class_role(name) if name.startswith("nn.Module: ") else UNKNOWN


def _ask_captures(module: tir.Module, rows: Ints, table: RoleTable, told: Told) -> None:
    """Ask the captured call of replayed work: its innermost operator, then its modules from the inside outwards."""
    if "capture.op" not in module.annotations or "capture.module" not in module.annotations:
        return
    left = np.flatnonzero(told.role < 0)
    pairs = np.stack([module["capture.op"][rows[left]], module["capture.module"][rows[left]]], 1)
    distinct, inverse = np.unique(pairs, axis=0, return_inverse=True)
    said = [_captured(_text(module, operator), _text(module, path), table) for operator, path in distinct.tolist()]
    told.role[left] = np.array([_CODE.get(role, -1) for role, _ in said], np.int16)[inverse.reshape(-1)]
    told.derived[left] = np.array([derived for _, derived in said], bool)[inverse.reshape(-1)]


def _text(module: tir.Module, code: int) -> str:
    return module.strings[code] if code >= 0 else ""


def _captured(operator: str, path: str, table: RoleTable) -> tuple[str, bool]:
    """The role of a captured call, and whether its operator gives it."""
    role = operator_role(operator, table) if operator else UNKNOWN
    if role != UNKNOWN:
        return role, True
    return next((role for name in reversed(path.split("/")) if (role := class_role(name)) != UNKNOWN), UNKNOWN), False


def _climb(
    module: tir.Module, positions: Ints, at: Ints, told: Told, kind: str, role_of: Callable[[str, bool], str]
) -> None:
    """Walk outwards from the launches `at` of some positions, one caller a turn, until a name gives a role.

    `role_of` gets a name of this kind, and whether none of the kind stands between it and the launch.
    """
    wanted, names, caller = module.is_kind(kind), module["name"], module.caller
    first = np.ones(len(positions), bool)
    while len(positions):
        here = np.flatnonzero(wanted[at])
        distinct, inverse = np.unique(names[at[here]] * 2 + first[here], return_inverse=True)
        codes = [_CODE.get(role_of(module.strings[code // 2], bool(code % 2)), -1) for code in distinct.tolist()]
        said = np.array(codes, np.int16)[inverse]
        found = here[said >= 0]
        told.role[positions[found]] = said[said >= 0]
        told.derived[positions[found]] = first[found]
        first[here] = False
        keep = caller[at] >= 0
        keep[found] = False
        positions, at, first = positions[keep], caller[at][keep], first[keep]


def inside_optimizer(module: tir.Module, rows: Ints) -> Mask:
    """Which of `rows` were launched inside an `Optimizer.step#…` range, by thread and time of what asked for it."""
    names = module.strings.texts
    steps = np.array([text.startswith("Optimizer.step#") for text in names] + [False])
    ranges = steps[module["name"]] & module.is_kind("host") & module.live
    launch = module.launch[rows]
    launch = np.where(launch >= 0, module.origin[launch], -1)
    out = np.zeros(len(rows), bool)
    for lane in np.unique(module["lane"][ranges]).tolist():
        on_lane = ranges & (module["lane"] == lane)
        spans = tir.Spans.of(module["ts"][on_lane], module.end[on_lane])
        mine = np.flatnonzero((launch >= 0) & (module["lane"][launch] == lane))
        out[mine] = spans.contains(module["ts"][launch[mine]])
    return out
