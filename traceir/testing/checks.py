"""Assertions about modules, with messages that say what is wrong."""

from __future__ import annotations

from traceir.ir import Module
from traceir.ir.equality import difference
from traceir.ir.verify import verify


def assert_sound(module: Module) -> None:
    """Fail with the violations if the verifier finds an error in the module; its warnings are let pass.

    O(n log n), as `verify`.
    """
    errors = [str(found) for found in verify(module) if found.level == "error"]
    assert not errors, f"The module {module.name!r} is not sound:\n" + "\n".join(errors)


def assert_equal(left: Module, right: Module) -> None:
    """Fail with the first difference if two modules do not say the same (see `Module.equals`). O(n)."""
    found = difference(left, right)
    assert found is None, f"The modules are not equal. {found}"
