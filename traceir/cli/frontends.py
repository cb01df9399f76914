"""`traceir frontends`: list the formats that can be read."""

from __future__ import annotations

import argparse

from traceir.cli import common


def execute(arguments: argparse.Namespace) -> int:
    """Run the command."""
    entries = list(common.registry(arguments).all("frontends"))
    width = max((len(name) for name, _ in entries), default=0)
    for name, entry in entries:
        print(f"{name:<{width}}  {entry.summary}" + ("" if entry.provider == "traceir" else f"  ({entry.provider})"))
    return 0
