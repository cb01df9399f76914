"""The conservation laws of the accounts, which hold to the nanosecond."""

from __future__ import annotations

import numpy as np

from traceir.ir import Mask, Module
from traceir_passes.overlap.account import KEYS
from traceir_passes.overlap.scopes import SCOPES


def broken(module: Module) -> list[str]:
    """The laws that `table:overlap` breaks, a sentence each; none if all hold. O(rows of the table)."""
    c = {key: module[f"overlap.{key}"] for key in KEYS}
    scope, device = module["overlap.scope"], module["overlap.device"]
    whole = scope == SCOPES.index("device")
    alone = c["compute_ns"] + c["exposed_ns"] + c["memory_exposed_ns"] + c["fused_exposed_ns"] + c["idle_ns"]
    times = [values for key, values in c.items() if key not in ("start_ns", "end_ns")]
    laws: list[tuple[str, Mask]] = [
        ("hidden and exposed communication make the communication", c["overlap_ns"] + c["exposed_ns"] == c["comm_ns"]),
        ("what nothing hides is no more than what compute does not hide", c["exposed_any_ns"] <= c["exposed_ns"]),
        ("busy, foreign and idle time make the span", c["busy_ns"] + c["foreign_ns"] + c["idle_ns"] == c["span_ns"]),
        ("no time is negative", np.logical_and.reduce([values >= 0 for values in times])),
        (
            "the classes one after the other and idle time make a device's span",
            ~whole | (alone == c["span_ns"]),
        ),
        ("nothing is foreign to its own device", ~whole | (c["foreign_ns"] == 0)),
    ]
    out = [f"{sentence}, but not in {int((~holds).sum())} rows." for sentence, holds in laws if not holds.all()]
    for kind in range(1, len(SCOPES)):
        for number in np.unique(device[scope == kind]).tolist():
            mine, all_of = (scope == kind) & (device == number), whole & (device == number)
            for key in ("events", "time_ns"):
                if c[key][mine].sum() != c[key][all_of].sum():
                    out.append(f"the {SCOPES[kind]}s of device {number} and their rest do not make its {key}.")
    return out
