"""The event graph of time, which `critical-path` and `what-if` share; not a pass."""

from __future__ import annotations

from traceir_passes.replay.edges import NEAR, graph_of
from traceir_passes.replay.graph import CODE, KINDS, Contradiction, Graph, extent, latest, replay, tightest
from traceir_passes.replay.path import BEGIN, CLASSES, Path, by_class, classes, observed, path, per_event, waits_of
from traceir_passes.replay.slack import slack_of
from traceir_passes.replay.trust import in_doubt, signed

__all__ = [
    "BEGIN",
    "CLASSES",
    "CODE",
    "KINDS",
    "NEAR",
    "Contradiction",
    "Graph",
    "Path",
    "by_class",
    "classes",
    "extent",
    "graph_of",
    "in_doubt",
    "latest",
    "observed",
    "path",
    "per_event",
    "replay",
    "signed",
    "slack_of",
    "tightest",
    "waits_of",
]
