"""`traceir plugins`: who brings what; `traceir plugins check`: whether all of it can be loaded."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

from traceir.cli import common
from traceir.errors import UsageError
from traceir.passing.words import said
from traceir.registry import GROUPS, WORDS, Entry, Fault, Group, Registry

EXIT_OK, EXIT_FAULTS = 0, 2


def execute(arguments: argparse.Namespace) -> int:
    """Run the command; 0, or for `check` 2 if anything cannot be used."""
    known = Registry.installed()
    if arguments.action == "check":
        return _check(known, common.plugin_files(arguments))
    for sentence in known.broken:
        print(f"traceir: {sentence}", file=sys.stderr)
    for path in common.plugin_files(arguments):
        known.add_file(path)
    _list(known)
    return EXIT_OK


def _list(known: Registry) -> None:
    """Every provider with its version, its API, and the names that it brings."""
    providers = sorted(known.providers.items(), key=lambda pair: (pair[0] != "traceir", pair[0]))
    for number, (name, provider) in enumerate(providers):
        print(f"{chr(10) if number else ''}{provider}  (API {provider.api})")
        brought = {group: [key for key, entry in known.all(group) if entry.provider == name] for group in GROUPS}
        for group, keys in brought.items():
            if keys:
                print(f"  {group:<11}  {', '.join(keys)}")
        for fault in _faults(known, name):
            print(f"  left out     {fault.sentence}")
        if not any(brought.values()) and not _faults(known, name):
            print("  nothing")


def _check(known: Registry, files: list[str]) -> int:
    """Load everything, a line each; a file that cannot be read is a line like any other."""
    refused = []
    for path in files:
        try:
            known.add_file(path)
        except UsageError as error:
            refused.append((path, str(error)))
    lines = [(f"{WORDS[group]} {entry.name}", entry.provider, *_verdict(known, entry)) for group, entry in _all(known)]
    lines += [("plug-in", ", ".join(fault.providers), False, fault.sentence) for fault in known.faults]
    lines += [("file", path, False, sentence) for path, sentence in refused]
    width = max((len(what) for what, *_ in lines), default=0)
    wide = max((len(provider) for _, provider, *_ in lines), default=0)
    for what, provider, good, sentence in lines:
        verdict = "ok" if good else "not ok"
        note = f": {sentence}" if sentence else ""
        print(f"{what:<{width}}  {provider:<{wide}}  {verdict}{note}")
    bad = sum(not good for _, _, good, _ in lines)
    print(f"\n{len(lines) - bad} ok, {bad} not ok")
    return EXIT_FAULTS if bad else EXIT_OK


def _all(known: Registry) -> Iterator[tuple[Group, Entry]]:
    for group in GROUPS:
        for _, entry in known.all(group):
            yield group, entry


def _faults(known: Registry, provider: str) -> list[Fault]:
    return [fault for fault in known.faults if provider in fault.providers]


def _verdict(known: Registry, entry: Entry) -> tuple[bool, str]:
    """Whether an entry can be used, and why not; or what is odd about it."""
    try:
        found = entry.load()
        if entry.group == "pipelines":
            from traceir.passing import PassManager

            return bool(PassManager.parse(entry.name, registry=known).passes), ""
        name = found.word if entry.group == "frontends" else found.name()
        summary = found.summary()
    except UsageError as error:
        return False, _line(str(error))
    except (Exception, SystemExit) as error:  # a plug-in's class may fail in any way
        return False, _line(f"it cannot say its name: {said(error)}")
    if name != entry.name:
        return False, f"its class calls itself {name!r}; the table of {entry.provider} has to use that name"
    if summary != entry.summary:
        return True, "its docstring begins otherwise than the summary in the table says"
    if not summary:
        return True, "it has no docstring, whose first line would say in lists what it does"
    return True, ""


def _line(text: str) -> str:
    return " ".join(text.split())
