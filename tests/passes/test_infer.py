"""The pass infer: sources asked in turn, neighbours, columns and report, on small modules."""

from __future__ import annotations

from pathlib import Path

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import traceir as tir
from tests.build import Ev, module
from traceir.ir.annotation import null_mask
from traceir_passes.infer import Infer, InferReport
from traceir_passes.infer.context import norm_chains

NATIVE = "void at::native::"
POW = f"{NATIVE}vectorized_elementwise_kernel<4, at::native::pow_tensor_scalar_kernel_impl<float, float>>(int)"
MEAN = f"{NATIVE}reduce_kernel<512, 1, at::native::ReduceOp<float, at::native::MeanOps<float, float>>>(int)"
RSQRT = f"{NATIVE}vectorized_elementwise_kernel<4, at::native::rsqrt_kernel_cuda(at::TensorIteratorBase&)>(int)"
ADD = f"{NATIVE}vectorized_elementwise_kernel<4, at::native::CUDAFunctor_add<float>>(int)"
LISTS = f"{NATIVE}(anonymous namespace)::multi_tensor_apply_kernel<BinaryOpScalarFunctor<float>>(int)"
GEMM, SOFTMAX, COPY = "nvjet_tst_64x64", "void softmax_warp_forward<float>(int)", "__amd_rocclr_copyBuffer"


def run(*events: Ev, **options: object) -> tir.Module:
    """The module of these events after infer."""
    return tir.PassManager((Infer(**options),)).run(module(events))  # type: ignore[arg-type]


def kernels(*names: str, lane: str = "gpu0.s7") -> list[Ev]:
    """Kernels of these names, 10 ns each, one after the other."""
    return [Ev("dev.kernel", name, 100 + 20 * at, 10, lane) for at, name in enumerate(names)]


def roles(item: tir.Module) -> list[str | None]:
    """The roles of all events in order of their ids."""
    return [role for _, role in sorted(zip(item["id"].tolist(), item.text("infer.role"), strict=True))]


def told(item: tir.Module) -> InferReport:
    """The report."""
    return Infer().report(item)


def test_only_device_work_has_a_role() -> None:
    """Host events, event waits, projected ranges and work on other lanes get null everywhere."""
    item = run(
        Ev("host.op", "aten::mm", 0, 50, "cpu"),
        Ev("dev.kernel", GEMM, 10, 10),
        Ev("event.wait", "Event Sync", 30, 10),
        Ev("dev.range", "step", 0, 100),
        Ev("dev.memcpy", "Memcpy DtoD (Device -> Device)", 40, 10),
        Ev("dev.memset", "Memset (Device)", 50, 10),
        Ev("dev.kernel", "softmax on the wrong lane", 60, 10, "cpu"),
    )
    assert roles(item) == [None, "gemm", None, None, "memcpy", "memset", None]
    for name in ("infer.class", "infer.op_kind", "infer.basis", "infer.symbol"):
        null = null_mask(item[name], item.annotations[name].annotation)
        assert (null == ~item.work).all()


def test_kind_beats_name_for_copies() -> None:
    """A copy that the source recorded as one is a memcpy, whatever its name holds."""
    assert roles(run(Ev("dev.memcpy", "nccl staging", 0, 5))) == ["memcpy"]


def test_opaque_graphs_are_unknown_kernel_time() -> None:
    """A graph recorded as one row hides its kernels, so its time is unknown, not compute of some role."""
    item = run(Ev("dev.graph", "CUDA Graph 3", 0, 100))
    assert roles(item) == ["unknown"]
    assert (told(item).kernel_time_ns, told(item).unknown_time_ns) == (100, 100)


def test_launching_operator_decides_for_unknown_names() -> None:
    """Where the name says nothing the operator right around the launch does, and the role counts as derived."""
    item = run(
        Ev("host.op", "aten::mm", 0, 50, "cpu"),
        Ev("rt.launch", "cudaLaunchKernel", 10, 10, "cpu"),
        Ev("dev.kernel", "mystery", 60, 10, launch=1),
    )
    assert roles(item)[2] == "gemm"
    assert item.event(item.row_of(2))["infer.basis"] == "derived"


def test_further_operators_and_modules_only_guess() -> None:
    """An operator further out and a module class give guessed roles; the innermost that says something wins."""
    item = run(
        Ev("host.frame", "nn.Module: RMSNorm_7", 0, 300, "cpu"),
        Ev("host.op", "aten::linear", 10, 90, "cpu"),
        Ev("host.op", "aten::view", 20, 40, "cpu"),
        Ev("rt.launch", "cudaLaunchKernel", 30, 10, "cpu"),
        Ev("rt.launch", "cudaLaunchKernel", 200, 10, "cpu"),
        Ev("dev.kernel", "mystery", 400, 10, launch=3),
        Ev("dev.kernel", "riddle", 500, 10, launch=4),
    )
    assert roles(item)[5:] == ["gemm", "norm"]
    assert item.text("infer.basis")[-2:] == ["guessed", "guessed"]


def test_extension_operators_read_like_kernels() -> None:
    """An extension's operator often launches one kernel of the same name, so kernel rules apply to it."""
    item = run(
        Ev("host.op", "_C::rms_norm", 0, 50, "cpu"),
        Ev("rt.launch", "cudaLaunchKernel", 10, 10, "cpu"),
        Ev("dev.kernel", "k0", 60, 10, launch=1),
    )
    assert roles(item)[2] == "norm"


def test_names_beat_operators() -> None:
    """The launching operator is not asked where the name says something."""
    item = run(
        Ev("host.op", "aten::convolution", 0, 50, "cpu"),
        Ev("rt.launch", "cudaLaunchKernel", 10, 10, "cpu"),
        Ev("dev.kernel", "ampere_sgemm_32x128_tn", 60, 10, launch=1),
    )
    assert roles(item)[2] == "gemm"
    assert item.text("infer.basis")[2] == "measured"


def test_hints_yield_to_operators() -> None:
    """A name that is only a hint asks the operator first, and counts as guessed without one."""
    events = [
        Ev("host.op", "aten::native_layer_norm", 0, 50, "cpu"),
        Ev("rt.launch", "cuLaunchKernel", 10, 10, "cpu"),
        Ev("dev.kernel", "triton__0d1d2d", 60, 10, launch=1),
        Ev("dev.kernel", "triton__0d1d2d", 80, 10),
    ]
    item = run(*events)
    assert roles(item)[2:] == ["norm", "elementwise"]
    assert item.text("infer.basis")[2:] == ["derived", "guessed"]


def test_graph_launches_are_not_asked() -> None:
    """One call starts all kernels of a graph, so what surrounds it says nothing of any of them."""
    item = run(
        Ev("host.op", "aten::mm", 0, 50, "cpu"),
        Ev("rt.graph_launch", "cudaGraphLaunch", 10, 10, "cpu"),
        Ev("dev.kernel", "mystery", 60, 10, launch=1),
        Ev("dev.kernel", GEMM, 80, 10, launch=1),
    )
    assert roles(item)[2:] == ["unknown", "gemm"]


CAPTURED = [
    (("aten::mm", "Model_0/Linear_3"), ("gemm", "derived")),
    (("_C::rms_norm", None), ("norm", "derived")),
    (("aten::view", "Model_0/Layer_3/RMSNorm_7"), ("norm", "guessed")),
    ((None, "Model_0/Layer_3/RMSNorm_7"), ("norm", "guessed")),
    ((None, "Model_0/LlamaRotaryEmbedding_1/Identity_2"), ("rope", "guessed")),
    ((None, "Model_0/Layer_3"), ("unknown", None)),
    ((None, None), ("unknown", None)),
]


@pytest.mark.parametrize(("captured", "wanted"), CAPTURED)
def test_captured_calls_speak_for_replays(
    captured: tuple[str | None, str | None], wanted: tuple[str, str | None]
) -> None:
    """What the pass capture found of a replayed kernel's call is asked as a launch is: operator first, then modules."""

    @attrs.frozen
    class Captures(tir.Pass):
        """Stand for the pass capture."""

        writes = tuple(tir.Annotation(f"capture.{word}", dtype="str", doc="Told.") for word in ("op", "module"))

        @classmethod
        def name(cls) -> str:
            return "capture"

        def run(self, module: tir.Module, context: tir.PassContext) -> tir.Module:
            for word, text in zip(("op", "module"), captured, strict=True):
                module = module.with_texts(f"capture.{word}", [text if work else None for work in module.work])
            return module

    item = module(
        [
            Ev("rt.graph_launch", "cudaGraphLaunch", 10, 10, "cpu"),
            Ev("dev.kernel", "mystery", 60, 10, launch=0),
            Ev("dev.kernel", GEMM, 80, 10, launch=0),
        ]
    )
    item = tir.PassManager((Captures(), Infer())).run(item)
    assert (roles(item)[1], item.text("infer.basis")[1]) == wanted
    assert (roles(item)[2], item.text("infer.basis")[2]) == ("gemm", "measured")


def test_clamps_are_activations_where_the_operator_says_so() -> None:
    """A ReLU and any other clamp are one kernel; the operator tells them apart, and without one it is a guess."""
    clamp = f"{NATIVE}vectorized_elementwise_kernel<4, at::native::launch_clamp_scalar(at::TensorIteratorBase&)>(int)"
    item = run(
        Ev("host.op", "aten::clamp", 0, 20, "cpu"),
        Ev("rt.launch", "cudaLaunchKernel", 5, 5, "cpu"),
        Ev("host.op", "aten::clamp_min", 30, 20, "cpu"),
        Ev("rt.launch", "cudaLaunchKernel", 35, 5, "cpu"),
        Ev("dev.kernel", clamp, 60, 10, launch=1),
        Ev("dev.kernel", clamp, 80, 10, launch=3),
        Ev("dev.kernel", clamp, 100, 10),
    )
    assert roles(item)[4:] == ["elementwise", "act", "act"]
    assert item.text("infer.basis")[-3:] == ["derived", "derived", "guessed"]


def test_dead_operators_are_looked_past() -> None:
    """An operator that a pass removed no longer speaks for what it launched."""
    item = module(
        [
            Ev("host.op", "aten::mm", 0, 50, "cpu"),
            Ev("rt.launch", "cudaLaunchKernel", 10, 10, "cpu"),
            Ev("dev.kernel", "mystery", 60, 10, launch=1),
        ]
    )
    item = item.with_columns({"live": np.array([False, True, True])})
    assert roles(tir.PassManager((Infer(),)).run(item)) == [None, None, "unknown"]


def test_optimizer_steps() -> None:
    """Kernels over lists of tensors are the optimizer's inside its step, and elementwise elsewhere."""
    item = run(
        Ev("host.range", "Optimizer.step#SGD.step", 0, 50, "cpu"),
        Ev("rt.launch", "cudaLaunchKernel", 10, 10, "cpu"),
        Ev("rt.launch", "cudaLaunchKernel", 60, 10, "cpu"),
        Ev("dev.kernel", LISTS, 100, 10, launch=1),
        Ev("dev.kernel", LISTS, 120, 10, launch=2),
        Ev("dev.kernel", ADD, 140, 10, launch=1),
    )
    assert roles(item)[3:] == ["optimizer", "elementwise", "elementwise"]


def test_unfused_norm() -> None:
    """pow, mean, add, rsqrt in this order are a norm; the add keeps its role and is marked as a part of it."""
    item = run(*kernels(POW, MEAN, ADD, RSQRT, GEMM))
    assert roles(item) == ["norm", "norm", "elementwise", "norm", "gemm"]
    assert item.text("infer.part") == ["rmsnorm"] * 4 + [None]
    assert item.text("infer.basis")[:4] == ["derived", "derived", "measured", "derived"]


NO_NORM = [
    ([POW, RSQRT, MEAN], ["elementwise", "elementwise", "reduce"]),
    ([MEAN, POW], ["reduce", "elementwise"]),
    ([POW, MEAN, *[GEMM] * 6, RSQRT], ["elementwise", "reduce", *["gemm"] * 6, "elementwise"]),
    ([MEAN], ["reduce"]),
    ([RSQRT], ["elementwise"]),
]


@pytest.mark.parametrize(("names", "wanted"), NO_NORM)
def test_steps_without_a_chain(names: list[str], wanted: list[str]) -> None:
    """Out of order, incomplete or too far apart, the steps are what they are elsewhere."""
    assert roles(run(*kernels(*names))) == wanted


def test_norm_window() -> None:
    """The window counts kernels from the first step to the last."""
    names = [POW, MEAN, GEMM, GEMM, RSQRT]
    assert roles(run(*kernels(*names), norm_window=5))[0] == "norm"
    assert roles(run(*kernels(*names), norm_window=4))[0] == "elementwise"


def test_norms_do_not_cross_lanes() -> None:
    """Steps on two streams are no chain, even if they alternate in time."""
    assert roles(run(*kernels(POW, RSQRT), *kernels(MEAN, lane="gpu0.s8"))) == ["elementwise", "elementwise", "reduce"]


def test_unfused_attention() -> None:
    """A softmax whose neighbours are products, with quiet roles between, is marked with them; others are not."""
    item = run(*kernels(GEMM, COPY, SOFTMAX, GEMM, ADD, SOFTMAX))
    assert item.text("infer.part") == ["attention", None, "attention", "attention", None, None]
    assert roles(item)[2] == "softmax"


@given(st.lists(st.sampled_from([0, 1, 2, 3]), max_size=40), st.integers(2, 10))
def test_norm_chains_against_a_plain_search(steps: list[int], window: int) -> None:
    """The vectorised search finds what looking back from each rsqrt finds."""
    found, _ = norm_chains(np.array(steps, np.int8), np.zeros(len(steps), np.int32), window)
    wanted = np.zeros(len(steps), bool)
    for last in [at for at, step in enumerate(steps) if step == 3]:
        mean = max((at for at in range(last) if steps[at] == 2), default=-1)
        first = max((at for at in range(max(mean, 0)) if steps[at] == 1), default=-1)
        if first >= 0 and mean > first and last - first < window:
            wanted[[first, mean, last]] = True
    assert (found == wanted).all()


def test_report_counts_kernels_only() -> None:
    """Roles sum to kernel time; copies by engines stand apart; unions count overlapping time once per device."""
    item = run(
        Ev("dev.kernel", GEMM, 0, 100),
        Ev("dev.kernel", GEMM, 50, 100, "gpu0.s8"),
        Ev("dev.kernel", GEMM, 0, 100, "gpu1.s7"),
        Ev("dev.kernel", "mystery", 200, 100),
        Ev("dev.memcpy", "Memcpy HtoD (Pinned -> Device)", 400, 30),
    )
    report = told(item)
    assert [(row.role, row.count, row.time_ns, row.union_ns) for row in report.roles] == [
        ("gemm", 3, 300, 250),
        ("unknown", 1, 100, 100),
    ]
    assert (report.kernel_time_ns, report.union_ns, report.unknown_time_ns) == (400, 350, 100)
    assert report.unknown_share == 0.25
    assert [(row.role, row.time_ns) for row in report.memory] == [("memcpy", 30)]
    assert [(row.name, row.count) for row in report.unknown_names] == [("mystery", 1)]
    assert sum(report.classes.values()) == report.kernel_time_ns


def test_unknown_share_is_always_at_the_head() -> None:
    """The head of the page has the unknown share, even of 0; without kernels there is nothing to share."""
    known, none = (
        {fact.label: fact.value for fact in told(run(*events)).headline()}
        for events in ([Ev("dev.kernel", GEMM, 0, 1)], [Ev("host.op", "aten::mm", 0, 1, "cpu")])
    )
    assert known == {"unknown roles": 0.0}
    assert none == {}


def test_unknown_warning() -> None:
    """Above the share a finding poisons what rests on classes; at or below it there is none."""
    events = [*kernels(*[GEMM] * 19), Ev("dev.kernel", "mystery", 900, 10)]
    assert not run(*events).health
    finding = run(*events, unknown_warn=0.01).health[0]
    assert (finding.code, finding.count, finding.first) == ("unknown_roles", 1, 19)
    assert "overlap" in finding.poisons


def test_running_again_replaces_the_finding() -> None:
    """A second run with other options does not leave the first one's finding behind."""
    item = module([Ev("dev.kernel", "mystery", 0, 10)])
    once = tir.PassManager((Infer(),)).run(item)
    again = tir.PassManager((Infer(unknown_warn=1.0),)).run(once)
    assert [finding.code for finding in once.health] == ["unknown_roles"]
    assert not again.health


def test_remarks_name_what_is_unknown() -> None:
    """Each unknown name is a remark with its time."""
    context = tir.PassContext()
    tir.PassManager((Infer(),)).run(module(kernels("mystery", "mystery")), context)
    assert [remark.message for remark in context.remarks] == ["no role for mystery (2 kernels, 20 ns)"]


def test_user_table(tmp_path: Path) -> None:
    """The option roles names a table whose rules come first, and the pipeline text keeps it."""
    path = tmp_path / "roles.toml"
    path.write_text('[[rule]]\nrole = "sort"\npattern = "mystery"\n', encoding="utf-8")
    manager = tir.PassManager.parse(f'infer{{roles="{path}"}}')
    assert roles(manager.run(module(kernels("mystery")))) == ["sort"]
    assert tir.PassManager.parse(manager.text).passes == manager.passes


NAMES = st.sampled_from([GEMM, SOFTMAX, COPY, POW, MEAN, ADD, RSQRT, LISTS, "mystery", "ncclDevKernel_AllReduce_x"])


@given(st.lists(st.tuples(NAMES, st.integers(0, 50), st.sampled_from(["gpu0.s7", "gpu0.s8", "gpu1.s7"])), max_size=25))
def test_laws(rows: list[tuple[str, int, str]]) -> None:
    """Shifting all times changes no column, the pass changes nothing of the input, and roles sum to kernel time."""
    events = [Ev("dev.kernel", name, 10 * at, dur, lane) for at, (name, dur, lane) in enumerate(rows)]
    item = run(*events)
    later = run(*(attrs.evolve(event, ts=event.ts + 10**15) for event in events))
    for name in item.annotations:
        assert np.array_equal(item[name], later[name])
    report = told(item)
    assert sum(row.time_ns for row in report.roles) == report.kernel_time_ns == sum(dur for _, dur, _ in rows)
    assert report.union_ns <= report.kernel_time_ns
    assert Infer().check(item) == []


def test_empty_module() -> None:
    """A module without events is no error."""
    item = run()
    assert told(item).kernels == 0
