"""Which collectives reduce gradients of parameters, and not of activations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import attrs

REDUCING: Final = ("all_reduce", "reduce_scatter")


class _Moved(Protocol):
    @property
    def kind(self) -> str: ...
    @property
    def group(self) -> str | None: ...
    @property
    def in_elements(self) -> int | None: ...
    @property
    def backward(self) -> bool: ...


@attrs.frozen
class Reduction:
    """What tells a collective that reduces gradients: its kind, group and size, and whether autograd started it."""

    kind: str
    group: str | None
    elements: int | None
    backward: bool

    @classmethod
    def of(cls, item: _Moved) -> Reduction:
        """That of an instance."""
        return cls(item.kind, item.group, item.in_elements, item.backward)


def gradients(items: Sequence[Reduction]) -> list[int]:
    """The positions of those that reduce gradients of parameters.

    Autograd's engine started them, and no forward pass reduces the same size in the same group: tensor parallelism
    reduces activations in forward passes and their gradients in backward ones. O(items).
    """
    ahead = {(item.kind, item.group, item.elements) for item in items if not item.backward}
    return [
        at
        for at, item in enumerate(items)
        if item.backward and item.kind in REDUCING and (item.kind, item.group, item.elements) not in ahead
    ]
