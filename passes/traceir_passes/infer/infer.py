"""The pass `infer`: roles of device work from names, launching operators and neighbours."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import attrs

import traceir as tir
from traceir_passes.infer import explaining, report
from traceir_passes.infer.classes import CLASSES, OP_KINDS
from traceir_passes.infer.rules import UNKNOWN, RoleTable, table
from traceir_passes.infer.stated import COLUMNS, SHAPE
from traceir_passes.infer.verdicts import BASES, Verdicts

FINDING = "unknown_roles"


_NO_WORK = "no device work, or removed"


@attrs.frozen
class Infer(tir.Pass):
    """Tell the role of every event on a device from its name and its launch.

    Each distinct name is classified once, by an ordered table of rules (rows are then given their role by
    code). Where the name says nothing the operator that launched the work is asked, then the operators and
    module classes around it; for the kernels of a graph those of its capture, if the pass `capture` ran before.
    Neighbours decide last: the steps of an unfused RMSNorm are norm only in their order within a few kernels.
    What nothing tells stays `unknown`, and its share of kernel time is always reported. What a name states of its
    library, types and tile becomes attributes, null where it does not say; the size of a product is from its
    capture, or with `operands` from the operator that launched it.
    O(events + names × rules).
    """

    roles: str = tir.option("", help="path of a TOML file whose rules come before the built-in ones")
    norm_window: int = tir.option(
        8,
        least=1,
        help="kernels within which pow, mean and rsqrt make a norm; with casts and a scale it has six to eight",
    )
    unknown_warn: tir.Share = tir.option(
        0.05, help="share of unknown kernel time above which class totals are unreliable; below it they move little"
    )
    operands: bool = tir.option(
        False,
        help="ask the operators that launched products for sizes and types; their arguments are then read from the "
        "input again, which takes as long as a second reading if it is compressed",
    )

    reads: ClassVar[tuple[str, ...]] = ("id", "kind", "name", "ts", "dur", "lane", "parent", "live", "edges")
    uses: ClassVar[tuple[str, ...]] = ("args", "capture.op", "capture.module", "capture.shapes")
    writes: ClassVar[tuple[tir.Annotation, ...]] = (
        tir.Annotation(
            "infer.role", dtype="str", shown="role", null=_NO_WORK, doc="What the work does, such as gemm."
        ),
        tir.Annotation(
            "infer.class", dtype="enum", values=CLASSES, null=_NO_WORK, doc="What overlap counts it as."
        ),
        tir.Annotation(
            "infer.op_kind", dtype="enum", values=OP_KINDS, null=_NO_WORK, doc="How it may be fused."
        ),
        tir.Annotation(
            "infer.basis", dtype="enum", values=BASES, null="no device work, removed, or unknown",
            doc="Where the role is from: the name, the launching operator or a chain, or a hint.",
        ),
        tir.Annotation(
            "infer.symbol", dtype="str", shown="symbol", null=_NO_WORK, doc="A short readable name."
        ),
        tir.Annotation(
            "infer.part", dtype="str", null="no device work, removed, or stands alone",
            doc="The unfused operation that it is a part of by its neighbours: rmsnorm or attention.",
        ),
        *COLUMNS,
        SHAPE,
    )  # fmt: skip

    def ready(self) -> None:
        """Whether the file of roles can be used; a UsageError that names the option if not.

        It is no check of the option itself: a text that records the pass is read where the file need not be.
        """
        self._rules()

    def _rules(self) -> RoleTable:
        if self.roles and not Path(self.roles).is_file():
            raise tir.UsageError(f"The option roles of {self.name()} is {self.roles!r}, and there is no such file.")
        try:
            return table(self.roles)
        except tir.UsageError as error:
            raise tir.UsageError(f"The option roles of {self.name()} names a file that is no use: {error}") from error

    def run(self, module: tir.Module, context: tir.PassContext) -> tir.Module:
        """The module with roles, classes, op kinds, basis and symbols of all device work."""
        rules = self._rules()
        found = Verdicts.of(module, rules)
        found.ask_launches(module, rules)
        found.ask_optimizers(module)
        found.ask_neighbours(module, self.norm_window)
        return self._judge(found.write(module, ask_operators=self.operands), context)

    def report(self, module: tir.Module) -> report.InferReport:
        """Time by role and class, and what stayed unknown."""
        return report.report(module)

    def explain(self, name: str) -> explaining.Explanation:
        """How a kernel's name alone gets its role, for people who write rules."""
        return explaining.explain(name, self._rules())

    def rules(self) -> RoleTable:
        """The rules that names are tried against, in order: those of the option `roles`, then the built-in ones."""
        return self._rules()

    def check(self, module: tir.Module) -> list[str]:
        """All device work has a role and a class, and nothing else has one."""
        out = []
        for name in ("infer.role", "infer.class", "infer.op_kind", "infer.symbol"):
            if ((module[name] >= 0) != module.work).any():
                out.append(f"{name} is given to rows that are no device work, or not to all that are.")
        return out

    def _judge(self, module: tir.Module, context: tir.PassContext) -> tir.Module:
        """The module with a finding if too much is unknown, and a remark for each large unknown name."""
        kernels = report.kernels(module)
        unknown = kernels & module.is_in("infer.role", [UNKNOWN])
        for item in report.unknown_names(module, unknown):
            message = f"no role for {item.name} ({item.count} kernels, {item.time_ns} ns)"
            context.remark(self.name(), message, kind="missed")
        lost, total = int(module["dur"][unknown].sum()), int(module["dur"][kernels].sum())
        if lost <= self.unknown_warn * total:
            return module
        return module.with_health(
            tir.Finding(
                FINDING,
                "warning",
                int(unknown.sum()),
                f"{lost / total:.1%} of kernel time has no known role, so that totals by class may be wrong; "
                "add rules for these names with infer{roles=FILE}.",
                int(module["id"][unknown][0]),
                ("overlap", "group"),
            )
        )
