"""Labels: an op's place in its layer, read from the order of roles alone."""

from __future__ import annotations

from typing import Final

import attrs

from traceir_passes.group.tokens import COMM, ROLES

COLLECTIVES: Final = frozenset(COMM.values()) - {"F"}
"""Letters of what only communicates."""
_NORM: Final = frozenset("nhF")
_MOE: Final = frozenset("Mrc")
PLAIN: Final = {"k": "kv_store", "p": "rope", "q": "quant", "a": "activation", "r": "route", "c": "moe_combine"}
"""Roles whose label does not depend on their place."""


@attrs.define
class _Body:
    """A layer's body while it is labelled: tokens and labels by position."""

    text: str
    labels: list[str | None]

    def where(self, wanted: frozenset[str] | str, start: int, stop: int) -> list[int]:
        """Positions of tokens in `[start, stop)` that are still without a label."""
        return [k for k in range(start, stop) if self.text[k] in wanted and self.labels[k] is None]

    def put(self, positions: list[int], label: str) -> None:
        """Label the positions."""
        for k in positions:
            self.labels[k] = label


def label_layer(tokens: bytes, *, backward: bool = False) -> tuple[list[str], list[str]]:
    """The labels of a layer's ops and the block (`attention`, `mlp`, `moe`) of each, from its tokens.

    The body is split at its attention: what precedes is norm and projections, what follows the output projection,
    the second norm and the feed-forward part. What has no place is `misc`. Backward layers get `<role>_backward`.
    """
    text = tokens.decode("ascii")
    if backward:
        return [_backward(letter) for letter in text], ["attention"] * len(text)
    body = _Body(text, [None] * len(text))
    for letter, label in PLAIN.items():
        body.put(body.where(letter, 0, len(text)), label)
    body.put(body.where(COLLECTIVES, 0, len(text)), "comm")
    first, last = _attention(body)
    if first is None or last is None:
        post = _feed_forward(body, 0)
    else:
        latent = _before(body, first)
        post = _after(body, last + 1, latent=latent)
    _modulated(body)
    _auxiliary(body)
    labels = [
        ROLES[letter].replace("-", "_") if label == "comm" else label or "misc"
        for letter, label in zip(text, body.labels, strict=True)
    ]
    feed = "moe" if any(letter in _MOE for letter in text[post:]) else "mlp"
    return labels, ["attention"] * post + [feed] * (len(text) - post)


def _backward(letter: str) -> str:
    role = ROLES[letter].replace("-", "_")
    return f"{role}_backward" if letter in "gALSnhapvbM" else role if letter in COLLECTIVES or letter == "F" else "misc"


def _attention(body: _Body) -> tuple[int | None, int | None]:
    """Label the attention itself; its first and last position."""
    text = body.text
    direct = [k for k, letter in enumerate(text) if letter in "AL"]
    if direct:
        gemms = [k for k, letter in enumerate(text) if letter in "gM" and k > direct[0]]
        stop = gemms[0] if gemms else len(text)
        mine = [k for k in direct if k < stop]
        mine += [k for k in range(mine[0], stop) if text[k] == "u"]
        body.put(mine, "attention")
        return mine[0], max(mine)
    for k, letter in enumerate(text):
        if letter == "S":
            score = [j for j in range(k) if text[j] == "g"]
            value = [j for j in range(k + 1, len(text)) if text[j] == "g"]
            if score and value:
                body.put([k], "attention")
                body.put(score[-1:], "attn_score")
                body.put(value[:1], "attn_value")
                return score[-1], value[0]
    return None, None


def _before(body: _Body, attention: int) -> bool:
    """Norm and projections before the attention; whether it is latent attention, which has norms between them."""
    gemms = body.where("g", 0, attention)
    first = gemms[0] if gemms else attention
    _norm(body, 0, first, "input_norm")
    between = body.where(_NORM, first, gemms[-1]) if gemms else []
    latent = bool(between) and body.text[attention] != "L"
    if body.text[attention] == "L":
        body.put(gemms, "in_proj")
    elif latent:
        _latent(body, gemms, between)
    elif len(gemms) == 3:
        for k, label in zip(gemms, ("q_proj", "k_proj", "v_proj"), strict=True):
            body.labels[k] = label
    else:
        body.put(gemms, "qkv_proj")
    norms = body.where(_NORM, first, attention)
    body.put(norms, "qk_norm")
    for k in norms:  # per-head norms read a strided slice, which is copied first
        if body.text[k - 1] == "y" and body.labels[k - 1] is None:
            body.labels[k - 1] = "qk_norm"
    return latent


def _latent(body: _Body, gemms: list[int], norms: list[int]) -> None:
    """Latent attention: what compresses, norms of that, and what expands it to heads."""
    body.put([k for k in gemms if k < norms[0]], "qkv_a_proj")
    body.put(norms, "qkv_a_norm")
    body.put([k for k in gemms if k > norms[0]], "qkv_b_proj")


def _norm(body: _Body, start: int, stop: int, label: str) -> None:
    """Label a norm; of an eager one (several kernels) all rows between and around its parts."""
    norms = body.where(_NORM, start, stop)
    if len(norms) > 1 and any(letter in "ye" for letter in body.text[norms[0] : norms[-1]]):
        first = norms[0] - 1 if norms[0] > start and body.text[norms[0] - 1] == "y" else norms[0]
        last = norms[-1]
        while last + 1 < stop and body.text[last + 1] in "ye":
            last += 1
        body.put([k for k in range(first, last + 1) if body.labels[k] is None], label)
    body.put(norms, label)


def _after(body: _Body, start: int, *, latent: bool) -> int:
    """Output projection, second norm and feed-forward part; where the feed-forward block begins."""
    text = body.text
    gemms = body.where("g", start, len(text))
    if not gemms:
        return _feed_forward(body, start)
    if "L" in text[:start]:  # a gated norm follows a linear attention
        body.put(body.where(_NORM, start, gemms[0]), "attn_norm")
    norm = next((k for k in body.where(_NORM, start, len(text)) if k > gemms[0]), None)
    stop = norm if norm is not None else gemms[0] + 1
    act = next((k for k in range(start, len(text)) if text[k] in "aM"), len(text))
    outs = [k for k in gemms if k < min(stop, act)]
    if latent and len(outs) > 1:
        body.put(outs[:-1], "v_b_proj")
    body.put([k for k in outs or gemms[:1] if body.labels[k] is None], "o_proj")
    return _feed_forward(body, norm if norm is not None else (outs or gemms[:1])[-1] + 1)


def _feed_forward(body: _Body, start: int) -> int:
    """Label the feed-forward part from `start` on; returns where its block begins."""
    text, stop = body.text, len(body.text)
    heavy = next((k for k in range(start, stop) if text[k] in "gM" and body.labels[k] is None), stop)
    _norm(body, start, heavy, "post_norm")
    _norm(body, heavy, stop, "output_norm")
    experts = body.where("M", start, stop)
    if experts or any(letter in "rc" for letter in text[start:]):
        _experts(body, start, experts)
        prefix = "shared_"
    else:
        prefix = ""
    _dense(body, start, prefix)
    return start


def _experts(body: _Body, start: int, experts: list[int]) -> None:
    """Router before the routing; the first half of the expert gemms goes up, the second down."""
    half = (len(experts) + 1) // 2
    body.put(experts[:half], "gate_up_proj")
    body.put(experts[half:], "down_proj")
    route = next((k for k in range(start, len(body.text)) if body.text[k] in "r>"), None)
    limit = route if route is not None else experts[0] if experts else len(body.text)
    body.put(body.where("g", start, limit)[-1:], "router")


def _dense(body: _Body, start: int, prefix: str) -> None:
    """Gemms around the activation: gate and up before it (up may follow it), down last."""
    text, stop = body.text, len(body.text)
    gemms = body.where("g", start, stop)
    if not gemms:
        return
    act = next((k for k in range(start, stop) if text[k] == "a"), None)
    before = [k for k in gemms if act is not None and k < act]
    after = [k for k in gemms if act is None or k > act]
    if act is None:
        up, down = gemms[:1], gemms[1:]
        body.put(up, prefix + "gate_up_proj")
        body.put(down, prefix + "down_proj")
        return
    if len(before) == 2:
        body.put(before[:1], prefix + "gate_proj")
        body.put(before[1:], prefix + "up_proj")
    elif len(before) == 1 and len(after) == 2:
        body.put(before, prefix + "gate_proj")
        body.put(after[:1], prefix + "up_proj")
        after = after[1:]
    else:
        body.put(before, prefix + "gate_up_proj")
    body.put(after, prefix + "down_proj")
    if after:
        body.put(body.where("e", act, after[0]), "activation")


def _modulated(body: _Body) -> None:
    """An elementwise kernel between a norm and the product it feeds, in both halves of a layer: scale and shift."""
    text = body.text
    found = [
        k
        for k in range(1, len(text) - 1)
        if text[k] == "e" and text[k - 1] == "n" and text[k + 1] == "g" and body.labels[k] is None
    ]
    if {body.labels[k - 1] for k in found} == {"input_norm", "post_norm"}:
        body.put(found, "modulation")


def _auxiliary(body: _Body) -> None:
    """Split-K reductions and the like take the label of their gemm."""
    for k, letter in enumerate(body.text):
        if letter == "x":
            body.labels[k] = next((body.labels[j] for j in range(k - 1, -1, -1) if body.text[j] in "gM"), None)


def label_outside(tokens: bytes, *, before: bool) -> list[str | None]:
    """Labels of a step's work before its first or after its last layer; null where the order tells nothing."""
    text = tokens.decode("ascii")
    body = _Body(text, [None] * len(text))
    for k in body.where(COLLECTIVES, 0, len(text)):
        body.labels[k] = ROLES[text[k]].replace("-", "_")
    if before:
        embeds = body.where("E", 0, len(text))
        body.put(embeds, "embed")
        body.put(body.where(_NORM, embeds[0] if embeds else len(text), len(text)), "embed_norm")
    else:
        _tail(body)
    return body.labels


def _tail(body: _Body) -> None:
    """Label what follows the last layer: final norm, gathered rows, the head's last gemm, sampling."""
    text = body.text
    gemms = body.where("g", 0, len(text))
    body.put(body.where("E", 0, len(text)), "index")
    body.put(body.where("Z", 0, len(text)), "sample")
    body.put(body.where("S", gemms[0] if gemms else len(text), len(text)), "sample")
    body.put(body.where(_NORM, 0, gemms[0] if gemms else len(text)), "final_norm")
    body.put(gemms[-1:], "lm_head")
    _auxiliary(body)
