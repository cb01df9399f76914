"""Random valid documents, and documents cut at every byte."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import traceir as tir
from tests.frontends.kineto import reference
from tests.frontends.kineto.documents import documents, load, plain


def event_list(text: str) -> list[dict[str, Any]]:
    """The events of a document, with exact decimals."""
    document = json.loads(text, parse_float=Decimal)
    found: list[dict[str, Any]] = document if isinstance(document, list) else document["traceEvents"]
    return found


@given(text=documents(), size=st.integers(1, 300))
def test_random_documents_equal_the_reference(text: str, size: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whatever the white space, key order, place of the events and size of the pieces: the same rows, exactly."""
    module = load(tmp_path_factory.mktemp("d"), text, chunk_bytes=size)
    found = event_list(text)
    assert reference.module_rows(module) == reference.shifted(reference.rows_of(found))
    data = text.encode()
    for id, at, n in zip(*(module[name].tolist() for name in ("id", "offset", "length")), strict=True):
        assert json.loads(data[at : at + n], parse_float=Decimal) == found[id]
    assert not set(reference.codes(module)) & {"truncated", "repaired", "string_time"}


@given(text=documents(), size=st.integers(1, 300), cut=st.floats(0, 1))
def test_random_cuts_keep_a_prefix(text: str, size: int, cut: float, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A document cut anywhere gives its first events, or one sentence that it cannot be read."""
    data = text.encode()[: int(cut * len(text.encode()))]
    try:
        module = load(tmp_path_factory.mktemp("d"), data, chunk_bytes=size)
    except tir.InputError:
        return
    _is_prefix(module, event_list(text))


@pytest.mark.parametrize(("indent", "bare", "step"), [(None, False, 1), (1, True, 5), (1, False, 7)])
def test_a_cut_at_every_byte_keeps_a_prefix(indent: int | None, bare: bool, step: int, tmp_path: Path) -> None:
    """Cutting at any byte keeps every event that is whole before it, and says that the file is cut."""
    document: Any = plain() if bare else {"schemaVersion": 1, "traceEvents": plain(), "traceName": "t"}
    data = json.dumps(document, indent=indent).encode()
    begin = data.index(b"[") + 1
    for cut in range(0, len(data), step):
        if cut < begin:
            with pytest.raises(tir.InputError):
                load(tmp_path, data[:cut])
            continue
        module = load(tmp_path, data[:cut])
        _is_prefix(module, plain())
        whole = sum(1 for _ in _ends(data, begin) if _ <= cut)
        assert _seen(module) >= {id for id in range(whole) if plain()[id]["ph"] == "X"}
        closed = data.rindex(b"]") < cut and (bare or data[:cut].rstrip().endswith(b"}"))
        assert closed or reference.codes(module)["truncated"] == 1


def test_a_gzip_cut_at_every_byte_keeps_a_prefix(tmp_path: Path) -> None:
    """The same for compressed files: whatever the decompressor gives before the cut is used."""
    text = json.dumps({"traceEvents": plain() * 20})
    data = gzip.compress(text.encode(), mtime=0)
    kept = []
    for cut in range(0, len(data), 3):
        try:
            module = load(tmp_path, data[:cut])
        except tir.InputError:
            kept.append(0)
            continue
        _is_prefix(module, plain() * 20)
        assert cut >= len(data) - 8 or reference.codes(module)["truncated"] == 1
        kept.append(len(module))
    assert kept == sorted(kept)
    assert kept[-1] == 120


def _ends(data: bytes, begin: int) -> list[int]:
    """Where the events of a document end."""
    at, ends = begin, []
    decoder, text = json.JSONDecoder(), data.decode()
    for _ in plain():
        at = text.index("{", at)
        at = decoder.raw_decode(text, at)[1]
        ends.append(at)
    return ends


def _seen(module: tir.Module) -> set[int]:
    return set(module["id"].tolist())


def _is_prefix(module: tir.Module, events: list[dict[str, Any]]) -> None:
    """The module's rows are the first rows of `events`, on a clock of their own."""
    expected = reference.rows_of(events)
    ids = sorted(module["id"].tolist())
    assert ids == list(expected)[: len(ids)]
    assert reference.module_rows(module) == reference.shifted({id: expected[id] for id in ids})
    assert np.all(module["dur"] >= 0)
