"""The pass collectives: sources of the kind, what is moved, composites and laws, on small traces."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import traceir as tir
from tests.build import Ev, module
from traceir.ir import Annotation, Region, Written
from traceir_passes.collectives import KINDS, Collectives, CollectivesReport
from traceir_passes.collectives import vocabulary as words
from traceir_passes.collectives.instances import decide
from traceir_passes.collectives.laws import laws
from traceir_passes.collectives.report import counted

ALL_REDUCE = "ncclDevKernel_AllReduce_Sum_bf16_RING_LL(ncclDevKernelArgsStorage<4096ul>)"
SEND_RECV = "ncclDevKernel_SendRecv(ncclDevKernelArgsStorage<4096ul>)"
GATHER = "ncclDevKernel_AllGather_RING_LL(ncclDevKernelArgsStorage<4096ul>)"
SCATTER = "ncclDevKernel_ReduceScatter_Sum_bf16_RING_LL(ncclDevKernelArgsStorage<4096ul>)"
DISPATCH = "void deep_ep::intranode::dispatch<8, 768, 8192>(int4*)"
COMBINE = "void deep_ep::intranode::combine<__nv_bfloat16, 8, 768, 4096>(int)"
NOTIFY = "void deep_ep::intranode::notify_dispatch<8>(int const*)"
D2D, GEMM = "Memcpy DtoD (Device -> Device)", "nvjet_tst_64x64"


def analyse(item: tir.Module) -> tuple[tir.Module, CollectivesReport]:
    """The module after infer and collectives, and the report."""
    item = tir.PassManager.parse("infer,collectives").run(item)
    return item, Collectives().report(item)


def kernels(*names: str, lane: str = "gpu0.s7") -> list[Ev]:
    """Device work of these names, 10 ns each, one after the other."""
    kind = {D2D: "dev.memcpy"}
    return [Ev(kind.get(name, "dev.kernel"), name, 100 + 20 * at, 10, lane) for at, name in enumerate(names)]


@attrs.define
class Trace:
    """A Kineto file under construction: one kernel with the operators around its launch."""

    events: list[dict[str, Any]] = attrs.field(factory=list)

    def kernel(
        self,
        name: str,
        *around: tuple[str, str, Mapping[str, Any]],
        args: Mapping[str, Any] | None = None,
        launched: bool = True,
    ) -> None:
        """Add a kernel whose launch lies inside `around` (category, name, args), outermost first."""
        at = 1000.0 * (len(self.events) + 1)
        number = len(self.events) + 1
        host = {"ph": "X", "pid": 1, "tid": 1}
        for depth, (category, text, its) in enumerate(around):
            self.events.append(
                {**host, "cat": category, "name": text, "ts": at + depth, "dur": 100.0 - 2 * depth, "args": dict(its)}
            )
        if launched:
            self.events.append(
                {
                    **host, "cat": "cuda_runtime", "name": "cudaLaunchKernel", "ts": at + 40, "dur": 5.0,
                    "args": {"correlation": number},
                }
            )  # fmt: skip
        told = {"correlation": number, "device": 0, "stream": 7, **(args or {})}
        self.events.append(
            {"ph": "X", "pid": 0, "tid": 7, "cat": "kernel", "name": name, "ts": at + 200, "dur": 50.0, "args": told}
        )

    def module(self, path: Path) -> tir.Module:
        """The trace as a file, loaded."""
        file = path / "trace.json"
        file.write_text(json.dumps({"schemaVersion": 1, "traceEvents": self.events}), encoding="utf-8")
        return tir.load(file)


@pytest.fixture
def one(tmp_path: Path) -> Callable[..., CollectivesReport]:
    """The report of a trace of one kernel."""

    def run(*args: Any, **options: Any) -> CollectivesReport:
        trace = Trace()
        trace.kernel(*args, **options)
        return analyse(trace.module(tmp_path))[1]

    return run


# --- kinds -----------------------------------------------------------------------------------------------------------


WORDS = [
    ("allreduce", "all_reduce"), ("_allgather_base", "all_gather"), ("allgather_into_tensor_coalesced", "all_gather"),
    ("_reduce_scatter_base", "reduce_scatter"), ("all_to_allv", "all_to_all"), ("alltoall_base", "all_to_all"),
    ("broadcast", "broadcast"), ("reduce", "reduce"), ("gather", "gather"), ("scatter", "scatter"),
    ("send", "send_recv"), ("recv", "send_recv"), ("wait", "unknown"), ("barrier", "unknown"), ("", "unknown"),
]  # fmt: skip


@pytest.mark.parametrize(("word", "kind"), WORDS)
def test_words_of_metadata(word: str, kind: str) -> None:
    """Every spelling of a collective's name gives its kind, and what is none gives unknown."""
    assert words.kind_of_word(word) == kind


OPERATORS = [
    ("nccl:all_reduce", "all_reduce"), ("nccl:_all_gather_base", "all_gather"), ("c10d::alltoall_base_", "all_to_all"),
    ("c10d::broadcast_", "broadcast"), ("gloo:all_gather", "all_gather"), ("vllm::all_reduce", "all_reduce"),
    ("symm_mem::multimem_all_reduce_", "all_reduce"), ("symm_mem::two_shot_all_reduce_", "all_reduce"),
    ("_c10d_functional::reduce_scatter_tensor", "reduce_scatter"), ("c10d::send", "send_recv"),
    ("aten::gather", "unknown"), ("aten::scatter_add_", "unknown"), ("custom::gather", "unknown"),
    ("aten::all", "unknown"), ("## all2all_data:kjt splits ##", "unknown"), ("record_param_comms", "unknown"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "kind"), OPERATORS)
def test_kinds_of_operators(name: str, kind: str) -> None:
    """Operators of communication give a kind; tensor operators of the same word do not."""
    assert words.kind_of_operator(name) == kind


@pytest.mark.parametrize(
    ("metadata", "operator", "name", "sends", "wanted"),
    [
        ("broadcast", "all_reduce", "all_gather", False, ("broadcast", "metadata", True)),
        ("unknown", "all_reduce", "all_reduce", False, ("all_reduce", "operator", False)),
        ("unknown", "unknown", "all_gather", False, ("all_gather", "name", False)),
        ("unknown", "unknown", "unknown", True, ("unknown", None, False)),
        ("unknown", "all_to_all", "unknown", True, ("all_to_all", "operator", False)),
        ("unknown", "all_reduce", "unknown", True, ("all_reduce", "operator", True)),
        ("send_recv", "unknown", "unknown", True, ("send_recv", "metadata", False)),
    ],
)
def test_order_of_sources(metadata: str, operator: str, name: str, sends: bool, wanted: tuple[Any, ...]) -> None:
    """Metadata beats operator beats name; sends and receives fit what is built of them and contradict the rest."""
    kind, source, conflict = decide(metadata, operator, name, sends=sends)
    assert (kind, source, conflict is not None) == wanted


@given(st.sampled_from(KINDS), st.sampled_from(KINDS), st.sampled_from(KINDS), st.booleans())
def test_one_source_or_equal_ones_never_conflict(metadata: str, operator: str, name: str, sends: bool) -> None:
    """A conflict needs two sources that differ, or sends where none fit."""
    _, _, conflict = decide(metadata, operator, name, sends=sends)
    spoken = {kind for kind in (metadata, operator, name) if kind != "unknown"}
    if len(spoken) > 1:
        assert conflict
    elif not sends:
        assert not conflict


def test_metadata_of_the_event(one: Callable[..., CollectivesReport]) -> None:
    """Metadata on the kernel gives kind, group, sizes and bytes."""
    told = {
        "Collective name": "_allgather_base", "In msg nelems": 25136, "Out msg nelems": 201088, "Group size": 8,
        "dtype": "BFloat16", "Process Group Name": "3", "Process Group Ranks": "[0, 1]", "Seq": 9,
    }  # fmt: skip
    row = one(GATHER, args=told).instances[0]
    assert (row.kind, row.source, row.basis) == ("all_gather", "metadata", "measured")
    assert (row.group, row.group_size, row.in_elements, row.out_elements) == ("3", 8, 25136, 201088)
    assert (row.dtype, row.bytes) == ("bf16", 402176)
    assert (row.library, row.algorithm, row.protocol) == ("nccl", "ring", "LL")


def test_metadata_of_the_record(one: Callable[..., CollectivesReport]) -> None:
    """The communication record around the launch completes what the kernel does not say."""
    record = {"Collective name": "allreduce", "In msg nelems": 1000, "dtype": "Float", "Group size": 2}
    row = one("ncclDevKernel_Generic_4(x)", ("cpu_op", "record_param_comms", record)).instances[0]
    assert (row.kind, row.source, row.bytes, row.out_elements) == ("all_reduce", "metadata", 4000, 1000)


def test_orphans_join_their_record_by_external_id(tmp_path: Path) -> None:
    """A kernel without a launch finds its record by the external id that both carry."""
    trace = Trace()
    record = {"External id": 7, "Collective name": "alltoall_base", "In msg nelems": 10, "dtype": "Long"}
    trace.kernel(GEMM, ("cpu_op", "record_param_comms", record))
    trace.kernel(SEND_RECV, args={"External id": 7}, launched=False)
    _, report = analyse(trace.module(tmp_path))
    assert [(row.kind, row.bytes) for row in report.instances] == [("all_to_all", 80)]


def test_operator_gives_kind_and_shape(one: Callable[..., CollectivesReport]) -> None:
    """Without metadata the operator gives the kind, and its first input what is moved."""
    inputs = {"Input Dims": [[888, 2880], []], "Input type": ["c10::BFloat16", ""]}
    row = one(
        "void multimem_all_reduce_kernel<int>(int)", ("cpu_op", "symm_mem::multimem_all_reduce_", inputs)
    ).instances[0]
    assert (row.kind, row.source, row.basis, row.library) == ("all_reduce", "operator", "derived", "symm_mem")
    assert (row.in_elements, row.dtype, row.bytes, row.algorithm) == (888 * 2880, "bf16", 888 * 2880 * 2, "multimem")


def test_lists_of_tensors_are_summed(one: Callable[..., CollectivesReport]) -> None:
    """A first input that is a list of tensors moves all of them."""
    inputs = {"Input Dims": [[[10, 2], [5]]], "Input type": ["TensorList"]}
    row = one(ALL_REDUCE, ("user_annotation", "nccl:all_reduce", inputs)).instances[0]
    assert (row.in_elements, row.dtype, row.bytes) == (25, "bf16", 50)


def test_output_argument_is_not_the_input(one: Callable[..., CollectivesReport]) -> None:
    """The framework's all-to-all takes its output first, so its first input says nothing of what is sent."""
    inputs = {"Input Dims": [[10], [20]], "Input type": ["float", "float"]}
    row = one(SEND_RECV, ("cpu_op", "c10d::alltoall_base_", inputs)).instances[0]
    assert (row.kind, row.in_elements, row.bytes) == ("all_to_all", None, None)


@pytest.mark.parametrize("size", [-1, 10**30, "many", True, None, ["x"]])
def test_absurd_sizes_are_unknown(one: Callable[..., CollectivesReport], size: object) -> None:
    """A size that cannot be one is unknown, and no error."""
    told = {"Collective name": "allgather", "In msg nelems": size, "dtype": "Float", "Group size": 2}
    row = one(GATHER, ("user_annotation", "nccl:all_gather", {"Input Dims": [[size]]}), args=told).instances[0]
    assert (row.kind, row.in_elements, row.out_elements, row.bytes) == ("all_gather", None, None, None)


def test_bare_send_recv_is_unknown(one: Callable[..., CollectivesReport]) -> None:
    """A SendRecv kernel alone may be point to point or an all-to-all: unknown, but an instance all the same."""
    report = one(SEND_RECV)
    assert report.by_kind == {"unknown": 1}
    assert (report.count, report.instances[0].source, report.instances[0].bytes) == (1, None, None)


def test_kind_conflict(tmp_path: Path) -> None:
    """SendRecv inside an all-reduce keeps the operator's kind as a guess, with a finding and a remark."""
    trace = Trace()
    trace.kernel(SEND_RECV, ("user_annotation", "nccl:all_reduce", {}))
    context = tir.PassContext()
    item = tir.PassManager.parse("infer,collectives").run(trace.module(tmp_path), context)
    row = Collectives().report(item).instances[0]
    assert (row.kind, row.basis) == ("all_reduce", "guessed")
    finding = next(finding for finding in item.health if finding.code == "kind_conflict")
    assert (finding.count, finding.first) == (1, row.event)
    assert "operator says all_reduce, name says send_recv; kept all_reduce" in [r.message for r in context.remarks]


def test_graph_launches_say_nothing(tmp_path: Path) -> None:
    """An operator around a graph launch does not name the collectives inside the graph."""
    trace = Trace()
    trace.kernel(SEND_RECV, ("user_annotation", "nccl:all_to_all", {}))
    trace.events[1]["name"] = "cudaGraphLaunch"
    assert analyse(trace.module(tmp_path))[1].by_kind == {"unknown": 1}


# --- words -----------------------------------------------------------------------------------------------------------


LIBRARIES = [
    ("ncclDevKernel_AllReduce_x", "", "nvidia", "nccl"), ("ncclDevKernel_Generic_4", "", "amd", "rccl"),
    ("rcclGenericKernel", "", "", "rccl"), ("hcom_allReduce__271_1_1", "", "", "hccl"),
    ("vllm::cross_device_reduce_2stage", "", "", "custom_ar"), ("aiter::cross_device_reduce_2stage", "", "", "aiter"),
    ("quickreduce::allreduce_prototype_twoshot", "", "", "quickreduce"),
    ("flashinfer::trtllm_allreduce_fusion::allreduce_fusion_kernel", "", "", "flashinfer"),
    ("tensorrt_llm::kernels::oneShotAllReduceKernel", "", "", "trtllm"),
    ("deep_ep::intranode::dispatch", "", "", "deep_ep"), ("anonymous::kernel_9", "", "", "unknown"),
    ("anonymous::kernel_9", "symm_mem::x_all_reduce", "", "symm_mem"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "operator", "vendor", "wanted"), LIBRARIES)
def test_libraries(path: str, operator: str, vendor: str, wanted: str) -> None:
    """The library is known by path, then operator; NCCL's names on AMD are RCCL's."""
    assert words.library_of(path, operator, vendor) == wanted


@pytest.mark.parametrize(
    ("path", "algorithm", "protocol"),
    [
        ("ncclDevKernel_AllReduce_Sum_bf16_RING_LL", "ring", "LL"),
        ("ncclDevKernel_AllReduce_Sum_f32_TREE_LL128", "tree", "LL128"),
        ("ncclKernel_SendRecv_RING_SIMPLE_Sum_int8_t", "ring", "SIMPLE"),
        ("ncclDevKernel_AllReduce_Sum_bf16_NVLS_SIMPLE", "nvls", "SIMPLE"),
        ("vllm::cross_device_reduce_1stage", "one_shot", None),
        ("oneshot_x::twoShotAllReduceKernel", "one_shot", None),
        ("mscclpp_kernel", None, None),
    ],
)
def test_algorithms(path: str, algorithm: str | None, protocol: str | None) -> None:
    """Algorithm and protocol are read where the name shows them, and null where not."""
    assert (words.algorithm_of(path), words.protocol_of(path)) == (algorithm, protocol)


@pytest.mark.parametrize(
    ("text", "wanted", "size"),
    [
        ("BFloat16", "bf16", 2), ("c10::Half", "fp16", 2), ("long int", "int64", 8), ("Byte", "uint8", 1),
        ("Float8_e4m3fn", "fp8", 1), ("unsigned char", "uint8", 1), ("double", "fp64", 8), ("TensorList", None, None),
        ("", None, None), (None, None, None), (3, None, None),
    ],
)  # fmt: skip
def test_dtypes(text: object, wanted: str | None, size: int | None) -> None:
    """Every spelling of a type is one short name with a size; 8-bit types have size 1, unknown ones none."""
    assert words.dtype_of(text) == wanted
    assert words.SIZES.get(wanted or "") == size


def test_compiled_type_of_a_mover_is_not_the_type() -> None:
    """NCCL moves bytes in one compiled type, so only a reduction's name gives the type of its elements."""
    assert words.dtype_in_name(SEND_RECV, "ncclKernel_SendRecv_RING_SIMPLE_Sum_int8_t", "unknown") is None
    assert words.dtype_in_name("", "ncclKernel_AllReduce_RING_LL_Sum_float", "all_reduce") == "fp32"
    assert words.dtype_in_name("", "ncclDevKernel_AllReduce_Sum_bf16_RING_LL", "all_reduce") == "bf16"


def test_hccl_names_hold_the_group() -> None:
    """HCCL's names carry group and sequence number."""
    _, report = analyse(module(kernels("hcom_allReduce__271_3_1")))
    row = report.instances[0]
    assert (row.kind, row.library, row.group) == ("all_reduce", "hccl", "271")


# --- instances -------------------------------------------------------------------------------------------------------


def test_notifications_join_what_follows() -> None:
    """A notification is communication of the next dispatch or combine on its lane, and no instance of its own."""
    item, report = analyse(module([*kernels(NOTIFY, DISPATCH, GEMM, COMBINE, NOTIFY)]))
    assert report.by_kind == {"all_to_all": 2}
    assert item["coll.instance"].tolist() == [0, 0, -1, 1, -1]
    assert item.text("coll.kind") == ["all_to_all", "all_to_all", None, "all_to_all", "unknown"]
    assert item.text("infer.role")[1::2] == ["dispatch", "combine"]
    assert report.meta_ns == 20
    assert [row.start_ns for row in report.instances] == [120, 160]


def test_notifications_stay_on_their_lane() -> None:
    """What follows on another stream is not what a notification waits for."""
    item, _ = analyse(module([*kernels(NOTIFY), *kernels(GEMM, DISPATCH, lane="gpu0.s8")]))
    assert item.text("coll.kind")[0] == "unknown"


def test_pieces_of_one_operation(tmp_path: Path) -> None:
    """Kernels of one name that one record started are one instance, from the first start to the last end."""
    trace = Trace()
    trace.kernel(SEND_RECV, ("cpu_op", "record_param_comms", {"Collective name": "all_to_all"}))
    launch, work = dict(trace.events[1]), dict(trace.events[2])
    trace.events.append({**launch, "ts": launch["ts"] + 10, "args": {"correlation": 99}})
    trace.events.append({**work, "ts": work["ts"] + 70, "args": {**work["args"], "correlation": 99}})
    item, report = analyse(trace.module(tmp_path))
    assert [(row.kernels, row.dur_ns) for row in report.instances] == [(2, 120_000)]
    assert sorted(item["coll.instance"].tolist())[-2:] == [0, 0]


def test_gloo_runs_on_the_host() -> None:
    """Ranges of gloo are instances although no device works, and no part of device communication time."""
    item, report = analyse(
        module([Ev("host.range", "gloo:all_reduce", 0, 50, "cpu"), Ev("host.op", "aten::mm", 60, 5, "cpu")])
    )
    assert (report.by_kind, report.by_library, report.time_ns) == ({"all_reduce": 1}, {"gloo": 1}, 0)
    assert item.text("coll.kind") == ["all_reduce", None]


def test_no_collectives() -> None:
    """A trace without communication says so in words, in its laws and at the head of the page."""
    item, report = analyse(module(kernels(GEMM)))
    assert (report.count, report.by_kind, report.statement) == (0, {}, "no collectives")
    assert [(law.law, law.holds) for law in report.laws] == [("no collectives", True)]
    assert [fact.value for fact in report.headline()] == ["none"]
    assert (item["coll.kind"] == -1).all()


def test_fused_kernels_count_as_their_collective() -> None:
    """A fused all-reduce is an all-reduce and a composite of its own."""
    name = "void trtllm_allreduce_fusion::allreduce_fusion_kernel_oneshot<(AllReduceFusionPattern)1, half>(int)"
    _, report = analyse(module(kernels(name, GEMM)))
    assert report.by_kind == {"all_reduce": 1}
    assert [(item.form, item.kind, item.members) for item in report.composites] == [("fused", "all_reduce", (0,))]


@given(st.lists(st.sampled_from([ALL_REDUCE, SEND_RECV, GATHER, DISPATCH, COMBINE, NOTIFY, D2D, GEMM]), max_size=20))
def test_conservation(names: list[str]) -> None:
    """Every instance has a kind, counts agree, nothing but communication has a kind, and a shift changes nothing."""
    item, report = analyse(module(kernels(*names)))
    later, _ = analyse(module([attrs.evolve(event, ts=event.ts + 10**12) for event in kernels(*names)]))
    assert sum(report.by_kind.values()) == report.count == len(report.instances)
    communication = item.is_in("infer.class", ["comm", "fused"])
    assert ((item["coll.kind"] >= 0) == communication).all()
    assert report.time_ns == int(item["dur"][communication].sum())
    assert item.text("coll.kind") == later.text("coll.kind")


# --- composites ------------------------------------------------------------------------------------------------------


def test_staged() -> None:
    """Copy, collective, copy on one lane is staged, and the copies belong to its cost."""
    _, report = analyse(module(kernels(D2D, ALL_REDUCE, D2D, GEMM, D2D, ALL_REDUCE, D2D)))
    assert [(item.form, item.members, item.time_ns, item.extra_ns) for item in report.composites] == [
        ("staged", (0, 1, 2), 30, 20),
        ("staged", (4, 5, 6), 30, 20),
    ]
    form = report.forms[0]
    assert (form.count, form.of, form.extra_members, form.extra_ns) == (2, 2, 4, 40)


def test_staged_needs_most_of_its_kind() -> None:
    """Copies around half of the collectives or fewer may be chance; the share is an option."""
    item = module(kernels(D2D, ALL_REDUCE, D2D, GEMM, ALL_REDUCE, GEMM))
    assert not analyse(item)[1].composites
    manager = tir.PassManager.parse("infer,collectives{staged_share=40%}")
    assert len(Collectives().report(manager.run(item)).composites) == 1


@pytest.mark.parametrize("copy", ["Memcpy HtoD (Pinned -> Device)", "Memcpy DtoH (Device -> Pinned)"])
def test_other_copies_do_not_stage(copy: str) -> None:
    """Copies to or from the host are no staging."""
    events = [
        attrs.evolve(event, kind="dev.memcpy") if event.name == copy else event
        for event in kernels(copy, ALL_REDUCE, copy)
    ]
    assert not analyse(module(events))[1].composites


def test_staging_stays_on_one_lane() -> None:
    """Copies on another stream at the same time are no staging."""
    copies = [attrs.evolve(event, lane="gpu0.s8") for event in kernels(D2D, GEMM, D2D)]
    assert not analyse(module([copies[0], *kernels(GEMM, ALL_REDUCE), copies[2]]))[1].composites


def test_expert_pairs() -> None:
    """Dispatches and combines pair in order, notifications included; one without its other half is left alone."""
    item, report = analyse(module(kernels(NOTIFY, DISPATCH, GEMM, COMBINE, DISPATCH, COMBINE, DISPATCH)))
    assert [(pair.form, pair.members) for pair in report.composites] == [("moe_pair", (0, 1, 3)), ("moe_pair", (4, 5))]
    law = report.laws[0]
    assert (law.law, law.expected, law.found, law.holds) == ("dispatch = combine", 3, 2, False)
    assert law.suspects == (GEMM,)
    assert "law_broken" in [finding.code for finding in item.health]


# --- laws ------------------------------------------------------------------------------------------------------------


def _with_layers(item: tir.Module, layer_of: Mapping[int, int], layers: int, *, partial: bool = False) -> tir.Module:
    """The module with a tree of one stack of layers; `layer_of` gives the layer of some event ids."""
    regions = [Region("stack", "stack.0", 0), *(Region("layer", f"layer.{at}", at, 0) for at in range(layers))]
    leaf = [1 + layer_of[id] if id in layer_of else -1 for id in item["id"].tolist()]
    item = item.with_tree("layers", regions, leaf)
    item = item.with_columns({"group.partial": np.full(layers + 1, partial)}, "region:layers")
    written = Written(Annotation("group.partial", "region:layers", "bool"), None)
    return attrs.evolve(item, annotations={**item.annotations, "group.partial": written})


@pytest.mark.parametrize(("outside", "holds", "expected"), [(0, True, 6), (1, True, 7), (2, False, 6)])
def test_tensor_parallel_law(outside: int, holds: bool, expected: int) -> None:
    """Two all-reduces per layer hold, one more for a split vocabulary holds too, two more do not."""
    names = [ALL_REDUCE] * outside + [GEMM, ALL_REDUCE, GEMM, ALL_REDUCE] * 3
    item, _ = analyse(module(kernels(*names)))
    item = _with_layers(item, {outside + at: at // 4 for at in range(12)}, 3)
    law = laws(item, counted(item))[0]
    assert (law.law, law.expected, law.found, law.holds) == ("2 all-reduces per layer", expected, 6 + outside, holds)


def test_broken_law_suspects_names_that_occur_as_often() -> None:
    """A law that misses k collectives names the compute that occurs exactly k times."""
    names = [GEMM, "mystery", GEMM, ALL_REDUCE] * 3
    item, _ = analyse(module(kernels(*names)))
    item = _with_layers(item, {at: at // 4 for at in range(12)}, 3)
    law = laws(item, counted(item))[0]
    assert (law.expected, law.found, law.holds, law.suspects) == (6, 3, False, ("mystery",))


def test_laws_of_a_cut_stack_cannot_be_said() -> None:
    """Where the window cuts a stack the count proves nothing."""
    item, _ = analyse(module(kernels(*[ALL_REDUCE, GEMM] * 3)))
    item = _with_layers(item, {at: at // 2 for at in range(6)}, 3, partial=True)
    assert laws(item, counted(item))[0].holds is None


def test_laws_of_a_sampled_trace_cannot_be_broken() -> None:
    """A trace that is a sample may miss collectives, so a short count is not a broken law."""
    item, _ = analyse(module(kernels(DISPATCH, GEMM, DISPATCH, COMBINE)))
    item = item.with_health(tir.Finding("sampled", "info", 1, "It is a sample."))
    law = laws(item, counted(item))[0]
    assert (law.holds, law.note) == (None, "sampled")


def test_a_few_reductions_are_no_tensor_parallelism() -> None:
    """The law is not asked where all-reduces lie in less than half of the layers."""
    item, _ = analyse(module(kernels(ALL_REDUCE, *[GEMM] * 5)))
    item = _with_layers(item, {at: at for at in range(6)}, 6)
    assert laws(item, counted(item)) == []


def test_columns_read_as_declared() -> None:
    """The tables of instances, composites and members refer to each other and to events."""
    item, report = analyse(module(kernels(D2D, ALL_REDUCE, D2D)))
    assert item["coll.event"].tolist() == [1]
    assert item.text("coll.library") == ["nccl"]
    assert item["coll.member"].tolist() == [0, 1, 2]
    assert item["coll.is_extra"].tolist() == [True, False, True]
    assert item.text("coll.of_kind") == [report.composites[0].kind]
    assert not [name for name in item.annotations if item.stale(name)]
