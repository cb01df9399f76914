"""A tiny format: `# kernel log`, then a line `start_ns dur_ns stream name` per kernel."""

from pathlib import Path

import numpy as np

import traceir as tir
from traceir.loading import Progress


class KernelLog(tir.Frontend):
    """Kernel logs: a line of text per kernel."""

    word = "kernel-log"

    @classmethod
    def sniff(cls, head: tir.Head) -> float:
        """The first line says what it is."""
        return 1.0 if head.text.startswith(b"# kernel log\n") else 0.0

    def load(self, path: str, progress: Progress | None = None) -> tir.Module:
        """Read all lines; the ordinal of a line is its event's id."""
        rows = [line.split(maxsplit=3) for line in Path(path).read_text("utf-8").splitlines()[1:]]
        streams = list(dict.fromkeys(int(row[2]) for row in rows))
        strings, names = tir.Strings().encode([row[3] for row in rows])
        return tir.ModuleBuilder(
            name=Path(path).name,
            strings=strings,
            lanes=[tir.Lane(f"gpu0.s{stream}", "dev.stream", device=0, stream=stream) for stream in streams],
            kinds=["dev.kernel"],
            id=np.arange(len(rows)),
            kind=np.zeros(len(rows), np.uint16),
            name_code=names,
            ts=np.array([int(row[0]) for row in rows], np.int64),
            dur=np.array([int(row[1]) for row in rows], np.int64),
            lane=np.array([streams.index(int(row[2])) for row in rows], np.int32),
        ).build()
