"""Files: reading again, gzip checkpoints, standard input, progress."""

from __future__ import annotations

import gzip
import io
import json
import os
import random
from pathlib import Path

import numpy as np
import pytest

import traceir as tir
from tests.frontends.kineto.documents import load, plain
from traceir_frontends.kineto import Kineto, stream


def _many(count: int) -> str:
    noise = random.Random(1)
    events = [
        {**plain()[1], "name": f"op{n % 7}", "ts": 1.5 * n, "args": {"n": n, "noise": f"{noise.getrandbits(400):x}"}}
        for n in range(count)
    ]
    return json.dumps({"traceEvents": events})


def test_arguments_of_a_gzip_are_read_from_checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Arguments in any order and number are those of the text, with members, checkpoints and jumps between them."""
    monkeypatch.setattr(stream, "STRIDE", 20_000)
    monkeypatch.setattr(stream, "PIECE", 1000)
    text = _many(2000).encode()
    data = gzip.compress(text[:150_000]) + gzip.compress(text[150_000:])
    module = load(tmp_path, data, chunk_bytes=10_000, name="trace.json.gz")
    assert module.source is not None
    rows = np.random.default_rng(1).permutation(len(module))[:300]
    args = module.source.args(module["offset"][rows], module["length"][rows])
    assert [item["n"] for item in args] == module["id"][rows].tolist()
    for row in (1999, 0, 1000):
        offset, length = int(module["offset"][row]), int(module["length"][row])
        assert module.source.raw(offset, length) == text[offset : offset + length]


@pytest.mark.parametrize("name", ["t.json", "t.json.gz"])
def test_a_changed_file_is_noticed(name: str, tmp_path: Path) -> None:
    """Reading from a file that is no longer the one that was loaded is an error in one sentence."""
    text = _many(5).encode()
    module = load(tmp_path, gzip.compress(text) if name.endswith("gz") else text, name=name)
    event = module.event(0)
    assert event.args["n"] == 0
    path = tmp_path / name
    size = path.stat().st_size
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(
        tir.InputError, match=f"has changed since it was loaded .{size} bytes then, {size + 1} now.; load it"
    ):
        _ = event.args
    path.unlink()
    with pytest.raises(tir.InputError, match="cannot be read"):
        _ = event.args


def test_a_file_rewritten_with_equal_size_is_noticed(tmp_path: Path) -> None:
    """The time of change counts too."""
    module = load(tmp_path, _many(5))
    os.utime(tmp_path / "trace.json", ns=(1, 1))
    with pytest.raises(tir.InputError, match="has changed"):
        _ = module.event(0).args


@pytest.mark.parametrize("packed", [False, True])
def test_standard_input_is_read_and_read_again(packed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard input may be compressed, and its arguments are there afterwards."""
    data = _many(50).encode()
    stdin = io.TextIOWrapper(io.BufferedReader(io.BytesIO(gzip.compress(data) if packed else data)))
    monkeypatch.setattr("sys.stdin", stdin)
    module = tir.load("-")
    assert len(module) == 50
    assert [event.args["n"] for event in module.select()] == list(range(50))
    assert (module.name, module.source.path if module.source else "") == ("stdin", "-")


@pytest.mark.parametrize("packed", [False, True])
def test_progress_ends_at_the_size_of_the_file(packed: bool, tmp_path: Path) -> None:
    """Progress counts bytes of the file as they are read, in order, to the end."""
    data = _many(2000).encode()
    path = tmp_path / "t"
    path.write_bytes(gzip.compress(data) if packed else data)
    seen: list[tuple[int, int | None]] = []
    Kineto(50_000).load(str(path), lambda done, total: seen.append((done, total)))
    done = [count for count, _ in seen]
    assert done == sorted(done)
    assert len(seen) > 3
    assert {total for _, total in seen} == {path.stat().st_size}
    assert done[-1] == path.stat().st_size
