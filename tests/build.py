"""Small modules written by hand, for tests of what works on any module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np

import traceir as tir
from traceir.ir import Annotation, Written


@attrs.frozen
class Ev:
    """One event of a hand-made module; `launch` is the position of its launch in the list."""

    kind: str
    name: str
    ts: int
    dur: int
    lane: str = "gpu0.s7"
    launch: int | None = None


def lane(name: str) -> tir.Lane:
    """A lane from its name: `gpu<device>.s<stream>` is a stream, anything else a host thread."""
    if name.startswith("gpu"):
        device, _, stream = name[3:].partition(".s")
        return tir.Lane(name, "dev.stream", device=int(device), stream=int(stream))
    return tir.Lane(name, "host.thread")


def module(events: Sequence[Ev], name: str = "test", **meta: Any) -> tir.Module:
    """A module of these events; the id of an event is its position in the list."""
    lanes = list(dict.fromkeys(event.lane for event in events))
    kinds = list(dict.fromkeys(event.kind for event in events))
    names = list(dict.fromkeys(event.name for event in events))
    launched = [(event.launch, i) for i, event in enumerate(events) if event.launch is not None]
    edges = np.array(launched, np.int64).reshape(-1, 2)
    return tir.ModuleBuilder(
        name=name,
        strings=tir.Strings(names),
        lanes=[lane(item) for item in lanes],
        kinds=kinds,
        id=np.arange(len(events), dtype=np.int64),
        kind=np.array([kinds.index(event.kind) for event in events], np.uint16),
        name_code=np.array([names.index(event.name) for event in events], np.int32),
        ts=np.array([event.ts for event in events], np.int64),
        dur=np.array([event.dur for event in events], np.int64),
        lane=np.array([lanes.index(event.lane) for event in events], np.int32),
        edges=[("launch", edges[:, 0], edges[:, 1])],
        meta={"origin_ns": None, **meta},
    ).build()


def annotate(item: tir.Module, annotation: Annotation, values: Mapping[int, Any]) -> tir.Module:
    """The module with an event annotation given by event id; events that are not named are null."""
    ids = item["id"].tolist()
    texts = [values.get(id) for id in ids]
    if annotation.dtype == "str":
        item = item.with_texts(annotation.name, texts)
    else:
        column = np.array([tir.NULL_I64 if value is None else value for value in texts], annotation.numpy_type)
        item = item.with_columns({annotation.name: column})
    return attrs.evolve(item, annotations={**item.annotations, annotation.name: Written(annotation, None)})
