"""The pass `infer`: what each piece of device work does."""

from __future__ import annotations

from traceir_passes.infer.infer import Explanation, Infer
from traceir_passes.infer.names import KernelName, parse
from traceir_passes.infer.report import InferReport
from traceir_passes.infer.rules import RoleTable, Rule, Verdict

__all__ = ["Explanation", "Infer", "InferReport", "KernelName", "RoleTable", "Rule", "Verdict", "parse"]
