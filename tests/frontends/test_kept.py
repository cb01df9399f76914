"""Modules of databases in a cache: equal to fresh ones, with the arguments of their events found again."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

import traceir as tir
from tests.frontends.nsys.making import Export, write
from tests.frontends.nsys.making import process as serial
from tests.frontends.nvprof.test_nvprof import tables
from traceir.caching import Cache
from traceir.errors import InputError
from traceir.loading import Frontend
from traceir.registry import Registry
from traceir.testing import assert_equal

KEPT = {"chrome", "ftrace", "kineto", "nsys", "nvprof", "perf"}
NOT_KEPT = {
    "ascend": "its modules are made of the files beside the input too",
    "collapsed": "small by nature", "ncu": "small by nature", "speedscope": "small by nature",
    "others": "never gives a module", "tir": "its own text", "tirb": "is what a cache holds",
}  # fmt: skip


def test_it_is_decided_for_every_frontend() -> None:
    """Those that can be large can be kept; the rest is left out for a reason."""
    known = dict(Registry.installed().loaded("frontends"))
    assert {name for name, cls in known.items() if cls.reopen is not Frontend.reopen} == KEPT
    assert KEPT | NOT_KEPT.keys() == known.keys()


def nsys(path: Path, version: str = "3.24.14") -> Path:
    """An export whose sorts of synchronisation are off by one, as those of this schema are."""
    export = Export().about(version).kernel("k", 1, 2, 1).call("cudaLaunchKernel_v7000", 0, 1, 1)
    export.call("cudaStreamSynchronize_v3020", 3, 9, 2)
    export.add("CUPTI_ACTIVITY_KIND_SYNCHRONIZATION", start=4, end=8, deviceId=0, contextId=1, streamId=7,
               correlationId=2, globalPid=serial(10), syncType=2, eventId=4294967295)  # fmt: skip
    return export.write(path / "a.sqlite")


def nvprof(path: Path) -> Path:
    """A database of nvprof."""
    write(path / "a.nvvp", tables())
    return path / "a.nvvp"


@pytest.mark.parametrize("make", [nsys, nvprof])
def test_a_kept_module_equals_a_fresh_one(make: object, tmp_path: Path) -> None:
    """With all arguments, those that depend on what other rows of the file said too; and it is the cache's."""
    path = make(tmp_path)  # type: ignore[operator]
    cache = Cache(tmp_path / "cache", least=0)
    fresh, first, second = tir.load(path), tir.load(path, cache=cache), tir.load(path, cache=cache)
    assert (type(first.source).__name__, type(second.source).__name__) == ("TableSource", "LateSource")
    assert_equal(second, fresh)
    told = [[module.event(row).args for row in range(len(module))] for module in (fresh, second)]
    assert told[0] == told[1]
    assert all(told[0])
    assert fresh.source is not None
    assert second.source is not None
    place = int(fresh["offset"][0]), int(fresh["length"][0])
    assert fresh.source.raw(*place) == second.source.raw(*place) != b""


def test_a_file_that_changes_behind_the_cache_is_not_read(tmp_path: Path) -> None:
    """Between being found in the cache and being asked for arguments."""
    path, cache = nsys(tmp_path), Cache(tmp_path / "cache", least=0)
    tir.load(path, cache=cache)
    kept = tir.load(path, cache=cache)
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(InputError, match="has changed since it was loaded; load it again"):
        kept.event(0).args  # noqa: B018


def test_a_report_that_another_version_exports_is_not_mixed_up(tmp_path: Path) -> None:
    """Rows of another export may be others, so the arguments of a kept module are not taken from it."""
    from traceir_frontends.nsys import Nsys

    path = nsys(tmp_path)
    module = tir.load(path)
    older = attrs.evolve(module, meta={**module.meta, "schema": "3.1.0"})
    source = Nsys().reopen(str(path), older)
    with pytest.raises(InputError, match=r"is exported by NVIDIA Nsight Systems 2026\.2\.1 now, which is not what"):
        source.raw(1, 1)
