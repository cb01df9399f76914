"""`traceir`: parse the arguments, call a command, turn every error into one sentence and an exit code."""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib
import itertools
import os
import sys
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from traceir import __version__

COMMANDS = {
    "run": "run passes over a trace and print what they found",
    "print": "print a trace as it stands, or a .tir file with what its passes found",
    "cut": "write a part of a trace as a small trace that opens anywhere",
    "info": "show what a trace holds: lanes, kinds of event, and its health",
    "why": "say where a value comes from: the pass, its options, and what it read",
    "passes": "list the passes, or show one with its options",
    "instruments": "list the instruments that can watch a run, or show one with its options",
    "printers": "list the formats that can be written, or show one with its options",
    "frontends": "list the formats that can be read",
    "roles": "say which role a kernel's name has and which rule gives it, or list the rules",
    "plugins": "list who brings passes and formats, or check that all of them can be loaded",
    "new-pass": "write the skeleton of a pass, with its test",
    "cache": "show or clear what is kept of large inputs",
}
_MODULES = {"print": "run", "new-pass": "new_pass", "instruments": "passes", "printers": "passes"}
EXIT_USAGE, EXIT_INTERNAL, EXIT_INTERRUPTED = 2, 5, 130
_BRACED = ("--passes", "--emit", "--instrument")
"""Flags whose texts have braces, which a shell may have expanded."""
_ALL_REMARKS = "--remarks=all"
"""What a bare `--remarks` stands for."""


class _Parser(argparse.ArgumentParser):
    """A parser that knows what a pipeline looks like when a shell has made several words of it."""

    _words: Sequence[str] = ()

    def __init__(self, **settings: Any) -> None:
        # An abbreviation would break when a flag comes that begins like it, and --remark would take the input.
        super().__init__(**settings, allow_abbrev=False)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Remember the words for what is wrong with them."""
        self._words = list(args) if args is not None else sys.argv[1:]
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, or what made it so."""
        super().error(_expanded(self._words) or _parted(self._words) or message)


def _expanded(words: Sequence[str]) -> str | None:
    """What to say of words into which a shell expanded `--passes gaps{min=1,classes=a}`; None if it did not."""
    for flag, *pair in zip(words, words[1:], words[2:], strict=False):
        keys = [word.partition("=")[0] for word in pair]
        alike = keys[0] != keys[1] and keys[0][:1] == keys[1][:1]  # the name that stood before the brace
        if flag in _BRACED and alike and all("=" in word for word in pair):
            return (
                f"{' '.join(pair)} reads as if your shell expanded the braces: quote the text, as in "
                f"{flag} 'name{{key=value}}'"
            )
    return None


def _parted(words: Sequence[str]) -> str | None:
    """What to say of `--remarks missed`, where the kind is taken for the input; None if there is no such thing."""
    for flag, kind in itertools.pairwise(words):
        if flag == _ALL_REMARKS and kind in ("all", "note", "missed"):
            return f"write --remarks={kind}: after a bare --remarks stands the input"
    return None


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line. Building it imports no command's machinery."""
    top = _Parser(
        prog="traceir",
        description="A compiler for profiler traces: reads a trace, runs passes over it, prints where the time went.",
        epilog="Example: traceir run --passes group,overlap trace.json.gz",
    )
    top.add_argument("--version", action="version", version=f"traceir {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        one = commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        _ARGUMENTS[name](one)
    return top


def _run_arguments(one: argparse.ArgumentParser) -> None:
    one.add_argument("input", metavar="INPUT", help="a trace file, or - for standard input")
    one.add_argument(
        "--passes", metavar="PIPELINE", help="the passes, as in 'group,overlap{versus=any}' (default: default)"
    )
    _role_table_argument(one)
    _further_arguments(one)
    _emit_arguments(one)


def _print_arguments(one: argparse.ArgumentParser) -> None:
    one.add_argument("input", metavar="INPUT", help="a trace file, or - for standard input")
    one.add_argument("--passes", metavar="PIPELINE", default="", help="passes to run first (default: none)")
    _role_table_argument(one)
    _further_arguments(one)
    _emit_arguments(one)


def _further_arguments(one: argparse.ArgumentParser) -> None:
    one.add_argument(
        "--capture", metavar="FILE", help="a trace of the capture of a graph: gives its replays modules and shapes"
    )
    one.add_argument(
        "--metrics", metavar="FILE", help="a kernel profiler's report (ncu --csv): what bounds each kernel"
    )


def _emit_arguments(one: argparse.ArgumentParser) -> None:
    one.add_argument(
        "--emit",
        metavar="FORMAT",
        default="folded",
        help="what to print: folded (default), json, tir, chrome, … (see traceir printers)",
    )
    one.add_argument(
        "--by",
        metavar="PART",
        help="what the page sums device work by: step, lane or role, as --emit 'folded{by=role}'",
    )
    one.add_argument(
        "--expand", metavar="NAME", action="append", default=[], help="show one step, layer or op in full, as layer.3"
    )
    one.add_argument("--form", metavar="FORM", help="the spelling of tir: statements, table or auto")
    one.add_argument("--args", action="store_true", help="with tir: write the source's own arguments too")
    one.add_argument("--dead", action="store_true", help="with tir and chrome: write removed events too")
    _window_arguments(one)
    one.add_argument("-o", "--output", metavar="FILE", help="write there instead of to standard output")
    one.add_argument("--no-insert", action="store_true", help="do not insert the passes that others need")
    one.add_argument("--strict", action="store_true", help="exit with 3 if the trace is damaged")
    _manager_arguments(one)
    one.add_argument("--width", type=int, metavar="N", help="columns of the page (default: the terminal's)")
    one.add_argument("--ascii", action="store_true", help="print ASCII characters only")
    one.add_argument("-v", "--verbose", action="store_true", help="leave nothing out of the page")
    _input_arguments(one)


def _manager_arguments(one: argparse.ArgumentParser) -> None:
    one.add_argument("--disable", metavar="NAME", action="append", default=[], help="leave a pass of the pipeline out")
    one.add_argument("--stop-after", type=int, metavar="N", help="run only the first N passes, inserted ones counted")
    one.add_argument(
        "--dump-pipeline", action="store_true", help="print the passes that would run, with all options, and stop"
    )
    one.add_argument(
        "--verify",
        choices=("auto", "each", "end", "off"),
        default="auto",
        help="check the IR's rules: after each pass, at the end, not, or each up to a million events (default)",
    )
    one.add_argument("--timing", action="store_true", help="print what each pass and analysis cost")
    one.add_argument("--diff", action="store_true", help="print what each pass changed")
    one.add_argument("--statistics", action="store_true", help="print the figures that each pass reports")
    one.add_argument(
        "--remarks",
        metavar="KIND",
        help="print what passes have to say: --remarks for all, --remarks=note or --remarks=missed for some",
    )
    one.add_argument(
        "--print-after", metavar="NAME", action="append", default=[], help="print the module after a pass, or all"
    )
    one.add_argument(
        "--instrument",
        metavar="TEXT",
        action="append",
        default=[],
        help="a further instrument (see traceir instruments) with its options, as 'print{passes=group,window=layer.3}'",
    )
    one.add_argument("--log", metavar="FILE", help="write what the instruments noted of each pass as JSON")


def _window_arguments(one: argparse.ArgumentParser) -> None:
    one.add_argument(
        "--window", metavar="WINDOW", help="print a part: @step.17, layer.3, %%8812, %%10..%%40, @gpu0.s7 or 1ms..3ms"
    )
    one.add_argument(
        "--around", metavar="ID", action="append", default=[], help="print what lies around an event, as %%8812"
    )
    one.add_argument("--hops", type=int, metavar="N", help="how far --around reaches (default: 1)")
    one.add_argument("--limit", type=int, metavar="N", help="print at most so many events")


def _cut_arguments(one: argparse.ArgumentParser) -> None:
    one.add_argument("input", metavar="INPUT", help="a trace file, or - for standard input")
    one.add_argument(
        "--window", metavar="WINDOW", required=True, help="the part: layer.3, @step.17, %%10..%%40 or 1ms..3ms"
    )
    one.add_argument("-o", "--output", metavar="FILE", required=True, help="a .json, .json.gz or .tir file")
    one.add_argument("--redact", action="store_true", help="hide names and values that identify")
    one.add_argument(
        "--passes",
        metavar="PIPELINE",
        help="the passes that make the regions (default: group, none for a text that has any)",
    )
    _input_arguments(one)


def _input_arguments(one: argparse.ArgumentParser) -> None:
    one.add_argument("--frontend", metavar="NAME", help="the input's format, instead of finding it from its content")
    one.add_argument(
        "--plugin", metavar="FILE", action="append", default=[], help="a Python file with passes or frontends"
    )
    one.add_argument("--no-cache", action="store_true", help="read a large input anew, and keep nothing of it")
    one.add_argument("-q", "--quiet", action="store_true", help="no progress on standard error")


def _info_arguments(one: argparse.ArgumentParser) -> None:
    one.add_argument("input", metavar="INPUT", help="a trace file, or - for standard input")
    one.add_argument("--emit", metavar="FORMAT", choices=("text", "json"), default="text", help="text or json")
    one.add_argument("--width", type=int, metavar="N", help="columns of the page (default: the terminal's)")
    one.add_argument("--ascii", action="store_true", help="print ASCII characters only")
    _input_arguments(one)


def _why_arguments(one: argparse.ArgumentParser) -> None:
    one.add_argument(
        "place", metavar="PLACE", help="an event's id, as %%8812, or a region's or lane's name, as @layer.3"
    )
    one.add_argument("column", metavar="COLUMN", help="the column, such as overlap.exposed, or live")
    one.add_argument("input", metavar="INPUT", help="a trace file, or - for standard input")
    one.add_argument(
        "--passes", metavar="PIPELINE", help="the passes to run first (default: default, none for a text that has any)"
    )
    _input_arguments(one)


def _list_arguments(one: argparse.ArgumentParser) -> None:
    one.add_argument(
        "--plugin", metavar="FILE", action="append", default=[], help="a Python file with passes or frontends"
    )


def _passes_arguments(one: argparse.ArgumentParser) -> None:
    one.add_argument("action", nargs="?", choices=("list", "show"), default="list", help="list all, or show one")
    one.add_argument("name", nargs="?", help="the one to show")
    _list_arguments(one)


def _plugins_arguments(one: argparse.ArgumentParser) -> None:
    one.add_argument("action", nargs="?", choices=("list", "check"), default="list", help="list all, or check all")
    _list_arguments(one)


def _role_table_argument(one: argparse.ArgumentParser) -> None:
    one.add_argument("--roles", metavar="FILE", help="a TOML file of role rules that come before the built-in ones")


def _roles_arguments(one: argparse.ArgumentParser) -> None:
    actions = one.add_subparsers(dest="action", metavar="ACTION", required=True)
    explain = actions.add_parser("explain", help="say how names come to their roles", description="Explain names.")
    explain.add_argument("names", metavar="NAME", nargs="+", help="a kernel's name; quote it")
    listed = actions.add_parser("list", help="list the rules in the order in which they are tried")
    listed.add_argument("-v", "--verbose", action="store_true", help="list the libraries and examples of rules too")
    for action in (explain, listed):
        _role_table_argument(action)
        _list_arguments(action)


def _new_pass_arguments(one: argparse.ArgumentParser) -> None:
    one.add_argument("name", metavar="NAME", help="the word of the pass in pipelines, such as slow-copies")
    one.add_argument("--into", metavar="DIR", default=".", help="the folder for the two files (default: this one)")


def _cache_arguments(one: argparse.ArgumentParser) -> None:
    one.add_argument("action", nargs="?", choices=["show", "clear"], default="show", help="what to do (default: show)")


_ARGUMENTS = {
    "run": _run_arguments,
    "print": _print_arguments,
    "cut": _cut_arguments,
    "info": _info_arguments,
    "why": _why_arguments,
    "passes": _passes_arguments,
    "instruments": _passes_arguments,
    "printers": _passes_arguments,
    "frontends": _list_arguments,
    "roles": _roles_arguments,
    "plugins": _plugins_arguments,
    "new-pass": _new_pass_arguments,
    "cache": _cache_arguments,
}


@contextlib.contextmanager
def _fewer_collections() -> Iterator[None]:
    """Collect garbage more rarely meanwhile: reports are many small objects in no cycle, looked through in vain."""
    before = gc.get_threshold()
    if before[0]:
        gc.set_threshold(max(before[0], 100_000), *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _keep_freed_memory() -> None:
    """Let the allocator of Linux keep some of what is freed for what is asked for next.

    Arrays of a million events come and go; to return each to the system and to get zeroed pages anew takes a
    twentieth of a run. Elsewhere nothing is done.
    """
    if not sys.platform.startswith("linux"):
        return
    import ctypes  # which numpy needs too

    with contextlib.suppress(OSError, AttributeError):  # an allocator without the call
        settings = ctypes.CDLL(None).mallopt
        settings(-3, 32 << 20)  # M_MMAP_THRESHOLD: what is larger has pages of its own; no more is allowed
        settings(-1, 256 << 20)  # M_TRIM_THRESHOLD: how much is kept


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code: 0 done, 2 usage, 3 input, 4 a pass, 5 internal, 130 interrupted."""
    # A bare --remarks would take the word behind it, which is the input.
    given = [_ALL_REMARKS if word == "--remarks" else word for word in (sys.argv[1:] if argv is None else argv)]
    try:
        arguments = parser().parse_args(given)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else EXIT_USAGE
    try:
        command = importlib.import_module(f"traceir.cli.{_MODULES.get(arguments.command, arguments.command)}")
        _keep_freed_memory()
        with _fewer_collections():
            code: int = command.execute(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has gone (as `| head` does). Python would complain at exit when it flushes, so point it away.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except OSError as error:
        # Reading has its own sentences; what is left is an output that cannot take what is written.
        return _fail(_unwritable(error))
    except (Exception, SystemExit) as error:  # foreign code may ask to leave, and must not make a success of it
        return _fail(error)
    return code


def _unwritable(error: OSError) -> Exception:
    from traceir.errors import UsageError

    if error.filename is not None:
        return error
    with contextlib.suppress(OSError, ValueError):  # Python would try to flush again at exit, and complain
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    told = UsageError(f"The output cannot be written: {error.strerror or error}.")
    for sentence in getattr(error, "__notes__", ()):
        told.add_note(sentence)
    return told


def _message(error: BaseException) -> str:
    """The error's text; a caret below a pipeline keeps its lines."""
    return "\n".join(_line(part) for part in str(error).split("\n")) if "\n  " in str(error) else _line(str(error))


def _line(text: str) -> str:
    """One line that no control character of a file name or a trace can break or colour."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _fail(error: BaseException) -> int:
    """Say what went wrong in one line on standard error; anything unforeseen leaves a report."""
    from traceir.errors import TraceirError
    from traceir.passing.words import said

    if isinstance(error, TraceirError):
        print(f"traceir: {_message(error)}", file=sys.stderr)
        for note in getattr(error, "__notes__", ()):
            print(f"  {_line(note)}", file=sys.stderr)
        return error.exit_code
    with tempfile.NamedTemporaryFile("w", prefix="traceir-", suffix=".txt", delete=False, encoding="utf-8") as report:
        report.write(f"traceir {__version__}, Python {sys.version}\n{sys.argv}\n\n")
        traceback.print_exception(error, file=report)
    told = _line(said(error)).removesuffix(".")
    print(f"traceir: An internal error occurred ({told}); the report is in {report.name}.", file=sys.stderr)
    return EXIT_INTERNAL


def script() -> None:
    """The entry point of the installed command."""
    sys.exit(main())
