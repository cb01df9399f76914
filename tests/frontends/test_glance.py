"""A first glance spares imports and nothing else: it never says no where the frontend itself would say anything."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import ROOT, TRACES
from traceir.loading import Frontend, Head, _decoded
from traceir.registry import Entry, Registry

ENTRIES = dict(Registry.installed().all("frontends"))
GLANCING = [name for name, entry in ENTRIES.items() if entry.glance is not None]
FILES = sorted(
    path
    for folder in (TRACES, ROOT / "examples", ROOT / "tests")
    for path in folder.rglob("*")
    if path.is_file() and path.suffix != ".pyc" and path.stat().st_size
)
BEGINNINGS = [
    b"[kernel];main;work 3\nmain;idle 4\n",
    b"{main;work 3\n{main;idle 4\n",
    b"\xef\xbb\xbfmain;work 3\n",
    b"# tracer: nop\n#\n",
    b"{task-12 [001] 1.5: sched_wakeup: comm=a\n",
    b"  [a]-7 [000] d..1 12.000001: x: y=1\n",
    b"          <idle>-0       0dNh.   12us+: tick <-irq\n",
    b" 0)   1.234 us    |  schedule();\n",
    b"CPU:0 [LOST 12 EVENTS]\n",
    b"[proc 12/34 [001] 5.123456: 1000 cycles: \n\tffff1234 main (/bin/a)\n",
    b"PERFILE2\x00\x00",
    b"2ELIFREP\x00\x00",
    b'{"a": 1}\n"ID","Process ID","Kernel Name","Metric"\n',
    b"==PROF== Connected to process 1\n",
    b"NVR\x00\x01",
    b"SQLite format 3\x00",
    b'\n  // a remark\n#[traceir "1"]\nmodule @a {}\n',
    b"\x89TIRB\r\n\x1a",
    b'{"$schema": "https://www.speedscope.app/file-format-schema.json"}',
    b'{"shared":{"frames":[]},"profiles":[]}',
    b'[{"ph":"X","name":"Node@launch","ts":"1700000000000000.125","dur":1}]',
    b'[{"ph":"X","name":"a","ts" : "1700000000000000.1","dur":1}]',
    b'{"traceEvents":[{"ph":"X","cat":"cpu_op","ts":1}]}',
    b"Device_id,Name,Type,Start Time(us),Duration(us)\n",
]
"""How files of each format may begin, odd ones too."""
NAMES = ("trace.json", "a.nsys-rep", "b.qdrep", "c.gz")


def heads(path: str, raw: bytes) -> list[Head]:
    """An input as it is, and packed by gzip."""
    return [_decoded(path, raw), _decoded(path, gzip.compress(raw))]


def check(entry: Entry, head: Head) -> None:
    """What a glance turns away is nothing to the frontend either."""
    if entry.may_know(head):
        return
    frontend: type[Frontend] = entry.load()
    try:
        sure = frontend.sniff(head)
    except Exception:  # a frontend that fails at an input knows nothing, whether it is asked or not
        sure = 0.0
    assert sure == 0, f"{entry.name} is {sure} sure of {head.path}, which begins {head.text[:60]!r}"


@pytest.mark.parametrize("name", GLANCING)
def test_files(name: str) -> None:
    """Of all files at hand, cut short too."""
    for path in FILES:
        with path.open("rb") as file:
            raw = file.read(1 << 16)
        for part in (raw, raw[:200], raw[len(raw) // 2 :]):
            if part:
                check(ENTRIES[name], _decoded(str(path), part))


@pytest.mark.parametrize("name", GLANCING)
def test_beginnings(name: str) -> None:
    """Of texts that look like two formats, under any name, packed or not."""
    for raw in BEGINNINGS:
        for path in NAMES:
            for head in heads(path, raw):
                check(ENTRIES[name], head)


@given(
    st.lists(st.sampled_from([*BEGINNINGS, b"\n", b" ", b"{", b"[", b"\xef\xbb\xbf", b"#", b"\t", b"x"]), max_size=5)
)
def test_any_mixture(parts: list[bytes]) -> None:
    """Of formats behind one another."""
    raw = b"".join(parts)
    for name in GLANCING:
        check(ENTRIES[name], _decoded("trace", raw))


SCRIPT = """
import sys, json
from traceir.loading import _head, _sniff
from traceir.registry import Registry
found = _sniff(_head(sys.argv[1]), Registry.installed())
print(json.dumps([found.word, sorted(name for name in sys.modules if name.startswith("traceir_frontends."))]))
"""


def test_only_likely_frontends_are_imported() -> None:
    """A trace of PyTorch needs none of the databases and none of the formats of lines."""
    path = ROOT / "examples" / "decoder_tp8_graph.json.gz"
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(path)], capture_output=True, text=True, check=True)
    word, modules = json.loads(done.stdout)
    assert word == "kineto"
    unlikely = {"ascend", "nsys", "nvprof", "perf", "ftrace", "collapsed", "speedscope", "ncu", "tir", "tirb"}
    assert not unlikely & {name.split(".")[1] for name in modules}


def test_a_glance_that_fails_leaves_the_frontend_its_say(tmp_path: Path) -> None:
    """Nobody is left out because of a glance that is not there or fails; without one a frontend is always asked."""
    head = _decoded("trace", b"{}")
    for glance in (None, "traceir_frontends.glance:nothing", "no.such.module:at_all", "json:loads"):
        assert Entry("odd", "a.b:C", "", "somebody", "frontends", glance).may_know(head)
    assert not Entry("odd", "a.b:C", "", "somebody", "frontends", "traceir_frontends.glance:tirb").may_know(head)
