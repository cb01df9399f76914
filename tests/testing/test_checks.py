"""The assertions say what is wrong; the kit needs hypothesis, and nothing else does."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import traceir.testing
from tests.testing.test_equality import module
from traceir.testing import assert_equal, assert_sound


def test_sound_modules_pass_and_others_name_their_violations() -> None:
    item = module()
    assert_sound(item)
    broken = item.with_columns({"ts": np.array([2, 1, 0]), "dur": np.array([1, -1, 1])})
    with pytest.raises(
        AssertionError, match=r"'m' is not sound:\nV03 rows-sorted: 2 .*\nV11 dur-negative: 1 "
    ) as failure:
        assert_sound(broken)
    assert "V21" not in str(failure.value)


def test_unequal_modules_name_the_first_difference() -> None:
    item = module()
    assert_equal(item, module())
    with pytest.raises(AssertionError, match=r"not equal\. The column dur of event differs, first in row 2\."):
        assert_equal(item, item.with_columns({"dur": np.array([0, 1, 9])}))


def test_the_face_is_listed() -> None:
    assert sorted(traceir.testing.__all__, key=str.lower) == sorted(set(traceir.testing.__all__), key=str.lower)


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    return done.stdout.strip()


def test_without_hypothesis_the_kit_says_what_to_install() -> None:
    code = """
import sys
sys.modules["hypothesis"] = None
try:
    import traceir.testing
except ImportError as error:
    print(error)
"""
    assert python(code) == (
        "traceir.testing draws its modules with the package hypothesis, which is not installed: "
        "run pip install 'traceir[test]'."
    )


def test_nothing_else_imports_hypothesis() -> None:
    """Every other module of the three packages, loaded in one process."""
    code = """
import importlib, pathlib, sys
import traceir, traceir_frontends, traceir_passes
for package in (traceir, traceir_passes, traceir_frontends):
    (root,) = map(pathlib.Path, package.__path__)
    for file in root.rglob("*.py"):
        parts = (package.__name__, *file.relative_to(root).with_suffix("").parts)
        if "testing" not in parts and parts[-1] not in ("__init__", "__main__"):
            importlib.import_module(".".join(parts))
print([name for name in sys.modules if name.startswith(("hypothesis", "traceir.testing.", "pytest"))])
"""
    assert python(code) == "[]"
