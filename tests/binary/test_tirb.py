"""The binary form: it says what the module says, and nothing damaged is believed."""

from __future__ import annotations

import io
import json
from pathlib import Path

import attrs
import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

import traceir as tir
from traceir.binary import MAGIC, read, write
from traceir.binary.layout import DIGEST, PREFIX, digest
from traceir.cli.main import main
from traceir.errors import InputError
from traceir.testing import modules

EXAMPLE = Path(__file__).parents[2] / "examples" / "decoder_tp8_graph.json.gz"


@pytest.fixture(scope="module")
def module() -> tir.Module:
    """The example with everything that the default pipeline writes."""
    return tir.PassManager.parse("group,overlap,gaps").run(tir.load(EXAMPLE))


def written(path: Path, item: tir.Module) -> Path:
    """A file of a module."""
    file = path / "a.tirb"
    with file.open("wb") as out:
        write(item, out)
    return file


def back(file: Path) -> tir.Module:
    """The module of a file."""
    with file.open("rb") as raw:
        return read(raw, str(file))


def test_it_says_what_the_module_says(module: tir.Module, tmp_path: Path) -> None:
    """Columns, names, lanes, trees, tables, annotations, passes and findings come back; fresh stays fresh."""
    found = back(written(tmp_path, module))
    assert found.equals(module)
    assert [name for name in found.annotations if found.stale(name)] == []
    assert found.passes == module.passes
    assert found.source is None


def test_what_is_stale_stays_stale(module: tir.Module, tmp_path: Path) -> None:
    """An annotation whose input was replaced is not made fresh by being written."""
    changed = module.with_columns({"dur": module["dur"] + 1})
    assert changed.stale("overlap.exposed")
    found = back(written(tmp_path, changed))
    assert [name for name in found.annotations if found.stale(name)] == [
        name for name in changed.annotations if changed.stale(name)
    ]


def test_passes_go_on_from_it(module: tir.Module, tmp_path: Path) -> None:
    """A later pass reads what was written, and nothing runs twice."""
    file = written(tmp_path, tir.PassManager.parse("infer").run(tir.load(EXAMPLE)))
    found = tir.PassManager.parse("overlap").run(tir.load(file))
    assert [record.name for record in found.passes] == ["infer", "collectives", "overlap"]
    assert (found["infer.role"] >= 0).sum() == (module["infer.role"] >= 0).sum()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(modules())
def test_any_module_comes_back(tmp_path: Path, drawn: tir.Module) -> None:
    """Whatever a module holds."""
    out = io.BytesIO()
    write(drawn, out)
    file = tmp_path / "drawn.tirb"
    file.write_bytes(out.getvalue())
    assert back(file).equals(drawn)


def test_equal_modules_are_equal_files(tmp_path: Path) -> None:
    """The same input gives the same bytes."""
    first, second = (written(tmp_path, tir.load(EXAMPLE)).read_bytes() for _ in range(2))
    assert first == second


@pytest.mark.parametrize("at", [0.0, 0.001, 0.2, 0.5, 0.9, 0.9999])
def test_a_cut_file_is_refused(module: tir.Module, tmp_path: Path, at: float) -> None:
    """Wherever it was cut, but in the padding behind the last column."""
    file = written(tmp_path, module)
    raw = file.read_bytes()
    file.write_bytes(raw[: int(at * (len(raw) - 64))])
    with pytest.raises(InputError, match=r"is damaged|is no \.tirb file"):
        back(file)


def test_every_changed_byte_is_noticed(tmp_path: Path) -> None:
    """In the header and in the columns; only padding is not looked at."""
    file = written(tmp_path, tir.load(EXAMPLE))
    raw = bytearray(file.read_bytes())
    length = PREFIX + int.from_bytes(raw[len(MAGIC) : PREFIX - DIGEST], "little")
    generator = np.random.default_rng(1)
    padding = 0
    for at in generator.integers(0, len(raw), 60).tolist():
        changed = raw.copy()
        changed[at] ^= 0x10
        file.write_bytes(changed)
        try:
            back(file)
        except InputError:
            continue
        assert at >= length
        assert raw[at] == 0
        padding += 1
    assert padding < 5


def _with_header(file: Path, **changes: object) -> None:
    """The file with another header, whose digest is right."""
    raw = file.read_bytes()
    length = int.from_bytes(raw[len(MAGIC) : PREFIX - DIGEST], "little")
    header = msgspec.json.decode(raw[PREFIX : PREFIX + length])
    new = json.dumps({**header, **changes}, separators=(",", ":")).encode()
    file.write_bytes(MAGIC + len(new).to_bytes(8, "little") + digest(new) + new + raw[PREFIX + length :])


WRONG = [
    ({"version": 9}, "has version 9 of its layout, and this traceir reads version 1; make it again from the trace."),
    ({"kinds": 5}, "contradicts itself (Expected `array`, got `int` - at `$.kinds`); make it again from the trace."),
    ({"lanes": [{"name": "x", "kind": "nope", "what": 1}]}, "contradicts itself"),
    ({"tables": {}}, "contradicts itself"),
    (
        {
            "tables": {
                "event": {"length": 3, "columns": {"id": {"dtype": "O", "offset": 0, "length": 8, "checksum": 0}}}
            }
        },
        "is damaged: the column id cannot lie where the header says; make it again from the trace.",
    ),
    (
        {
            "tables": {
                "event": {"length": 3, "columns": {"id": {"dtype": "<i8", "offset": 0, "length": 9, "checksum": 0}}}
            }
        },
        "is damaged: the column id ends inside a value; make it again from the trace.",
    ),
]


@pytest.mark.parametrize(("changes", "message"), WRONG)
def test_messages(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    """What is of another version or contradicts itself is refused with the mend."""
    file = written(tmp_path, tir.load(EXAMPLE))
    _with_header(file, **changes)
    with pytest.raises(InputError) as caught:
        tir.load(file)
    assert str(caught.value).startswith(f"The file {file} ")
    assert message in str(caught.value)


def test_codes_that_lead_nowhere_are_refused(tmp_path: Path) -> None:
    """A file whose checksums are right may still hold rows that no module has."""
    item = tir.load(EXAMPLE)
    table = item.tables["event"]
    wrong = np.full(len(item), 1 << 20, np.int32)
    bad = table.with_columns({"lane": wrong})
    file = written(tmp_path, attrs.evolve(item, tables={**item.tables, "event": bad}))
    with pytest.raises(InputError, match="contradicts itself"):
        tir.load(file)


def test_the_command_line_writes_and_reads_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--emit tirb -o FILE`, and the file as an input: its results are printed, and nothing runs again."""
    file = tmp_path / "a.tirb"
    assert main(["run", "-q", "--emit", "tirb", "-o", str(file), str(EXAMPLE)]) == 0
    assert main(["run", "-q", "--emit", "json", str(file)]) == 0
    held = msgspec.json.decode(capsys.readouterr().out)
    assert main(["run", "-q", "--emit", "json", str(EXAMPLE)]) == 0
    fresh = msgspec.json.decode(capsys.readouterr().out)
    assert held["results"]["overlap"] == fresh["results"]["overlap"]
    assert held["inputs"][0]["frontend"] in ("", "tirb")
