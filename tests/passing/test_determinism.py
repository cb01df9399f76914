"""The same input and pipeline give the same bytes, whatever the order of sets and the number of the run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "decoder_tp8_graph.json.gz"


@pytest.mark.parametrize("emit", ["json", "tir{form=table}", "folded", "chrome"])
def test_two_runs_and_two_hash_seeds_give_equal_bytes(emit: str, tmp_path: Path) -> None:
    """Whole processes, all passes."""
    made = []
    for number, seed in enumerate(("0", "0", "4242")):
        out = tmp_path / str(number)
        subprocess.run(
            [sys.executable, "-m", "traceir", "run", "-q", "--emit", emit, "-o", str(out), str(EXAMPLE)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
        )
        made.append(out.read_bytes())
    assert made[0] == made[1] == made[2]
