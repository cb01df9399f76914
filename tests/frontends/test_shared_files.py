"""Every shared file: which frontend reads it, what it finds, whether it survives the passes and a round trip."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import traceir as tir
from tests.conftest import ROOT, TRACES
from traceir.errors import InputError
from traceir.passing import PassManager
from traceir.testing import assert_equal
from traceir.text import Spelling, parse, spell

TABLE = ROOT / "docs" / "frontends" / "coverage.md"
PIPELINE = "group,overlap,gaps"
WHERE = "the shared traces are not present (set TRACEIR_TRACES to the folder that holds them)"
HEAD = f"""# What becomes of real files

Made by `tests/frontends/test_shared_files.py` from a folder of real traces that is no part of the project
(`TRACEIR_TRACES` names it); `pytest --update-goldens` writes it anew. A file that is read went to `.tir` text and back
to an equal module, and through `{PIPELINE}`; one that is not is refused with exit 3 by the sentence in its row.
*Launched* counts the device work that has a launch edge, of all device work in the file.

| file | frontend | events | lanes | launched | `.tir` and back | `{PIPELINE}` |
|---|---|---|---|---|---|---|
"""


def files() -> list[str]:
    """The shared files by their path in the folder, the list of them aside; none where the folder is not present."""
    found = (path for path in TRACES.rglob("*") if path.is_file() and path != TRACES / "INDEX.md")
    return sorted(path.relative_to(TRACES).as_posix() for path in found)


FILES = files()


def row(name: str) -> str:
    """The row of a file, made by reading it."""
    path = TRACES / name
    try:
        module = tir.load(path)
    except InputError as error:
        sentence = str(error).replace(f"{TRACES}/", "")
        assert re.fullmatch(rf"The (input|text|table) {re.escape(name)} [^\n]+\.|.* > report\.csv", sentence), sentence
        said = sentence.removeprefix(f"The input {name} ").replace("|", "/")
        return f"| {name} | refused | {said} | | | | |"
    assert module.source is not None
    round_trip(module)
    PassManager.parse(PIPELINE).run(module)
    cells = [name, module.source.frontend, f"{len(module):,}", str(len(module.lanes)), launched(module), "equal", "ran"]
    return f"| {' | '.join(cells)} |"


def launched(module: tir.Module) -> str:
    """How much of the device work has a launch edge."""
    work = module.work
    edges = module.tables["edge"]
    kinds = tir.ir.module.EDGE_KINDS
    ends = np.unique(edges["dst"][edges["kind"] == kinds.index("launch")])
    found, total = int(work[ends].sum()), int(work.sum())
    return f"{found:,} of {total:,} ({100 * found // total} %)" if total else "no device work"


def round_trip(module: tir.Module) -> None:
    """The text of a module parses to an equal one, and prints the same again."""
    text = "".join(spell(module, Spelling(form="table")))
    again = parse(text)
    assert_equal(again, module)
    assert "".join(spell(again, Spelling(form="table"))) == text


def rows_of(table: Path) -> dict[str, str]:
    """The rows of the table that is kept, by file."""
    lines = table.read_text("utf-8").splitlines() if table.exists() else []
    found = [line for line in lines if line.startswith("| ") and not line.startswith("| file |")]
    return {line.split(" | ")[0].removeprefix("| "): line for line in found}


def write(name: str, line: str) -> None:
    """Put one row into the table; other processes may do so at the same time, and rows of files that are gone go."""
    import fcntl

    with TABLE.open("a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        rows = {key: kept for key, kept in rows_of(TABLE).items() if key in FILES} | {name: line}
        file.truncate(0)
        file.write(HEAD + "".join(f"{rows[key]}\n" for key in sorted(rows)))


@pytest.mark.parametrize("name", FILES or [pytest.param("", marks=pytest.mark.skip(reason=WHERE))])
def test_a_real_file_is_read_or_refused_as_the_table_says(name: str, request: pytest.FixtureRequest) -> None:
    """Each file on its own, so that several processes can share the work."""
    line = row(name)
    if request.config.getoption("--update-goldens"):
        write(name, line)
    assert rows_of(TABLE).get(name) == line, "the table differs; if that is right, run pytest --update-goldens"


@pytest.mark.skipif(not FILES, reason=WHERE)
def test_the_table_has_a_row_for_each_file(request: pytest.FixtureRequest) -> None:
    """No more and no fewer; not while the rows are being written."""
    if not request.config.getoption("--update-goldens"):
        assert list(rows_of(TABLE)) == FILES


def test_the_table_shows_every_frontend_of_profilers() -> None:
    """Without the traces too: each format that is read was seen in a real file, but those that none was found of."""
    seen = {line.split(" | ")[1] for line in rows_of(TABLE).values()}
    assert {"kineto", "nsys", "ncu", "ascend", "ftrace", "perf", "speedscope", "collapsed", "chrome", "refused"} <= seen
    assert TABLE.read_text("utf-8").startswith(HEAD)
    assert f"{TRACES}/" not in TABLE.read_text("utf-8")
