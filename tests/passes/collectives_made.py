"""Traces made by letters for the laws of collectives: kernels, and the layers and steps that hold them."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

import traceir as tir
from tests.build import Ev, module
from traceir.ir import Region
from traceir_passes.collectives import Collectives, CollectivesReport, Law

REDUCE = "ncclDevKernel_AllReduce_Sum_bf16_RING_LL(ncclDevKernelArgsStorage<4096ul>)"
FUSED = (
    "void flashinfer::trtllm_allreduce_fusion::allreduce_fusion_kernel_oneshot_lamport<(flashinfer::"
    "trtllm_allreduce_fusion::AllReduceFusionPattern)1, __nv_bfloat16, 8, true>(int)"
)
SCATTER = "ncclDevKernel_ReduceScatter_Sum_bf16_RING_LL(ncclDevKernelArgsStorage<4096ul>)"
GATHER = "ncclDevKernel_AllGather_RING_LL(ncclDevKernelArgsStorage<4096ul>)"
DISPATCH = "void deep_ep::intranode::dispatch<8, 768, 8192>(int4*)"
COMBINE = "void deep_ep::intranode::combine<__nv_bfloat16, 8, 768, 4096>(int)"
GEMM, NORM, EXPERTS, MYSTERY = "nvjet_tst_64x64", "vllm::rms_norm_kernel", "fused_moe_kernel", "zorp"
KERNELS = {
    "g": GEMM, "n": NORM, "M": EXPERTS, "R": REDUCE, "F": FUSED, "S": SCATTER, "G": GATHER, "D": DISPATCH, "C": COMBINE,
    "?": MYSTERY,
}  # fmt: skip


@attrs.define
class Made:
    """A trace under construction: kernels with the layer and step that hold them, and whether autograd started them."""

    events: list[Ev] = attrs.field(factory=list)
    layer: dict[int, int] = attrs.field(factory=dict)
    step: dict[int, int] = attrs.field(factory=dict)
    clock: int = 0

    def play(
        self, names: Sequence[str], layer: int = -1, *, step: int = 0, back: bool = False, lane: str = "gpu0.s7"
    ) -> Made:
        """Add kernels, given by letter or in full."""
        for name in names:
            self.clock += 100
            if back:
                self.events.append(
                    Ev("host.op", "autograd::engine::evaluate_function: X", self.clock - 9, 8, "cpu.autograd")
                )
                self.events.append(Ev("rt.launch", "cudaLaunchKernel", self.clock - 6, 2, "cpu.autograd"))
            call = len(self.events) - 1 if back else None
            self.layer[len(self.events)], self.step[len(self.events)] = layer, step
            self.events.append(Ev("dev.kernel", KERNELS.get(name, name), self.clock, 60, lane, launch=call))
        return self

    def module(self) -> tir.Module:
        """The trace with trees of its steps and of its layers, one stack for each step."""
        item = module(self.events)
        ids = item["id"].tolist()
        steps = sorted({at for at in self.step.values() if at >= 0})
        rank = {step: at for at, step in enumerate(steps)}
        found = [rank.get(self.step.get(id, -1), -1) for id in ids]
        item = item.with_tree("steps", [Region("step", f"step.{at}", at) for at in steps], found)
        regions: list[Region] = []
        place: dict[tuple[int, int], int] = {}
        for step in steps:
            top = len(regions)
            regions.append(Region("stack", f"stack.{step}", step))
            mine = sorted({self.layer[id] for id in self.layer if self.step[id] == step and self.layer[id] >= 0})
            for layer in mine:
                place[step, layer] = len(regions)
                regions.append(Region("layer", f"stack.{step}.layer.{layer}", layer, top))
        if not place:
            return item
        leaf = [place.get((self.step.get(id, -1), self.layer.get(id, -1)), -1) for id in ids]
        return item.with_tree("layers", regions, leaf)


def analyse(item: tir.Module) -> tuple[tir.Module, CollectivesReport]:
    """The module after infer and collectives, and the report."""
    item = tir.PassManager.parse("infer,collectives").run(item)
    return item, Collectives().report(item)


def laws(made: Made, label: str) -> list[Law]:
    """The laws of a trace whose text begins so."""
    return [law for law in analyse(made.module())[1].laws if law.law.startswith(label)]


def finding(item: tir.Module) -> str:
    """What health says of broken laws; nothing where none is."""
    return "".join(found.message for found in item.health if found.code == "law_broken")
