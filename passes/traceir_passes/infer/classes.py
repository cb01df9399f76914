"""What a role means to other passes: its class in overlap, and its op kind in fusion."""

from __future__ import annotations

import re
import tomllib
from importlib import resources
from typing import Any, Final

CLASSES: Final = ("compute", "comm", "fused", "memory")
OP_KINDS: Final = ("elemwise", "broadcast", "injective", "comm_reduce", "out_ewise_fusable", "tuple", "opaque")

_DATA: Final[dict[str, Any]] = tomllib.loads(
    resources.files("traceir_passes.infer").joinpath("classes.toml").read_text(encoding="utf-8")
)
ROLES: Final[dict[str, tuple[str, str]]] = {
    role: (name, op_kind) for name in CLASSES for op_kind, roles in _DATA[name].items() for role in roles
}
"""Each role's class and op kind."""
_EXCEPT: Final = tuple(
    (item["role"], re.compile(item["pattern"], re.IGNORECASE), item["op_kind"]) for item in _DATA["except"]
)


def class_of(role: str) -> str:
    """The class of a role: `compute`, `comm`, `fused` or `memory`. Unknown work counts as compute."""
    return ROLES[role][0]


def op_kind_of(role: str, name: str) -> str:
    """The op kind of a role, refined by the kernel's name where the role alone does not decide it."""
    for wanted, pattern, op_kind in _EXCEPT:
        if role == wanted and pattern.search(name):
            return str(op_kind)
    return ROLES[role][1]


def roles_of(*classes: str) -> tuple[str, ...]:
    """All roles of the given classes."""
    return tuple(role for role, (name, _) in ROLES.items() if name in classes)
