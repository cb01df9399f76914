"""One collective in several kernels."""

from __future__ import annotations

import attrs

from traceir_passes.collectives.composites.base import Composite, Setting


@attrs.frozen
class Pieces:
    """A collective that one call started as several kernels on one lane: its buffer was cut into chunks."""

    form: str = "chunked"

    def find(self, setting: Setting) -> list[Composite]:
        """The collectives in pieces, one composite each. O(communication)."""
        return [
            Composite(self.form, item.kind, setting.rows_of(at), (at,), note=f"{item.kernels} kernels")
            for at, item in enumerate(setting.instances)
            if item.kernels > 1 and item.role not in ("dispatch", "combine")
        ]
