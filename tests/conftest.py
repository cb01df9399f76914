"""Fixtures shared by all tests: real traces, which lie beside the project and are never part of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

import traceir as tir

settings.register_profile(
    "quick", max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
settings.register_profile("fuzz", max_examples=2000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("TRACEIR_HYPOTHESIS", "quick"))

ROOT = Path(__file__).resolve().parent.parent
TRACES = Path(os.environ.get("TRACEIR_TRACES", ROOT.parent / "shared" / "traces"))

SHORT = {
    "sgl_dec": "pytorch_inference/sglang_qwen3_8b_decode.json.gz",
    "sgl_cap": "pytorch_inference/sglang_decode_capture_bs32.json.gz",
    "sgl_pd": "pytorch_inference/sglang_qwen3_8b_prefilldecode.json.gz",
    "vllm_pw": "pytorch_inference/vllm_prefilldecode_piecewise_graph_execution.json.gz",
    "b200": "pytorch_nvidia/b200_eager_trace.json.gz",
    "qwen_h100": "pytorch_nvidia/h100_qwen1.5_0.5b_chat.json.gz",
    "bert_h100": "pytorch_nvidia/h100_bert_small.json.gz",
    "bert_mi300": "pytorch_amd/mi300_bert_small.json.gz",
    "triton": "pytorch_amd/mi300_torch_compile_triton.json.gz",
    "mi250": "pytorch_amd/hta_mi250_minitoy_train_ROCm6_2_kineto.json.gz",
    "nccl": "pytorch_nvidia/hta_nccl_data.json.gz",
    "s0": "pytorch_nvidia/hta_sampled_rank-0.json.gz",
    "s1": "pytorch_nvidia/hta_sampled_rank-1.json.gz",
    "alexnet": "pytorch_nvidia/hta_benchmark_result_2869224_1695835535_trace.json.gz",
    "ranges": "pytorch_nvidia/hta_benchmark_result_924719_1679055439_trace.json.gz",
    "simple_add": "pytorch_nvidia/hta_benchmark_simple_add_trace.json.gz",
    "event_sync": "pytorch_nvidia/hta_cuda_event_sync_trace.json.gz",
    "event_sync_multi": "pytorch_nvidia/hta_cuda_event_sync_multi_stream_trace.json.gz",
    "hta_triton": "pytorch_nvidia/hta_triton_example.json.gz",
    "backward_thread": "pytorch_nvidia/hta_backward_thread.json",
    "no_dist": "pytorch_nvidia/hta_distributed_info_not_found.json.gz",
    "non_gpu": "pytorch_nvidia/hta_rank_non_gpu.json.gz",
    "dlrm": "pytorch_nvidia/param_dlrm_8rank/worker0_step_12.1694128201545.pt.trace.json.gz",
    "cpu_only": "pytorch_other/hta_cpu_only_rank-34.pt.trace.json.gz",
    "mtia": "pytorch_other/hta_mtia_inference_rank_0.json.gz",
    "gloo": "pytorch_other/local_torch2.13_cpu_ddp_gloo_rank0.pt.trace.json.gz",
    "minimal_cpu": "pytorch_other/local_torch2.13_minimal_cpu.json",
}
"""The shared Kineto traces by the short names used in tests."""


def find_trace(name: str) -> Path:
    """The path of a shared trace by short name or path; the test is skipped where the traces are not present."""
    path = TRACES / SHORT.get(name, name)
    if not path.exists():
        pytest.skip(f"the shared trace {name} is not present (set TRACEIR_TRACES to the folder that holds it)")
    return path


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--update-goldens` writes the golden files anew; review the change as a diff."""
    parser.addoption("--update-goldens", action="store_true", help="write the golden files anew")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """A function that compares a text with `tests/golden/<name>`, a file that is reviewed like code."""

    def compare(name: str, text: str) -> None:
        path = ROOT / "tests" / "golden" / name
        if request.config.getoption("--update-goldens"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        assert path.read_text("utf-8") == text, f"{name} differs; if that is right, run pytest --update-goldens"

    return compare


_loaded: dict[str, tir.Module] = {}


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests keep nothing in the user's cache, and find nothing there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRACEIR_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def shared() -> Callable[[str], Path]:
    """A function from a shared trace's name to its path."""
    return find_trace


@pytest.fixture(scope="session")
def load_shared() -> Callable[[str], tir.Module]:
    """A function from a shared trace's name to its module, loaded once (modules are immutable)."""

    def load(name: str) -> tir.Module:
        path = find_trace(name)
        if name not in _loaded:
            _loaded[name] = tir.load(path)
        return _loaded[name]

    return load
