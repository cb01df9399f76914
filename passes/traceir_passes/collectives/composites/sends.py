"""All-to-alls that a library makes of sends and receives."""

from __future__ import annotations

import attrs

from traceir_passes.collectives.composites.base import Composite, Setting


@attrs.frozen
class Sends:
    """A collective whose kernels only send and receive, and of which something else says what it is."""

    form: str = "send_recv"

    def find(self, setting: Setting) -> list[Composite]:
        """The collectives made of messages, one composite each. O(communication)."""
        return [
            Composite(self.form, item.kind, setting.rows_of(at), (at,), guessed=item.conflict is not None)
            for at, item in enumerate(setting.instances)
            if item.role == "send-recv" and item.kind not in ("send_recv", "unknown")
        ]
