"""`traceir cache`: show or clear what is kept of large inputs."""

from __future__ import annotations

import argparse

from traceir import units
from traceir.caching import Cache


def execute(arguments: argparse.Namespace) -> int:
    """Run the command."""
    cache = Cache.of_user()
    if arguments.action == "clear":
        print(f"Removed {cache.clear()} files from {cache.folder}.")
        return 0
    entries = cache.entries()
    total = units.size(sum(entry.size for entry in entries))
    print(f"{cache.folder}: {len(entries)} files, {total} of at most {units.size(cache.most)}")
    return 0
