"""What names of an export tell, and the base of names that makes a million texts a few."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from traceir_frontends.nsys import names


@pytest.mark.parametrize(
    ("text", "name", "kind"),
    [
        ("cudaLaunchKernel_v7000", "cudaLaunchKernel", "rt.launch"),
        ("cudaLaunchKernelExC_ptsz_v11060", "cudaLaunchKernelExC", "rt.launch"),
        ("cuMemcpyDtoHAsync_v2_ptsz", "cuMemcpyDtoHAsync", "rt.memcpy"),
        ("cudaStreamSynchronize_v3020", "cudaStreamSynchronize", "rt.sync"),
        ("cudaGraphLaunch_v10000", "cudaGraphLaunch", "rt.graph_launch"),
        ("cudaMallocAsync_v11020", "cudaMallocAsync", "rt.alloc"),
        ("cuGetProcAddress_v2", "cuGetProcAddress", "rt.call"),
        ("_v2", "_v2", "rt.call"),
    ],
)
def test_calls_lose_their_version(text: str, name: str, kind: str) -> None:
    """The same call has one name in every version, and the kind that it has in other profilers' files."""
    assert names.api(text) == (name, kind)


@pytest.mark.parametrize(
    ("text", "name", "kind", "args"),
    [
        ("aten::view, op_id = 314290", "aten::view", "host.op", {"op_id": 314290}),
        ("aten::mm, seq = 3, op_id = 7", "aten::mm", "host.op", {"Sequence number": 3, "op_id": 7}),
        ("aten::mm, op_id = 7, sizes = [[2, 3], []]", "aten::mm", "host.op", {"op_id": 7, "Input Dims": [[2, 3], []]}),
        ("aten::mm, sizes = [[2, x]]", "aten::mm", "host.op", {"sizes": "[[2, x]]"}),
        ("detach_, op_id = 1, sizes = [[1]], input_op_ids = [(4,0)]", "detach_", "host.op",
         {"op_id": 1, "Input Dims": [[1]]}),
        ("autograd::engine::evaluate_function: AddBackward0, op_id = 9",
         "autograd::engine::evaluate_function: AddBackward0", "host.op", {"op_id": 9}),
        ("FSDP::pre_forward (block.1), op_id = 5", "FSDP::pre_forward (block.1)", "host.range", {"op_id": 5}),
        ("Optimizer.step#AdamW.step, op_id = 5", "Optimizer.step#AdamW.step", "host.range", {"op_id": 5}),
        ("ProfilerStep#12, op_id = 5", "ProfilerStep#12", "mark.step", {"op_id": 5}),
        ("iteration 7", "iteration 7", "mark.step", {}),
        ("load, op_id of nothing", "load, op_id of nothing", "host.range", {}),
        ("x = 1, op_id = 3", "x = 1", "host.range", {"op_id": 3}),
    ],
)  # fmt: skip
def test_ranges_of_a_framework_are_its_operators(text: str, name: str, kind: str, args: dict[str, object]) -> None:
    """What is appended to the name of an operator becomes its arguments; words of users stay ranges."""
    assert names.nvtx(text) == (name, kind)
    assert names.nvtx_args(text) == args
    assert names.nvtx(names.nvtx_base(text)) == (name, kind)


@given(
    name=st.text(min_size=1, max_size=12),
    tail=st.sampled_from(["", ", op_id = 4", ", seq = 9, op_id = 2", ", op_id = 1, sizes = [[2]]"]),
)
def test_the_base_of_a_name_tells_the_same(name: str, tail: str) -> None:
    """Cutting the numbers off first changes neither name nor kind."""
    assert names.nvtx(names.nvtx_base(name + tail)) == names.nvtx(name + tail)


@given(text=st.text(max_size=40))
def test_any_text_is_a_name(text: str) -> None:
    """No text of a file fails."""
    assert names.nvtx(text)[0] in (text, text[: len(names.nvtx(text)[0])])
    assert names.api(text)[1].startswith("rt.")
    assert isinstance(names.nvtx_args(text), dict)
