"""Small passes with declared reads and writes, and a registry that holds only them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import attrs
import numpy as np

import traceir as tir
from traceir.ir import Annotation
from traceir.registry import Entry, Registry


def column(name: str, **more: Any) -> Annotation:
    return Annotation(name, doc="A toy.", **more)


@attrs.frozen
class Toy(tir.Pass):
    """Base of toys: writes the sum of the columns it reads, plus one, where it reads any; else the start."""

    def run(self, module: tir.Module, context: tir.PassContext) -> tir.Module:
        given = [module[name] for name in (*self.reads, *self.uses) if name in module and name != "live"]
        values = sum(given[1:], given[0]) + 1 if given else module["ts"].copy()
        return module.with_columns({annotation.name: values for annotation in self.writes})


@attrs.frozen
class Alpha(Toy):
    """Write a from the times."""

    scale: int = tir.option(1, help="Factor.")
    reads = ("ts",)
    writes = (column("alpha.a"),)

    def run(self, module: tir.Module, context: tir.PassContext) -> tir.Module:
        return module.with_columns({"alpha.a": module["ts"] * self.scale})


@attrs.frozen
class Beta(Toy):
    """Write b from a."""

    reads = ("alpha.a", "dur")
    writes = (column("beta.b"),)


@attrs.frozen
class Gamma(Toy):
    """Write c from a and b."""

    reads = ("alpha.a", "beta.b", "dur")
    writes = (column("gamma.c"),)


@attrs.frozen
class Delta(Toy):
    """Use b if it is there."""

    reads = ("dur",)
    uses = ("beta.b",)
    writes = (column("delta.d"),)


@attrs.frozen
class Shift(tir.Pass):
    """Move all times."""

    by: tir.Duration = tir.option(10, help="How far.")
    annotates: ClassVar[bool] = False
    writes = (column("shift.ts"),)

    def run(self, module: tir.Module, context: tir.PassContext) -> tir.Module:
        return module.with_columns({"shift.ts": module["ts"], "ts": module["ts"] + self.by})


def registry(*classes: type[tir.Pass], **entries: Entry) -> Registry:
    """A registry that holds only these passes."""
    table: Mapping[str, Entry] = {cls.name(): Entry(cls.name(), cls, cls.summary(), "toys") for cls in classes}
    return Registry(entries={"passes": {**table, **entries}, "frontends": {}, "printers": {}, "pipelines": {}})


ALL = registry(Alpha, Beta, Gamma, Delta, Shift)


def doing(
    run: Callable[[tir.Module], Any],
    *,
    writes: tuple[Annotation, ...] = (),
    check: Callable[[tir.Module], list[str]] = lambda _: [],
    annotates: bool = True,
) -> tir.Pass:
    """A pass named `broken` that does what the function does."""

    @attrs.frozen
    class Broken(tir.Pass):
        """Break a promise."""

        def run(self, module: tir.Module, context: tir.PassContext) -> tir.Module:
            result: tir.Module = run(module)
            return result

        def check(self, module: tir.Module) -> list[str]:
            return check(module)

    Broken.writes, Broken.annotates = writes, annotates
    return Broken()


def zeros(module: tir.Module) -> Any:
    return np.zeros(len(module), np.int64)
