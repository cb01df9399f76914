"""The shipped examples are what their page says: sound, small, scrubbed, and made by the command given."""

from __future__ import annotations

import gzip
import importlib.util
import json
import re
from collections import Counter
from typing import Any

import pytest

from tests.conftest import ROOT
from traceir.synth import Decoder, render

EXAMPLES = ROOT / "examples"
PATHS = re.compile(r"/(home|root|tmp|usr|opt|mnt|work|Users|var)/|site-packages|dist-packages|\\\\|@[\w-]+\.")


def _text(name: str) -> str:
    return gzip.decompress((EXAMPLES / name).read_bytes()).decode()


def _scrub(text: str) -> str:
    spec = importlib.util.spec_from_file_location("scrub_trace", EXAMPLES / "scrub_trace.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    scrubbed: str = module.scrub(text)
    return scrubbed


def test_the_examples_are_small() -> None:
    """Together below 300 kB, so that they can live in the repository."""
    assert sum(path.stat().st_size for path in EXAMPLES.glob("*.gz")) < 300_000


@pytest.mark.parametrize("name", ["qwen_tiny_cpu.json.gz", "decoder_tp8_graph.json.gz"])
def test_no_example_names_a_folder_or_a_machine(name: str) -> None:
    """No absolute path, no installation folder, no host."""
    text = _text(name)
    assert PATHS.search(text) is None
    assert json.loads(text).get("host_name", "host") == "host"


def test_the_captured_example_holds_the_whole_decoder() -> None:
    """Three forward passes of four layers, with modules, shapes and step marks."""
    rows = json.loads(_text("qwen_tiny_cpu.json.gz"))["traceEvents"]
    names = Counter(re.sub(r"_\d+$", "", row["name"]) for row in rows if row["name"].startswith("nn.Module"))
    assert names["nn.Module: DecoderLayer"] == 3 * 4
    assert names["nn.Module: RMSNorm"] == 3 * (2 * 4 + 1)
    attention = "aten::scaled_dot_product_attention"
    assert sum(row["name"] == attention for row in rows) == 3 * 4
    assert any("Input Dims" in row.get("args", {}) for row in rows)
    assert sum(row["name"].startswith("ProfilerStep#") for row in rows) == 3


def test_the_synthetic_example_is_what_its_command_makes() -> None:
    """The options printed on the page give the shipped text and truth."""
    options = Decoder(
        layers=36, steps=4, launch="mixed", prefill_every=4, tensor_parallel=8, comm_stream=True, overlap=0.6,
        frames=1, graph_ids=True,
    )  # fmt: skip
    text, truth = render(options)
    assert text == _text("decoder_tp8_graph.json.gz")
    shipped = json.loads((EXAMPLES / "decoder_tp8_graph.truth.json").read_text())
    assert shipped == json.loads(json.dumps(truth.to_json()))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("/home/a/.venv/lib/python3.12/site-packages/torch/_ops.py(12): f", "torch/_ops.py(12): f"),
        ("/usr/lib/python3.12/threading.py(1032): _bootstrap", "lib/threading.py(1032): _bootstrap"),
        ("/home/me/train.py(3): <module>", "train.py(3): <module>"),
        ("torch/nn/modules/module.py(1782): _call_impl", "torch/nn/modules/module.py(1782): _call_impl"),
        ("<built-in method to of Tensor object at 0x7fdc681d0910>", "<built-in method to of Tensor object at 0x0>"),
        ("aten::mm", "aten::mm"),
    ],
)
def test_scrubbing_takes_out_folders_and_addresses_and_nothing_else(before: str, after: str) -> None:
    """Frame names lose what only one machine has; other names, times and numbers stay."""

    def document(name: str, host: str, trace: str) -> dict[str, Any]:
        row = {"ph": "X", "name": name, "ts": 4396136465056.793, "args": {"Python id": 1}}
        return {"host_name": host, "traceEvents": [row], "traceName": trace}

    scrubbed = _scrub(json.dumps(document(before, "box-17", "/home/a/trace.json"), indent=1))
    assert scrubbed == json.dumps(document(after, "host", "decoder.pt.trace.json"), indent=1)
