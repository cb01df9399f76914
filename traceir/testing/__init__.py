"""The kit for authors of passes and printers: strategies that draw modules, and assertions about them.

Needs `hypothesis`, which comes with the extra `test`; nothing else in traceir imports this package.
"""

from __future__ import annotations

try:
    import hypothesis as _hypothesis  # noqa: F401
except ModuleNotFoundError as error:
    if error.name != "hypothesis":
        raise
    raise ImportError(
        "traceir.testing draws its modules with the package hypothesis, which is not installed: "
        "run pip install 'traceir[test]'.",
        name="hypothesis",
    ) from None

from traceir.testing.checks import assert_equal, assert_sound
from traceir.testing.declarations import findings, pass_records
from traceir.testing.editing import edited
from traceir.testing.events import lanes
from traceir.testing.goldens import GoldenCase, assert_golden, golden_cases
from traceir.testing.modules import modules
from traceir.testing.passes import assert_pass
from traceir.testing.streams import DeviceStreams, device_streams, times
from traceir.testing.texts import HOSTILE, json_values, plain_texts, texts

__all__ = [
    "HOSTILE",
    "DeviceStreams",
    "GoldenCase",
    "assert_equal",
    "assert_golden",
    "assert_pass",
    "assert_sound",
    "device_streams",
    "edited",
    "findings",
    "golden_cases",
    "json_values",
    "lanes",
    "modules",
    "pass_records",
    "plain_texts",
    "texts",
    "times",
]
