"""A module after `sync`, its rows as dictionaries, and modules with sync edges, for tests of the pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np

import traceir as tir
from tests.build import Ev, module
from traceir.ir import Table
from traceir.ir.module import EDGE_KINDS
from traceir_passes.sync import Sync, SyncReport

IDS = ("sync.call", "sync.waited_for", "sync.op", "sync.frame")
TEXTS = ("sync.kind", "sync.basis", "sync.verdict", "sync.chain")


def joined(items: Sequence[Ev], *syncs: tuple[int, int]) -> tir.Module:
    """A module of these events with sync edges, given as pairs of positions in the list."""
    item = module(items)
    row = {int(id): at for at, id in enumerate(item["id"].tolist())}
    edges = item.tables["edge"]
    columns = {
        "src": np.append(edges["src"], np.array([row[src] for src, _ in syncs], np.int32)),
        "dst": np.append(edges["dst"], np.array([row[dst] for _, dst in syncs], np.int32)),
        "kind": np.append(edges["kind"], np.full(len(syncs), EDGE_KINDS.index("sync"), np.int8)),
    }
    return attrs.evolve(item, tables={**item.tables, "edge": Table.of("edge", columns)})


def ran(item: tir.Module, **options: Any) -> tuple[tir.Module, SyncReport]:
    """The module after `sync`, whose laws have to hold, and its report."""
    done = tir.PassManager((Sync(**options),)).run(item)
    assert Sync(**options).check(done) == []
    return done, Sync(**options).report(done)


def rows(done: tir.Module) -> list[dict[str, Any]]:
    """The table of waits as dicts; ids in place of rows, texts in place of codes, None in place of nulls."""
    texts = {name: done.text(name) for name in TEXTS}
    out = []
    for at in range(len(done.tables["table:syncs"])):
        row: dict[str, Any] = {}
        for name in done.tables["table:syncs"]:
            value: Any = texts[name][at] if name in texts else done[name][at].item()
            if name in IDS:
                value = int(done["id"][value]) if value >= 0 else None
            row[name.removeprefix("sync.")] = None if value == tir.NULL_I64 else value
        out.append(row)
    return out
