"""Made-up models of every kind that a trace may hold, as device work whose layers are known."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from typing import Final

import traceir as tir
from tests.passes.group.synthetic import Tape, found

DENSE, QK_NORM, MOE = "ngpkAgngag", "ngnnpkAgngag", "ngpkAgngrrMMc"
TP, TP_MOE = "ngpkAgRngagR", "ngpkAgRngrMMcR"
LATENT, LATENT_MOE = "nggnnpkgAggngag", "nggnnpkgAggngr>MM<c"
LINEAR, FULL = "nggLLnggngag", "nggnpkAggngag"
ENCODER, CROSS, POST = "ngAgngag", "ngkAgngAgngag", "gggAgengagen"
DIFFUSION = "negpAgenegage"
FORWARD, BACKWARD = "ngAgngag", "ggagnggAggn"

Part = str | Sequence[str]
"""Work outside layers, or the bodies of layers."""


def tape(*parts: Part, steps: int = 1, graph: bool = False) -> Tape:
    """The parts in order, as often as there are steps; with `graph` each step is one replay."""
    out, layer = Tape(), 0
    for step in range(steps):
        launch = 1000 + step if graph else -1
        for part in parts:
            if isinstance(part, str):
                out.add(part, launch=launch)
                continue
            out.layers(part, layer, launch=launch)
            layer += len(part)
    return out


def training() -> Tape:
    """Two training steps: forward, loss, backward, optimizer."""
    out, layer = Tape(), 0
    for _ in range(2):
        out.add("E")
        out.layers([FORWARD] * 16, layer, tag="forward")
        out.add("ngS")
        out.add("Sgg", tag="bwd")
        out.layers([BACKWARD] * 16, layer + 16, tag="bwd")
        out.add("EOO", tag="bwd")
        layer += 32
    return out


MODELS: Final[dict[str, Tape]] = {
    "dense": tape("iE", [DENSE] * 36, "ngyZ", steps=4),
    "normalised queries": tape("iE", [QK_NORM] * 28, "ngyZ", steps=3),
    "tensor parallel": tape("ER", [TP] * 80, "ngGZ", steps=2),
    "experts": tape("iE", [MOE] * 48, "ngyZ", steps=3),
    "tensor parallel experts": tape("ER", [TP_MOE] * 48, "ngGZ", steps=2),
    "alternating": tape("iE", [DENSE, MOE] * 12, "ngyZ", steps=3),
    "dense then experts": tape("iE", [LATENT] * 3 + [LATENT_MOE] * 58, "ngyZ", steps=2),
    "linear and full attention": tape("iE", ([LINEAR] * 3 + [FULL]) * 12, "ngyZ", steps=2),
    "encoder and decoder": tape("E", [ENCODER] * 12, "E", [CROSS] * 12, "ngZ", steps=2),
    "vision and text": tape("vd", [ENCODER] * 27, "ngagE", [DENSE] * 32, "ngZ", steps=2),
    "two towers that nothing separates": tape("vd", [ENCODER] * 27, "ngage", [QK_NORM] * 32, "ngZ", steps=2),
    "diffusion": tape("vegag", [DIFFUSION] * 28, "nev", steps=4),
    "draft and target": tape("E", [DENSE] * 4, "ngZ", "E", [DENSE] * 4, "ngZ", "E", [TP] * 40, "ngZ", steps=3),
    "draft of one layer": tape("E", DENSE, "ngZ", "E", DENSE, "ngZ", "E", [DENSE] * 40, "ngZ", steps=3),
    "draft head": tape("E", [DENSE] * 40, "ngZ", "gE", DENSE, "ngZ", steps=4),
    "pipeline stage": tape([DENSE] * 10, steps=6),
    "post norm": tape("EEeEend", [POST] * 12, "gan", steps=3),
    "few layers": tape("E", [DENSE] * 4, "ngZ", steps=5),
    "graphs": tape("iE", [DENSE] * 36, "ngyZ", steps=5, graph=True),
    "training": training(),
}


def lossy(model: Tape, share: float, seed: int) -> Tape:
    """The tape without a share of its kernels, be they in layers or not."""
    chance = random.Random(seed)
    return model.kept([chance.random() >= share for _ in model.letters])


def cut(model: Tape, seed: int) -> tuple[Tape, set[int]]:
    """The tape as a window that begins and ends anywhere in its first and last third, and the layers that are whole."""
    chance, size = random.Random(seed), len(model.letters)
    first, stop = chance.randrange(size // 3), size - chance.randrange(size // 3)
    window = model.kept([first <= k < stop for k in range(size)])
    sizes, left = Counter(model.truth), Counter(window.truth)
    return window, {layer for layer in left if layer >= 0 and left[layer] == sizes[layer]}


def wrong_owners(model: Tape, module: tir.Module, among: set[int] | None = None) -> float:
    """The share of kernels in layers that are in no layer, or in another than their own, or that no layer owns.

    Found layers and true ones are paired by what they have in common, the largest first. With `among` only kernels of
    these layers count.
    """
    owner = [-1] * len(model.truth)
    for number, layer in enumerate(layer for stack in found(module) for layer in stack):
        for id in layer:
            owner[id] = number
    both = Counter((mine, true) for mine, true in zip(owner, model.truth, strict=True) if mine >= 0 and true >= 0)
    paired: dict[int, int] = {}
    for (mine, true), _ in both.most_common():
        if mine not in paired and true not in paired.values():
            paired[mine] = true
    asked = [
        (paired.get(mine, -2) if mine >= 0 else -1, true)
        for mine, true in zip(owner, model.truth, strict=True)
        if among is None or true in among
    ]
    return sum(mine != true for mine, true in asked) / max(sum(true >= 0 for _, true in asked), 1)
