"""The group pass: its options, and the order in which its methods are asked."""

from __future__ import annotations

from typing import ClassVar, Literal

import attrs
import numpy as np

import traceir as tir
from traceir.ir import NULL_U32, Array, Ints, Mask
from traceir_passes.group import attach, captured, reconcile, steps
from traceir_passes.group.annotations import annotation_stacks
from traceir_passes.group.attentions import find_anchors, segments
from traceir_passes.group.backward import backward_links
from traceir_passes.group.columns import BASES, REASONS, WRITES
from traceir_passes.group.device import BOTH, DeviceOptions, device_stacks
from traceir_passes.group.interleaved import parted
from traceir_passes.group.laws import given_layers, with_laws
from traceir_passes.group.layers import all_layers
from traceir_passes.group.modules import frame_rows, module_stacks
from traceir_passes.group.outside import label_edges
from traceir_passes.group.ranges import pass_ranges
from traceir_passes.group.report import GroupReport, build_report
from traceir_passes.group.split import splits
from traceir_passes.group.stack import Stack, joined
from traceir_passes.group.tokens import LaneWork, event_tokens, lane_works
from traceir_passes.group.write import write_trees


@attrs.frozen(eq=False)
class _Cuts:
    """What parts the lanes of a module: the step of each event, and the ranges around whole passes."""

    module: tir.Module
    member: Array
    passes: list[Array]

    def of(self, work: LaneWork) -> Ints:
        """The positions of a lane's work that no layer crosses."""
        return reconcile.stretch_cuts(self.module, work, self.member, self.passes)


@attrs.frozen
class Group(tir.Pass):
    """Find steps, layers and blocks, and label every op by its place in them.

    Evidence is taken in this order, for every stretch of a lane anew: modules that the host was in at the launch;
    ranges that the program marked; modules in which a replayed graph was captured (found by the pass `capture`); the
    device's own structure, where attention kernels are anchors that count layers and repeats of roles confirm them.
    Beside these only `infer.role`, names, launches and times are read. Layers that nothing supports are not invented:
    then the report says why there are none.
    """

    by: Literal["auto", "modules", "annotations", "capture", "device", "none"] = tir.option(
        "auto", help="which evidence may be used; auto takes the best that each stretch of work has"
    )
    min_layers: int = tir.option(
        3,
        least=1,
        help="fewest layers of a stack; two alike are chance, and a window often cuts the first and the last",
    )
    layers: tuple[int, ...] = tir.option(
        (), least=1, help="how many layers the model has, for each of its towers, as its configuration states"
    )
    min_share: tir.Share = tir.option(
        0.5,
        help="least share of a parent's device time that its modules own to be layers, as layers are most of a model",
    )
    min_step_share: tir.Share = tir.option(
        0.1, help="least share of a step's device time that modules own to be layers, which drops helper modules"
    )
    min_cover: tir.Share = tir.option(
        0.9, help="least share of launched device time that ranges cover to be layers, as ranges often mark only a part"
    )
    similarity: tir.Share = tir.option(
        0.7, help="least likeness of bodies of one kind, low enough to join layers that lost a kernel or two"
    )
    max_period: int = tir.option(
        400, least=1, help="longest body in core ops, above any layer seen; bounds the search for repeats"
    )
    max_odd: int = tir.option(
        2, least=0, help="most unlike bodies in a row inside a stack, so that damage does not end it"
    )
    autocorrelation: tir.Share = tir.option(
        0.8, help="least share of exact kernel names that recur a layer (or two) later for that check to hold"
    )
    min_confidence: tir.Share = tir.option(
        0.5, help="least confidence of a stack to be reported; below even odds no answer is better than one"
    )
    detail: Literal["summary", "events"] = tir.option(
        "summary", help="events also reports every layer with the ids of its events, which is long"
    )

    reads: ClassVar[tuple[str, ...]] = (
        "infer.role", "id", "kind", "name", "ts", "dur", "lane", "parent", "live", "edges",
    )  # fmt: skip
    uses: ClassVar[tuple[str, ...]] = (captured.COLUMN,)
    writes: ClassVar[tuple[tir.Annotation, ...]] = WRITES

    def run(self, module: tir.Module, context: tir.PassContext) -> tir.Module:
        """The module with the trees `steps` and `layers`, labels, and what is known of each stack and step."""
        tokens = event_tokens(module)
        works = lane_works(module)
        found, member = steps.marked_steps(module)
        member = steps.with_orphans(works, member, module.work & (module.launch < 0)) if found else member
        parts = parted(module, works, self.min_layers)
        cuts = _Cuts(module, member, pass_ranges(module, tokens))
        stacks = self._stacks(module, works, parts.works, tokens, cuts, context)
        if not found:
            found, member = steps.found_steps(module, works, stacks)
        found = _trained(found, member, stacks, tokens)
        stacks = reconcile.in_steps(stacks, member)
        reason = None if stacks or self.by == "none" else _reason(cuts, works, tokens, self.min_layers)
        out = self._written(module, works, parts.works, tokens, stacks, found, member, reason)
        taken = np.where(parts.member >= 0, parts.member, NULL_U32).astype(np.uint32)
        links = backward_links(module, frame_rows(module))
        return out.with_columns({"group.microbatch": taken, "group.backward": links})

    def report(self, module: tir.Module) -> GroupReport:
        """Steps and stacks; with `detail=events` every layer's events too."""
        return build_report(module, events=self.detail == "events")

    def check(self, module: tir.Module) -> list[str]:
        """Only device work has a layer, and an op with a layer has a label and a basis."""
        layered = module["tree.layers"] >= 0
        broken = []
        if (layered & ~module.work).any():
            broken.append(f"{int((layered & ~module.work).sum())} events that are no device work are in layers.")
        bare = layered & ((module["group.label"] < 0) | (module["group.basis"] < 0))
        if bare.any():
            broken.append(f"{int(bare.sum())} events in layers have no label or no basis.")
        return broken

    def _stacks(
        self,
        module: tir.Module,
        works: list[LaneWork],
        parts: list[LaneWork],
        tokens: Array,
        cuts: _Cuts,
        context: tir.PassContext,
    ) -> list[Stack]:
        """All stacks that stand, in order of time."""
        member = cuts.member
        ranked: list[list[Stack]] = []
        shares = {"min_share": self.min_share, "min_step_share": self.min_step_share}
        if self.by in ("auto", "modules"):
            ranked.append(module_stacks(module, tokens, member, min_layers=self.min_layers, **shares))
        if self.by in ("auto", "annotations"):
            ranked.append(
                annotation_stacks(module, tokens, member, min_cover=self.min_cover, min_layers=self.min_layers)
            )
        if self.by in ("auto", "capture"):
            ranked.append(captured.capture_stacks(module, tokens, member, min_layers=self.min_layers, **shares))
        if self.by in ("auto", "device"):
            options = DeviceOptions(
                self.similarity, self.min_layers, self.max_period, self.max_odd, self.autocorrelation
            )
            mine: list[Stack] = []
            for work in parts:
                mine += device_stacks(module, work, cuts.of(work), options)
            for stack in mine:
                if stack.start < BOTH:
                    said = f"{stack.layers} layers are counted by their attention alone: their roles do not repeat."
                    context.remark(self.name(), said, event=int(module["id"][stack.rows[0]]))
            ranked.append(mine)
        stacks, remarks = reconcile.chosen_stacks(ranked, len(module), self.min_layers)
        for remark in remarks:
            context.remark(self.name(), remark)
        stacks = reconcile.with_unlaunched(module, works, stacks)
        stacks = reconcile.replay_check(module, works, stacks)
        stacks = with_laws(reconcile.marked_partial(works, stacks), tokens)
        stacks, remarks = given_layers(stacks, self.layers, member)
        for remark in remarks:
            context.remark(self.name(), remark)
        return self._sure(stacks, context)

    def _sure(self, stacks: list[Stack], context: tir.PassContext) -> list[Stack]:
        """The stacks that reach `min_confidence`; a remark for each that does not."""
        for stack in stacks:
            if stack.confidence < self.min_confidence:
                context.remark(
                    self.name(),
                    f"not grouped: a run of {stack.layers} layers by {stack.evidence} has confidence "
                    f"{stack.confidence:.2f}, below {self.min_confidence:g}.",
                    kind="missed",
                )
        return [stack for stack in stacks if stack.confidence >= self.min_confidence]

    def _written(
        self,
        module: tir.Module,
        works: list[LaneWork],
        parts: list[LaneWork],
        tokens: Array,
        stacks: list[Stack],
        found: list[steps.Step],
        member: Array,
        reason: str | None,
    ) -> tir.Module:
        stacks, guessed = attach.with_other_lanes(module, works, parts, stacks, tokens)
        layers = all_layers(module, tokens, stacks)
        labels = np.full(len(module), -1, np.int64)
        names: list[str] = []
        label_edges(works, stacks, member, labels, names)
        out = write_trees(module, tokens, stacks, layers, found, member, labels, names)
        split = splits(out, tokens, names, labels)
        out = out.with_columns({"group.basis": _basis(module, stacks, guessed), "group.split": split})
        return out.with_columns(
            {"group.reason": np.array([REASONS.index(reason) if reason else -1], np.int16)}, "module"
        )


def _basis(module: tir.Module, stacks: list[Stack], guessed: Mask) -> Array:
    """How each event's layer is known, as positions in `BASES`."""
    basis = np.full(len(module), -1, np.int16)
    rows, owner = joined(stacks)
    by_launch = np.array([stack.evidence != "device" for stack in stacks], bool)[owner] & (module.launch[rows] >= 0)
    basis[rows] = np.where(by_launch, BASES.index("measured"), BASES.index("derived"))
    basis[guessed & (basis >= 0)] = BASES.index("guessed")
    return basis


def _trained(found: list[steps.Step], member: Array, stacks: list[Stack], tokens: Array) -> list[steps.Step]:
    """Steps of which nothing says what they do are training if a backward pass or an optimizer runs in them."""
    trained = set(member[(tokens == ord("O")) & (member >= 0)].tolist())
    for stack in stacks:
        if stack.direction == "backward":
            trained.update(np.unique(member[stack.rows]).tolist())
    return [
        attrs.evolve(step, phase="train") if step.phase is None and k in trained else step
        for k, step in enumerate(found)
    ]


def _reason(cuts: _Cuts, works: list[LaneWork], tokens: Array, min_layers: int) -> str:
    """Why there are no layers."""
    module = cuts.module
    if not module.work.any():
        return "no_device_work"
    graphs = np.flatnonzero(module.is_kind("rt.graph_launch") & module.live)
    if (tokens == ord("#")).any() or (len(graphs) and not np.isin(graphs, module.launch[module.work]).all()):
        return "under_recorded"
    most = max((_most_anchors(module, work, cuts.of(work)) for work in works), default=0)
    if not most:
        return "no_repetition"
    return "single_block" if most < min_layers else "variable_blocks"


def _most_anchors(module: tir.Module, work: LaneWork, cuts: Ints) -> int:
    """The most attention kernels that a lane has between two separators, which no stack crosses."""
    if not len(work.core):
        return 0
    core = work.tokens[work.core]
    counts = [0]
    for anchors in find_anchors(work, segments(work, cuts)[0], module).values():
        named = np.isin(core[anchors.at], np.frombuffer(b"AL", np.uint8))
        counts += np.unique(anchors.segment[named], return_counts=True)[1].tolist()
    return max(counts)
