"""What no frontend reads, refused by its name: so that a sentence can say what the file is, and what to do."""

from __future__ import annotations

import shlex
from typing import ClassVar, Final

import attrs

from traceir.errors import InputError
from traceir.ir import Module
from traceir.loading import Frontend, Head, Progress
from traceir_frontends.others.formats import DATABASES, FORMATS, Format

__all__ = ["Others"]

_DATABASE: Final = b"SQLite format 3\x00"
_SHOWN: Final = 3
_ANY_DATABASE: Final = 0.05


@attrs.frozen
class Others(Frontend):
    """Formats that are not read, each refused by its name."""

    word: ClassVar[str] = "others"

    @classmethod
    def sniff(cls, head: Head) -> float:
        """Nearly certain of what is known not to be readable; least of all of any database."""
        if head.raw.startswith(_DATABASE):
            return _ANY_DATABASE
        found = _known(head.text)
        return 0.0 if found is None else found.sure

    def load(self, path: str, progress: Progress | None = None) -> Module:
        """Never gives a module: always InputError, which names the format and what to do instead."""
        from traceir_frontends.whole import begin_of  # not needed to look at inputs, which is done to every one

        head = begin_of(path)
        what, mend = _database(path) if head.raw.startswith(_DATABASE) else _told(head)
        raise InputError(f"The input {path} is {what}, which {mend.format(shlex.quote(path))}.")


def _known(text: bytes) -> Format | None:
    return next((item for item in FORMATS if item.fits(text)), None)


def _told(head: Head) -> tuple[str, str]:
    found = _known(head.text)
    return ("nothing known", "no frontend reads; name a file that a profiler wrote") if found is None \
        else (found.what, found.mend)  # fmt: skip


def _database(path: str) -> tuple[str, str]:
    """What a database is by its tables; InputError if they cannot be read."""
    from traceir_frontends.tabular import Database

    with Database.open(path) as database:
        tables = list(database.tables)
    for begins, what, mend in DATABASES:
        if any(table.startswith(begins) for table in tables):
            return what, mend
    shown = ", ".join(tables[:_SHOWN]) + (f" and {len(tables) - _SHOWN} more" if len(tables) > _SHOWN else "")
    return (
        f"a SQLite file with the tables {shown}" if tables else "a SQLite file without tables",
        "is no trace that any frontend knows; name the database that the profiler exported",
    )
