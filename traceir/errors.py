"""The errors traceir raises on purpose; each carries the exit code of the command line."""

from __future__ import annotations

from typing import ClassVar


class TraceirError(Exception):
    """Base of every error that traceir raises on purpose; its text is a full sentence."""

    exit_code: ClassVar[int] = 5


class UsageError(TraceirError):
    """The request itself is wrong: an unknown pass, a bad option, a contradictory order."""

    exit_code: ClassVar[int] = 2


class InputError(TraceirError):
    """An input cannot be read as a trace at all (damage that can be read around is a health finding)."""

    exit_code: ClassVar[int] = 3


class PassError(TraceirError):
    """A pass failed or broke its declaration; the message names the pass. `event` is the id of an event concerned."""

    exit_code: ClassVar[int] = 4

    def __init__(self, message: str, event: int | None = None) -> None:
        super().__init__(message)
        self.event = event


class SchemaError(TraceirError):
    """A module was built or asked for something its schema does not allow."""

    exit_code: ClassVar[int] = 4
