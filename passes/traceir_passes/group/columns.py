"""The columns that the group pass writes, declared."""

from __future__ import annotations

from typing import Final

import traceir as tir
from traceir_passes.group.backward import LINKS
from traceir_passes.group.split import SPLITS
from traceir_passes.group.stack import DIRECTIONS, EVIDENCE
from traceir_passes.group.steps import PHASES

REASONS: Final = ("no_repetition", "single_block", "variable_blocks", "no_device_work", "under_recorded")
BASES: Final = ("measured", "derived", "guessed")

WRITES: Final = (
    tir.Annotation("tree.steps", dtype="id", doc="The step of device work, by its launch.", null="in no step"),
    tir.Annotation("tree.layers", dtype="id", doc="The innermost block of device work.", null="in no layer"),
    tir.Annotation(
        "group.label",
        dtype="str",
        doc="The op's place in its layer or step.",
        null="no device work, or no place known",
        shown="label",
    ),
    tir.Annotation(
        "group.basis",
        dtype="enum",
        values=BASES,
        null="in no layer",
        doc="How an op's layer is known: by its launch, from device structure, or from time alone.",
    ),
    tir.Annotation(
        "group.split",
        dtype="enum",
        values=SPLITS,
        null="in no layer, no product, or nothing says that its weight is split over ranks",
        doc="How tensor parallelism splits the weight: by rows, if a reduction completes the output, else by columns.",
    ),
    tir.Annotation(
        "group.backward",
        dtype="enum",
        values=LINKS,
        null="no device work of a backward pass by its thread, or the trace links no backward ops to forward ones",
        doc="Whether the forward op, and its module where the trace has modules, of backward work is known.",
    ),
    tir.Annotation(
        "group.microbatch",
        dtype="u32",
        null="no device work, or nothing takes turns with it on its lane",
        doc="The number of the micro-batch on its lane, where several take turns.",
    ),
    tir.Annotation(
        "group.evidence",
        "region:layers",
        "enum",
        values=EVIDENCE,
        doc="The method that found the stack.",
        null="not a stack",
    ),
    tir.Annotation(
        "group.confidence", "region:layers", "f64", doc="How sure the stack is, 0 to 1.", null="not a stack"
    ),
    tir.Annotation(
        "group.checks",
        "region:layers",
        "str",
        doc="Checks of the stack, failed ones with a leading no.",
        null="not a stack, or none made",
    ),
    tir.Annotation("group.partial", "region:layers", "bool", doc="The stack is cut by the window, or from before it."),
    tir.Annotation("group.guessed", "region:layers", "bool", doc="The border between layers is a guess."),
    tir.Annotation(
        "group.step",
        "region:layers",
        "id",
        unit="region:steps",
        doc="The step's region in the tree steps.",
        null="in no step, or not a stack",
    ),
    tir.Annotation(
        "group.lane",
        "region:layers",
        "id",
        unit="lane",
        doc="The lane, as a position in the module's lanes.",
        null="not a stack",
    ),
    tir.Annotation(
        "group.direction",
        "region:layers",
        "enum",
        values=DIRECTIONS,
        doc="Forward or backward pass.",
        null="not a stack",
    ),
    tir.Annotation(
        "group.template", "region:layers", "str", doc="The name of the stack's most frequent body.", null="not a stack"
    ),
    tir.Annotation(
        "group.kernels_per_layer",
        "region:layers",
        "i64",
        "kernels",
        doc="Kernels of the template, collectives included.",
        null="not a stack",
    ),
    tir.Annotation("group.variant", "region:layers", "str", doc="The kind of a layer's body.", null="not a layer"),
    tir.Annotation(
        "group.phase",
        "region:steps",
        "enum",
        values=PHASES,
        doc="What the step does, as its mark says.",
        null="nothing says so",
    ),
    tir.Annotation("group.mark", "region:steps", "id", doc="The host range that marks the step.", null="no mark"),
    tir.Annotation("group.mark_text", "region:steps", "str", doc="The mark's text."),
    tir.Annotation(
        "group.reason",
        "module",
        "enum",
        values=REASONS,
        doc="Why there are no layers.",
        null="there are layers, or none were asked for",
    ),
)
