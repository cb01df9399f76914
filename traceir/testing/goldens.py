"""Goldens of passes: a module as text, the command that runs over it, and what it prints, as files.

A case `<name>.tir` begins with its command, `// RUN: traceir run --passes <pass> … %s`, where `%s` is the file itself.
The lines of comment after it say in words what the case shows; those that begin with `// CHECK: ` are figures worked
out by hand, each a part of one line of the output (`...` stands for anything); `// NEXT: ` is one for the line after
it. A line that begins otherwise with such a word is refused, since it would check nothing. The whole output stands
beside the case in `<name>.out.tir`, `.json` or `.txt`, by the command's printer.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import attrs

import traceir
from traceir.passing.pipeline import parse_items
from traceir.testing.checks import assert_equal
from traceir.text import parse, spell

_ENDINGS: Final = {"tir": "tir", "json": "json", "folded": "txt"}
_RUN: Final = "RUN: traceir "
_MARK: Final = re.compile(r"\s*//\s*(RUN\b|CHECK|NEXT|(?i:run|check|next)\s*:)")
"""A line that is meant for the runner, well or not."""
_CHECK: Final = re.compile(r"// ?(CHECK|NEXT): (.*[^\s.].*)")
"""A figure; one of blanks and dots only would be found in any line."""


@attrs.frozen
class GoldenCase:
    """One case: its file, its command as words, its prose, and what its output has to hold."""

    path: Path
    words: tuple[str, ...]
    prose: tuple[str, ...]
    checks: tuple[tuple[str, ...], ...]
    """Each a run of lines that stand one after the other in the output."""

    @classmethod
    def of(cls, path: Path) -> GoldenCase:
        """The case of a file; AssertionError if it does not begin with a command, or if a check checks nothing."""
        lines = path.read_text("utf-8").splitlines()
        most = next((at for at, line in enumerate(lines) if not line.startswith("//")), len(lines))
        command = lines[0].removeprefix("//").strip() if most else ""
        assert command.startswith(_RUN), f"{path.name} has to begin with // RUN: traceir …"
        checks: list[tuple[str, ...]] = []
        prose = []
        for number, line in enumerate(lines[1:], 2):
            found = _CHECK.fullmatch(line) if number <= most else None
            if found is None:
                assert not _MARK.match(line), _checks_nothing(path, number, line, number <= most)
                if number <= most:
                    prose.append(line.removeprefix("//").strip())
            elif found[1] == "CHECK":
                checks.append((found[2],))
            else:
                assert checks, f"Line {number} of {path.name} is a NEXT, and there is no CHECK before it: {line}"
                checks[-1] += (found[2],)
        return cls(path, tuple(shlex.split(command.removeprefix(_RUN))), tuple(prose), tuple(checks))

    def option(self, flag: str, default: str) -> str:
        """The value of a flag of the command, written `--flag value` or `--flag=value`; of several the last."""
        value = default
        for at, word in enumerate(self.words):
            if word == flag and at + 1 < len(self.words):
                value = self.words[at + 1]
            elif word.startswith(f"{flag}="):
                value = word.partition("=")[2]
        return value

    @property
    def printer(self) -> str:
        """The word of the printer."""
        return parse_items(self.option("--emit", "folded"))[0].word

    @property
    def output(self) -> Path:
        """The file of the output."""
        return self.path.with_name(f"{self.path.stem}.out.{_ENDINGS.get(self.printer, 'txt')}")

    def run(self, plugins: Sequence[str | Path] = ()) -> str:
        """What the command prints, run in this process in the folder of the case.

        `plugins` are files that are named to it by `--plugin`. AssertionError unless it succeeds without a word on
        standard error. The version of traceir in JSON is `<version>`.
        """
        from traceir.cli.main import main

        words = [self.path.name if word == "%s" else word for word in self.words]
        more = [word for plugin in plugins for word in ("--plugin", str(Path(plugin).resolve()))]
        # Streams of bytes below, since a page asks its output which characters it can show.
        out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="\n") for _ in range(2))
        with contextlib.chdir(self.path.parent), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main([*words, *more])
        said = _written(err)
        assert (code, said) == (0, ""), f"{self.path.name} exits with {code}: {said}"
        return _written(out).replace(f'"traceir": "{traceir.__version__}"', '"traceir": "<version>"')

    def holds(self, check: Sequence[str], output: str) -> bool:
        """Whether lines of the output hold the parts of a check, one after the other; blanks count as one."""
        lines = [" ".join(line.split()) for line in output.splitlines()]
        parts = [".*".join(re.escape(" ".join(part.split())) for part in line.split("...")) for line in check]
        runs = zip(*(lines[at:] for at in range(len(parts))), strict=False)
        return any(all(map(re.search, parts, run)) for run in runs)


def _checks_nothing(path: Path, number: int, line: str, in_head: bool) -> str:
    mend = (
        "write // CHECK: or // NEXT: , a blank, and what the output has to hold" if in_head else "it has to stand above"
    )
    return f"Line {number} of {path.name} would check nothing, {mend}: {line.strip()}"


def _written(stream: io.TextIOWrapper) -> str:
    stream.seek(0)
    return stream.read()


def golden_cases(folder: str | Path) -> list[Path]:
    """The cases of a folder in order of their names, for `pytest.mark.parametrize`; AssertionError if it has none."""
    folder = Path(folder)
    assert folder.is_dir(), f"There is no folder {folder.absolute()} with goldens."
    found = [path for path in sorted(folder.glob("*.tir")) if ".out." not in path.name]
    assert found, f"The folder {folder.absolute()} holds no case: none of its files is a <name>.tir."
    return found


def assert_golden(path: str | Path, *, update: bool = False, plugins: Sequence[str | Path] = ()) -> str:
    """Fail unless a case prints what stands beside it, and what was worked out by hand; returns the output.

    With `update` the output is written anew first; the checks are never written. An output that is a text has to be
    one that is read, and printed again as it is.
    """
    case = GoldenCase.of(Path(path))
    found = case.run(plugins)
    for check in case.checks:
        assert case.holds(check, found), f"The output of {case.path.name} does not hold {' / '.join(check)}:\n{found}"
    if update:
        case.output.write_text(found, "utf-8", newline="\n")
    assert case.output.exists(), f"The output {case.output.name} is not there; write it with update=True and read it."
    assert found == case.output.read_text("utf-8"), f"{case.output.name} differs from what {case.path.name} prints."
    if case.printer == "tir":
        module = parse(found)
        assert "".join(spell(module)) == found, f"{case.output.name} is read and printed as another text."
        assert_equal(parse(found), module)
    return found


__all__ = ["GoldenCase", "assert_golden", "golden_cases"]
