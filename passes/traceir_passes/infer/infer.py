"""The pass `infer`: roles of device work from names, launching operators and neighbours."""

from __future__ import annotations

from typing import ClassVar

import attrs

import traceir as tir
from traceir_passes.infer import report, symbols
from traceir_passes.infer.classes import CLASSES, OP_KINDS, class_of, op_kind_of
from traceir_passes.infer.names import parse
from traceir_passes.infer.rules import UNKNOWN, table
from traceir_passes.infer.verdicts import BASES, FALLBACK, Verdicts

FINDING = "unknown_roles"


@attrs.frozen
class Explanation:
    """How a name came to its role: what was read of it, and which rule gave what."""

    name: str
    path: str
    role: str
    basis: str
    because: str
    symbol: str
    op_class: str
    op_kind: str


_NO_WORK = "no device work, or removed"


@attrs.frozen
class Infer(tir.Pass):
    """Tell the role of every event on a device from its name and its launch.

    Each distinct name is classified once, by an ordered table of rules (rows are then given their role by
    code). Where the name says nothing the operator that launched the work is asked, then the operators and
    module classes around it. Neighbours decide last: the steps of an unfused RMSNorm are norm only in their order
    within a few kernels. What nothing tells stays `unknown`, and its share of kernel time is always reported.
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

    reads: ClassVar[tuple[str, ...]] = ("id", "kind", "name", "ts", "dur", "lane", "parent", "live", "edges")
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
    )  # fmt: skip

    def run(self, module: tir.Module, context: tir.PassContext) -> tir.Module:
        """The module with roles, classes, op kinds, basis and symbols of all device work."""
        rules = table(self.roles)
        found = Verdicts.of(module, rules)
        found.ask_launches(module, rules)
        found.ask_optimizers(module)
        found.ask_neighbours(module, self.norm_window)
        return self._judge(found.write(module), context)

    def report(self, module: tir.Module) -> report.InferReport:
        """Time by role and class, and what stayed unknown."""
        return report.report(module)

    def explain(self, name: str) -> Explanation:
        """How a kernel's name alone gets its role, for people who write rules."""
        verdict = table(self.roles).classify(name)
        role = FALLBACK.get(verdict.part, verdict.role)
        because = verdict.because + (f"; {verdict.role} where it is a step of a norm" if verdict.part else "")
        basis = verdict.basis if role != UNKNOWN else ""
        return Explanation(
            name, parse(name).path, role, basis, because, symbols.symbol(name), class_of(role), op_kind_of(role, name)
        )

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
