"""The public vocabulary: what may stay in a redacted trace, and that any text is decided at once."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from traceir.printers.chrome import vocabulary
from traceir.printers.chrome.names import is_api, is_backward

from ..conftest import ROOT

KINDS = ("dev.kernel", "event.wait", "rt.call", "host.op", "")
_FORMS = {
    **{f"names of {dialect}": form for dialect, form in vocabulary.FORMS.items()},
    **{f"argument {key}": form for key, form in vocabulary.TEXTS.items()},
    "places": vocabulary.PLACES, "model": vocabulary.MODEL, "backend": vocabulary.BACKEND,
    "version": vocabulary.VERSION,
}  # fmt: skip
_PIECES = sorted(
    {piece for form in _FORMS.values() for piece in re.findall(r"[A-Za-z0-9]+|[^A-Za-z0-9\\]", form.pattern)}
    | {"1", "12", "128", "A1", "h100", "Aa", "cuda", "Launch", "Backward", "Backward0", "int8_t", " ", "\n"}
)
_STARTS = ("", "ncclDevKernel_", "ncclKernel_All(", "nccl:", "step[", "execute_", "Memcpy DtoH (", "cuda", "c10::")
_BAD = ("!", "secret", "\x00", "é")


def _decide(text: str) -> float:
    """The seconds that it takes to ask all forms about a text."""
    start = time.process_time()
    for kind in KINDS:
        vocabulary.is_public(text, kind)
    for form in _FORMS.values():
        form.fullmatch(text)
    return time.process_time() - start


@given(
    st.sampled_from(_STARTS),
    st.lists(st.sampled_from(_PIECES), min_size=1, max_size=5),
    st.integers(1, 300),
    st.sampled_from(_BAD),
)
def test_any_name_is_decided_at_once(start: str, pieces: list[str], times: int, bad: str) -> None:
    """300 characters of the vocabulary's own pieces and a bad end: no form tries them in more than a few ways."""
    text = (start + "".join(pieces) * times)[:300] + bad
    assert _decide(text) < 0.1, text


@pytest.mark.parametrize(
    "text",
    ["ncclDevKernel_" + "128" * 90 + "secret", "1" * 300 + "!", "GPU" * 3 + "A1" * 140 + "_", "cuda:" * 60 + "x"],
)
def test_names_that_once_took_for_ever(text: str) -> None:
    """Digits that could be read as 128 or one by one, codes of models that could be parted anywhere."""
    assert _decide(text) < 0.1


def _groups() -> list[str]:
    """The repeated groups of all forms."""
    found = {group for form in _FORMS.values() for group in re.findall(r"\(\?:[^()]*?\)\+\+", form.pattern)}
    return sorted(found)


@pytest.mark.parametrize("group", _groups())
def test_possessive_forms_take_what_plain_ones_take(group: str) -> None:
    """No word hides a longer one that begins like it: the same texts pass, whatever is read first."""
    possessive, plain = re.compile(group), re.compile(group.replace("++", "+"))
    words = [re.sub(r"\\(.)", r"\1", one) for one in group[3:-3].split("|") if not re.search(r"\[|\\d", one)]
    seen = set()

    @given(st.lists(st.sampled_from([*words, "1", "8", "128", " ", "_", "t", "e4m3", "bs=12"]), max_size=6))
    def check(pieces: list[str]) -> None:
        text = "".join(pieces)
        assert (possessive.fullmatch(text) is None) == (plain.fullmatch(text) is None)
        if pieces and set(pieces) <= set(words):
            seen.add(text)
            assert possessive.fullmatch(text)

    check()
    assert seen


def test_there_are_groups_to_check() -> None:
    """The tests above look at something: names of collectives, kernels, copies, steps, types."""
    assert len(_groups()) >= 7
    assert all("++" in form.pattern for form in (vocabulary.BACKEND, vocabulary.TEXTS["dtype"]))


@pytest.mark.parametrize(
    "name",
    [
        "cudaLaunchKernel", "cudaLaunchKernelExC_v11060", "cudaMemcpy2DAsync_ptsz", "cuMemcpyHtoDAsync_v2",
        "cudaStreamGetCaptureInfo_v2", "hipGetDevicePropertiesR0600", "hipMemcpyWithStream", "cuTensorMapEncodeIm2col",
        "cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags", "hipDeviceGetPCIBusId", "cudaDeviceGetP2PAttribute",
        "hipExtModuleLaunchKernel", "cudaGraphLaunch_v10000", "cudaIpcOpenMemHandle", "hipStreamBeginCapture_spt",
        "cuOccupancyMaxPotentialBlockSizeVariableSMemWithFlags", "cudaHostUnregister_v4000", "cuGetProcAddress_v2",
    ],
)  # fmt: skip
def test_calls_of_the_runtimes_stay(name: str) -> None:
    """Names of the CUDA runtime, the CUDA driver and HIP, with the suffixes of their versions."""
    assert is_api(name)
    assert vocabulary.is_public(name, "rt.call")
    assert not vocabulary.is_public(name, "dev.kernel")


@pytest.mark.parametrize(
    "name",
    [
        "cudaSECRETLaunch", "cudaAcmeLaunch", "hipLaunchKernelabc", "cudaMemcpy3Dacme", "cuda", "cuAcme", "hipMemcpy77",
        "cudaLaunchKernel_acme", "cudalaunchKernel", "cudaLaunch Kernel", "cudaSOFTMemcpy", "cudaLaunchKernel_v123456",
    ],
)  # fmt: skip
def test_names_that_only_begin_like_calls_do_not(name: str) -> None:
    """One word that is none of the APIs' is enough."""
    assert not vocabulary.is_public(name, "rt.call")


def test_backward_nodes_of_pytorch_stay_and_others_do_not() -> None:
    """By the list of functions that PyTorch can differentiate; a user's own classes end in the same way."""
    run = "autograd::engine::evaluate_function: "
    for name in ("AddmmBackward0", "DivBackward1", "ConvolutionBackwardBackward0", "MaxPool2DWithIndicesBackward0"):
        assert is_backward(name)
        assert vocabulary.is_public(name, "host.op")
        assert vocabulary.is_public(run + name, "host.op")
    for name in ("AcmeBackward0", "AcmeAddmmBackward0", "AddmmAcmeBackward0", "Backward0", "AddmmBackward0acme"):
        assert not vocabulary.is_public(name, "host.op")
        assert not vocabulary.is_public(run + name, "host.op")
    assert vocabulary.is_public(run + "torch::autograd::AccumulateGrad", "host.op")
    assert not vocabulary.is_public(run + "torch::autograd::AcmeNode", "host.op")


@pytest.mark.parametrize(
    "name",
    [
        "NVIDIA H100 80GB HBM3", "NVIDIA A100-SXM4-80GB", "NVIDIA A100-PG509-200", "AMD Instinct MI300X",
        "AMD Instinct MI250X/MI250", "NVIDIA GeForce RTX 4090", "Intel Data Center GPU Max 1550", "AMD Radeon Graphics",
        "Tesla V100-SXM2-32GB", "NVIDIA GH200 480GB", "NVIDIA RTX 6000 Ada Generation", "",
    ],
)  # fmt: skip
def test_models_stay(name: str) -> None:
    """Names that vendors give to devices."""
    assert vocabulary.MODEL.fullmatch(name)


@pytest.mark.parametrize("name", ["Acme H100", "acme", "NVIDIA H100 acme", "H100acme", "NVIDIA/acme"])
def test_other_names_of_devices_do_not(name: str) -> None:
    """A word that no vendor uses."""
    assert not vocabulary.MODEL.fullmatch(name)


def test_the_documentation_lists_exactly_the_keys_that_stay() -> None:
    """Of arguments, metadata and devices."""
    text = (ROOT / "docs" / "chrome.md").read_text("utf-8")
    listed = {
        found[1]: set(re.findall(r"`([^`]+)`", re.sub(r"\s+", " ", found[2])))
        for found in re.finditer(r"^- (numbers|texts|metadata|devices): ([^;]*?)[;.]$", text, re.MULTILINE)
    }
    assert listed == {
        "numbers": set(vocabulary.NUMBERS),
        "texts": set(vocabulary.TEXTS),
        "metadata": set(vocabulary.VERSIONS),
        "devices": vocabulary.DEVICE | {"name"},
    }
