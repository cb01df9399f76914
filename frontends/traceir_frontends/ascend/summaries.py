"""The vendor's own account of steps, where a database holds it."""

from __future__ import annotations

import os
from typing import Any, Final

from traceir.errors import InputError
from traceir_frontends.ascend.tables import find, microseconds
from traceir_frontends.tabular import Database

_COLUMNS: Final = {
    "computing": "computing_ns", "communication_not_overlapped": "not_overlapped_ns", "overlapped": "overlapped_ns",
    "communication": "communication_ns", "free": "free_ns", "stage": "stage_ns", "bubble": "bubble_ns",
    "communication_not_overlapped_and_exclude_receive": "not_overlapped_without_receive_ns",
    "preparing": "preparing_ns",
}  # fmt: skip


def steps(folder: str) -> list[dict[str, Any]]:
    """The steps of the analysis.db of a folder, times as integer ns; none without one. InputError if it is damaged."""
    path = find(folder, r"analysis\.db")
    if path is None or not os.path.getsize(path):
        return []
    try:
        with Database.open(path) as database:
            frame = database.read("StepTraceTime", ("step", "deviceId", *_COLUMNS))
    except InputError as error:
        raise InputError(str(error)) from None
    out = []
    texts = {column: frame.texts(column) for column in ("step", "deviceId", *_COLUMNS)}
    for row in range(len(frame)):
        figures = {key: microseconds(texts[column][row]) for column, key in _COLUMNS.items()}
        out.append({"step": texts["step"][row], "device": texts["deviceId"][row], **figures})
    return out
