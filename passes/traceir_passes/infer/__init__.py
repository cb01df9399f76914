"""The pass `infer`: what each piece of device work does."""

from __future__ import annotations

from traceir_passes.infer.explaining import Explanation
from traceir_passes.infer.infer import Infer
from traceir_passes.infer.names import KernelName, parse
from traceir_passes.infer.report import InferReport
from traceir_passes.infer.rules import RoleTable, Rule, Verdict

__all__ = ["Explanation", "Infer", "InferReport", "KernelName", "RoleTable", "Rule", "Verdict", "parse"]
