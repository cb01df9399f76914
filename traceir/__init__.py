"""traceir: a compiler for profiler traces.

Frontends lower a profiler's file to one event-graph IR, passes transform it, printers write it out. Names are
loaded when first used, so that importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from traceir.errors import InputError as InputError
    from traceir.errors import PassError as PassError
    from traceir.errors import SchemaError as SchemaError
    from traceir.errors import TraceirError as TraceirError
    from traceir.errors import UsageError as UsageError
    from traceir.ir import NULL_I64 as NULL_I64
    from traceir.ir import Annotation as Annotation
    from traceir.ir import Event as Event
    from traceir.ir import Finding as Finding
    from traceir.ir import Lane as Lane
    from traceir.ir import Module as Module
    from traceir.ir import ModuleBuilder as ModuleBuilder
    from traceir.ir import Region as Region
    from traceir.ir import Selection as Selection
    from traceir.ir import Spans as Spans
    from traceir.ir import Strings as Strings
    from traceir.ir import Tree as Tree
    from traceir.ir.export import to_networkx as to_networkx
    from traceir.ir.export import to_numpy as to_numpy
    from traceir.ir.verify import Violation as Violation
    from traceir.ir.verify import verify as verify
    from traceir.loading import Frontend as Frontend
    from traceir.loading import Head as Head
    from traceir.loading import load as load
    from traceir.passing import Analysis as Analysis
    from traceir.passing import Block as Block
    from traceir.passing import Duration as Duration
    from traceir.passing import Fact as Fact
    from traceir.passing import Instrument as Instrument
    from traceir.passing import Pass as Pass
    from traceir.passing import PassContext as PassContext
    from traceir.passing import PassManager as PassManager
    from traceir.passing import Report as Report
    from traceir.passing import Share as Share
    from traceir.passing import option as option

__version__ = "0.1.0"

_HOMES = {
    "traceir.errors": ("InputError", "PassError", "SchemaError", "TraceirError", "UsageError"),
    "traceir.ir": (
        "NULL_I64", "Annotation", "Event", "Finding", "Lane", "Module", "ModuleBuilder",
        "Region", "Selection", "Spans", "Strings", "Tree",
    ),
    "traceir.ir.export": ("to_networkx", "to_numpy"),
    "traceir.ir.verify": ("Violation", "verify"),
    "traceir.loading": ("Frontend", "Head", "load"),
    "traceir.passing": (
        "Analysis", "Block", "Duration", "Fact", "Instrument", "Pass", "PassContext", "PassManager",
        "Report", "Share", "option",
    ),
}  # fmt: skip
_HOME = {name: home for home, names in _HOMES.items() for name in names}
__all__ = ["__version__", *sorted(_HOME)]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'traceir' has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
