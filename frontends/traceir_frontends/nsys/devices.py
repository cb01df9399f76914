"""Which device a row is of: contexts tell it where rows do not, and processes number the devices that they see."""

from __future__ import annotations

import attrs
import numpy as np

from traceir.ir import NULL_I64, Array, Ints
from traceir_frontends.tabular import Database, Rows, distinct_rows, matched

_CONTEXTS = ("TARGET_INFO_CUDA_CONTEXT_INFO", "TARGET_INFO_CUDA_NULL_STREAM")


@attrs.frozen(eq=False)
class Devices:
    """Contexts with their devices, and what each process calls the devices of the machine."""

    context: tuple[Ints, Ints]
    """Process (its number only) and context."""
    device: Ints
    """The device of each context, as its process numbers it."""
    visible: tuple[Ints, Ints]
    """Process and number of a device in it."""
    machine: Ints
    """The number of that device on the machine."""

    @classmethod
    def of(cls, database: Database, work: list[Rows]) -> Devices:
        """From the tables of the target, and from rows of work, which know both."""
        parts = []
        for rows in work:
            distinct = distinct_rows([rows.key(word) for word in ("pid", "context", "device")])[0]
            parts.append(np.array(distinct, np.int64).reshape(-1, 3).T)
        for table in _CONTEXTS:
            frame = database.read(table, ("processId", "contextId", "deviceId"))
            parts.insert(0, np.stack([frame.ints("processId"), frame.ints("contextId"), frame.ints("deviceId")]))
        known: Array = np.concatenate(parts, axis=1)
        frame = database.read("TARGET_INFO_CUDA_DEVICE", ("gpuId", "cudaId", "pid"))
        return cls((known[0], known[1]), known[2], (frame.ints("pid"), frame.ints("cudaId")), frame.ints("gpuId"))

    def place(self, rows: Rows) -> None:
        """Give waits and records the device of their context: their own column says 0 whatever it is."""
        source, target = matched(self.context, (rows.key("pid"), rows.key("context")))
        rows.keys["device"] = rows.key("device").copy()
        rows.keys["device"][target] = self.device[source]
        self.number(rows)

    def number(self, rows: Rows) -> None:
        """Number devices as the machine does, where the file says how: each process counts those that it sees."""
        source, target = matched(self.visible, (rows.key("pid"), rows.key("device")))
        if len(target):
            rows.keys["device"] = rows.key("device").copy()
            known = self.machine[source] != NULL_I64
            rows.keys["device"][target[known]] = self.machine[source[known]]
