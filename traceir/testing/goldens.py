"""Goldens of passes: a module as text, the command that runs over it, and what it prints, as files.

A case `<name>.tir` begins with its command, `// RUN: traceir run --passes <pass> … %s`, where `%s` is the file itself.
The lines of comment after it say in words what the case shows; those that begin with `// CHECK:` are figures worked
out by hand, each a part of one line of the output (`...` stands for anything); `// NEXT:` is one for the line after
it. The whole output stands beside the case in `<name>.out.tir`, `.json` or `.txt`, by the command's printer.
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
        """The case of a file; AssertionError if it does not begin with a command."""
        lines = path.read_text("utf-8").splitlines()
        most = next((at for at, line in enumerate(lines) if not line.startswith("//")), len(lines))
        head = [line.removeprefix("//").strip() for line in lines[:most]]
        assert (head or [""])[0].startswith("RUN: traceir "), f"{path.name} has to begin with // RUN: traceir …"
        checks: list[tuple[str, ...]] = []
        prose = []
        for line in head[1:]:
            if line.startswith("CHECK: "):
                checks.append((line.removeprefix("CHECK: "),))
            elif line.startswith("NEXT: ") and checks:
                checks[-1] += (line.removeprefix("NEXT: "),)
            else:
                prose.append(line)
        return cls(path, tuple(shlex.split(head[0].removeprefix("RUN: traceir "))), tuple(prose), tuple(checks))

    def option(self, flag: str, default: str) -> str:
        """The value of a flag of the command."""
        return self.words[self.words.index(flag) + 1] if flag in self.words else default

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


def _written(stream: io.TextIOWrapper) -> str:
    stream.seek(0)
    return stream.read()


def golden_cases(folder: str | Path) -> list[Path]:
    """The cases of a folder in order of their names, for `pytest.mark.parametrize`."""
    return [path for path in sorted(Path(folder).glob("*.tir")) if ".out." not in path.name]


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
