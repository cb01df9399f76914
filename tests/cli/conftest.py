"""Fixtures of the command line's tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import ROOT

from .lines import DECODE, Command

EXAMPLE = ROOT / "examples" / "decoder_tp8_graph.json.gz"


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """A function that runs a command line."""
    return Command(capsys, monkeypatch)


@pytest.fixture
def decode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`decode.tir` in a working directory of its own."""
    monkeypatch.chdir(tmp_path)
    Path("decode.tir").write_text(DECODE, "utf-8")
    return Path("decode.tir")


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The example of a decoder under graph launches, 6578 events; the working directory is an empty one."""
    monkeypatch.chdir(tmp_path)
    if not EXAMPLE.exists():
        pytest.skip("the examples are not present")
    return str(EXAMPLE)


@pytest.fixture(scope="session")
def whole() -> str:
    """The example with its regions as statements: what windows are compared with."""
    if not EXAMPLE.exists():
        pytest.skip("the examples are not present")
    import traceir as tir
    from traceir.text import Spelling, spell

    module = tir.PassManager.parse("group").run(tir.load(EXAMPLE))
    return "".join(spell(module, Spelling(form="statements")))
