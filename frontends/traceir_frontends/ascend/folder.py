"""Result folders: which file of them is the timeline, and what lies beside it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from traceir.errors import InputError, UsageError
from traceir_frontends.ascend.tables import find
from traceir_frontends.whole import read_whole

_TIMELINE: Final = re.compile(r"(trace_view|msprof(_slice_\d+)?(_\d+)*)\.json(\.gz)?\Z")
_DATABASE: Final = re.compile(r"((ascend_(pytorch|mindspore)_)profiler(_\d+)?|msprof(_\d+)?)\.db\Z")
_RESULTS: Final[tuple[str, ...]] = ("ASCEND_PROFILER_OUTPUT", "mindstudio_profiler_output")
_RANK: Final = re.compile(r"_ascend_(pt|ms)\Z|PROF_\w+\Z|rank_?\d+|device_\d+\Z")
_DEEPEST: Final = 4
_RAW: Final = ("FRAMEWORK", "host", "PROF_")


def claims(path: str) -> str | None:
    """The timeline of a result folder; None if it is none.

    UsageError if it holds the results of several ranks; InputError if it holds raw data that were never analysed.
    """
    found = list(_results(Path(path), 0))
    if len(found) > 1:
        several = len({item.parent for item in found}) > 1
        example = os.path.relpath(found[0].parent if several else found[0], path)
        raise UsageError(
            f"The folder {path} holds {len(found)} Ascend results, and several ranks are not supported yet; name one, "
            f"such as {example}."
        )
    if found:
        return str(found[0])
    folder = Path(path)
    if _RANK.search(folder.name) and any(item.name.startswith(_RAW) for item in folder.iterdir()):
        raise InputError(
            f"The folder {path} holds raw data of the Ascend profiler and no timeline; analyse them first, with "
            "torch_npu.profiler.profiler.analyse or msprof --export=on."
        )
    return None


def _results(folder: Path, depth: int) -> Iterator[Path]:
    """The timelines below a folder: one for each result, text before database; raw data are not looked into."""
    try:
        names = sorted(item.name for item in folder.iterdir())
    except OSError:
        return
    for pattern in (_TIMELINE, _DATABASE):
        mine = [folder / name for name in names if pattern.match(name) and (folder / name).is_file()]
        if mine:
            yield from mine
            return
    below: list[str] = [name for name in _RESULTS if name in names] or [name for name in names if _RANK.search(name)]
    for name in below if depth < _DEEPEST else ():
        if (folder / name).is_dir() and not (folder / name).is_symlink():
            yield from _results(folder / name, depth + 1)


def about(path: str) -> dict[str, Any]:
    """What the files around a result say of the run: rank, world, profiler level, versions. Empty without them."""
    out: dict[str, Any] = {}
    if path == "-":
        return out
    near = os.path.dirname(os.path.abspath(path))
    for folder in (near, os.path.dirname(near)):
        info = _document(find(folder, r"profiler_info(_\d+)?\.json"))
        more = _document(find(folder, r"profiler_metadata\.json"))
        config = info.get("config") if isinstance(info.get("config"), dict) else {}
        options = config.get("experimental_config") if isinstance(config, dict) else {}
        spread = more.get("distributed_args") if isinstance(more.get("distributed_args"), dict) else {}
        told = {
            "rank": info.get("rank_id"),
            "level": options.get("_profiler_level") if isinstance(options, dict) else None,
            "torch_npu": info.get("torch_npu_version"),
            "cann": info.get("cann_version"),
            "world": spread.get("world_size") if isinstance(spread, dict) else None,
        }
        for key, value in told.items():
            if isinstance(value, str | int) and not isinstance(value, bool):
                out.setdefault(key, value)
        if isinstance(more.get("parallel_group_info"), dict):
            out.setdefault("groups", more["parallel_group_info"])
    return out


def _document(path: str | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        value = msgspec.json.decode(read_whole(path, 1 << 24)[0])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, InputError):
        return {}
    return value if isinstance(value, dict) else {}
