"""`python -m traceir` is the command `traceir`."""

from __future__ import annotations

from traceir.cli.main import script

if __name__ == "__main__":
    script()
