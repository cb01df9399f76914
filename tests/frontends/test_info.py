"""`traceir info`: what the input says of itself, and what it does not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.frontends.nsys.making import Export
from traceir.cli.main import main


def info(path: Path, capsys: pytest.CaptureFixture[str], *flags: str) -> str:
    """What the command prints."""
    assert main(["info", *flags, str(path)]) == 0
    return capsys.readouterr().out


def test_versions_devices_steps_and_launches_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One kernel of two has its launch; nothing says which devices these are."""
    export = Export().about().kernel("k", 2, 3, 1).kernel("k", 4, 5, 2).call("cudaLaunchKernel_v7000", 0, 1, 1)
    path = export.range("step 1", 0, 9).write(tmp_path / "a.sqlite")
    said = info(path, capsys)
    assert "nsys · 4 events" in said
    assert "launched  1 of 2 (50.0 %) device events have a launch edge" in said
    assert "EXPORT_SCHEMA_VERSION=3.25.0" in said
    assert "not told  what devices these are" in said
    assert "gpus=" not in said
    told = json.loads(info(path, capsys, "--emit", "json"))
    assert (told["work"], told["work_with_launch"], told["steps"], told["devices"]) == (2, 1, 1, [])
    assert told["versions"]["EXPORT_PRODUCT_VERSION"] == "2026.2.1"
    assert told["untold"] == ["what devices these are"]


def test_devices_are_named_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Eight alike are one name."""
    export = Export().about().kernel("k", 2, 3, 1)
    for number in range(8):
        export.add("TARGET_INFO_GPU", id=number, name="H100")
    said = info(export.write(tmp_path / "a.sqlite"), capsys)
    assert "devices  H100\n" in said
    assert "not told  steps, what launched device work" in said


def test_a_text_without_a_clock_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nor has it steps; launches and devices are not missed where no device worked."""
    file = tmp_path / "a.txt"
    file.write_text("main;work 3\nmain 1\n", encoding="utf-8")
    said = info(file, capsys)
    assert "not told  when it was recorded, steps\n" in said
    assert "launched" not in said
