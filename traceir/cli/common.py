"""What the commands share: the registry with plug-ins, loading with progress, and the style of the output."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any, TextIO

from traceir.caching import Cache
from traceir.errors import PassError, UsageError
from traceir.ir import Module
from traceir.loading import load
from traceir.passing import PassManager
from traceir.passing.pipeline import parse_items
from traceir.passing.words import said
from traceir.printers import Printer, Style
from traceir.registry import Group, Registry

_PATIENCE_S = 1.0
"""Progress is shown for what takes longer than this; anything shorter would only flicker."""
_REDRAW_S, _LOG_S = 0.2, 5.0
_NARROW, _DEFAULT_WIDTH = 40, 100


def registry(arguments: argparse.Namespace) -> Registry:
    """The installed registry with the plug-in files of the command line; broken plug-ins are named on stderr."""
    with aside():
        found = Registry.installed()
    for sentence in found.broken:
        print(f"traceir: {sentence}", file=sys.stderr)
    with aside():
        for path in plugin_files(arguments):
            found.add_file(path)
    return found


def plugin_files(arguments: argparse.Namespace) -> list[str]:
    """The files of `--plugin`, each once, however often and by whichever way it is named."""
    files: dict[str, str] = {}
    for path in arguments.plugin:
        files.setdefault(os.path.realpath(path), path)
    return list(files.values())


@contextmanager
def aside() -> Iterator[None]:
    """Send what foreign code prints (plug-ins, passes, frontends) to standard error: the product alone is on output."""
    with redirect_stdout(sys.stderr):
        yield


@contextmanager
def named(who: str) -> Iterator[None]:
    """Name whose foreign code it is that asked to leave the program, which nobody may but the command line."""
    try:
        yield
    except SystemExit as error:
        raise PassError(f"{who} failed: {said(error)}") from error


def manager(text: str, known: Registry, **settings: Any) -> PassManager:
    """A manager for a pipeline that somebody asked for now, so that what its options name has to be there."""
    found = PassManager.parse(text, registry=known, **settings)
    for item in found.passes:
        if item.name() not in found.disabled:
            type(item).ready(item)  # an option of that name would hide the method
    return found


def printer(text: str, known: Registry) -> Printer:
    """The printer that `--emit` names, with its options: `json`, `folded{by=role}`."""
    found: Printer = chosen("printers", text, known)
    return found


def chosen(group: Group, text: str, known: Registry) -> Any:
    """The one printer or instrument that a text names, with its options: `folded{by=role}`."""
    items = parse_items(text)
    if len(items) != 1:
        what = {"printers": "format", "instruments": "instrument"}.get(group, group)
        like = {"printers": "json or 'folded{by=role}'", "instruments": "diff or 'print{passes=group}'"}.get(group, "")
        raise UsageError(f"The {what} {text!r} has to be one of its kind, such as {like}.")
    return known.find(group, items[0].word).from_text(dict(items[0].settings))


def read(arguments: argparse.Namespace, known: Registry, path: str | None = None) -> Module:
    """The module of the input (or of a second one), with progress on standard error if it takes over a second."""
    said, path = len(known.broken), arguments.input if path is None else path
    frontend = arguments.frontend if path == arguments.input else None
    with _progress(arguments, path) as report, aside():
        cache = None if getattr(arguments, "no_cache", True) else Cache.of_user()
        module = load(path, frontend=frontend, registry=known, progress=report, cache=cache)
    for sentence in known.broken[said:]:  # found out when they were asked whether the file is theirs
        print(f"traceir: {sentence}", file=sys.stderr)
    return module


def note(arguments: argparse.Namespace, sentence: str | None) -> None:
    """Say something worth knowing on standard error, unless `--quiet` was given."""
    if sentence is not None and not arguments.quiet:
        print(f"traceir: {sentence}", file=sys.stderr)


@contextmanager
def _progress(arguments: argparse.Namespace, path: str) -> Iterator[Callable[[int, int | None], None]]:
    """A callback that says how far reading has come: one line redrawn on a terminal, a line at times in a log."""
    terminal = sys.stderr.isatty()
    pause = _REDRAW_S if terminal else _LOG_S
    started = time.monotonic()
    due = started + _PATIENCE_S
    shown = False

    def report(done: int, total: int | None) -> None:
        nonlocal due, shown
        now = time.monotonic()
        if arguments.quiet or now < due:
            return
        due, shown = now + pause, True
        part = f"{100 * done / total:.0f} %" if total else f"{done / 1e6:.0f} MB"
        text = f"reading {path}: {part}"
        print(f"\r\x1b[K{text}" if terminal else text, end="" if terminal else "\n", file=sys.stderr, flush=True)

    try:
        yield report
    finally:
        if shown and terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def style(arguments: argparse.Namespace, out: TextIO) -> Style:
    """The style that suits an output: the terminal's width and colour, ASCII where nothing else can be shown."""
    width = getattr(arguments, "width", None)
    if width is None:
        # A terminal that does not know its width says 0.
        columns = os.get_terminal_size(out.fileno()).columns if out.isatty() else 0
        width = max(columns, _NARROW) if columns else _DEFAULT_WIDTH
    if width < _NARROW:
        raise UsageError(f"The width {width} is too narrow for a page; it has to be {_NARROW} or more.")
    color = out.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    unicode = not getattr(arguments, "ascii", False)
    try:
        "│µ×…".encode(out.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        unicode = False
    return Style(width, color, unicode, getattr(arguments, "verbose", False))
