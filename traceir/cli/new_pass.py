"""`traceir new-pass NAME`: write the skeleton of a pass and its test, which work as they are."""

from __future__ import annotations

import argparse
import importlib.util
import keyword
import re
import shlex
import sys
from importlib import resources
from pathlib import Path
from string import Template
from typing import Final

import attrs

from traceir.errors import UsageError
from traceir.passing import Pass
from traceir.registry import WORDS, Registry

_WORD: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*\Z")
_SHARED: Final = frozenset({"coll", "src", "tree", "extern"})
"""Words before the dot of columns that belong to no single pass."""
_NAMING: Final = '''
    @classmethod
    def name(cls) -> str:
        """The word of the pass in pipelines, which its class does not spell."""
        return "$name"
'''


@attrs.frozen
class _Names:
    """The three spellings of a pass: `slow-copies`, `slow_copies`, `SlowCopies`."""

    word: str

    @property
    def module(self) -> str:
        return self.word.replace("-", "_")

    @property
    def cls(self) -> str:
        return "".join(part.capitalize() for part in self.word.split("-"))


def execute(arguments: argparse.Namespace) -> int:
    """Run the command."""
    names = _Names(arguments.name)
    folder = Path(arguments.into)
    files = folder / f"{names.module}.py", folder / f"test_{names.module}.py"
    _check_word(names, Registry.installed())
    for file in files:
        if file.exists():
            raise UsageError(f"The file {file} exists already; choose another name, or another folder with --into.")
    _check_module(names)
    _write(dict(zip(files, _texts(names, files[1].name), strict=True)))
    run = ["traceir", "run", "--plugin", str(files[0]), "--passes", names.word, "trace.json.gz"]
    print(f"Wrote {files[0]} and {files[1]}. To run the pass, and to test it:\n")
    print(f"  {shlex.join(run)}")
    print(f"  {shlex.join(['python', '-m', 'pytest', str(files[1])])}")
    return 0


def _check_word(names: _Names, known: Registry) -> None:
    """Refuse a name that is no word of a pipeline, or that means something in one already."""
    word = names.word
    if not _WORD.match(word):
        raise UsageError(
            f"The name {word!r} cannot be that of a pass: it has to be lower-case letters and digits from a letter on, "
            "in parts joined by single hyphens, such as slow-copies."
        )
    for group in ("passes", "pipelines"):
        if word in known.entries[group]:
            entry = known.entries[group][word]
            raise UsageError(
                f"There is a {WORDS[group]} {word!r} already, which {entry.provider} brings; choose another name."
            )
    if ("passes", word) in known.contested:
        raise UsageError(known.contested["passes", word])
    if word in _SHARED:
        raise UsageError(f"The columns {word}.* are shared by several passes; choose another name for yours.")


def _check_module(names: _Names) -> None:
    """Refuse a name whose file Python could not import, or would import in place of another."""
    if keyword.iskeyword(names.module):
        raise UsageError(f"The name {names.word!r} is a word of Python itself; choose another name.")
    if names.module in sys.stdlib_module_names or importlib.util.find_spec(names.module) is not None:
        raise UsageError(
            f"The file {names.module}.py would hide the Python module {names.module}, which is installed; "
            "choose another name."
        )


def _texts(names: _Names, test_file: str) -> tuple[str, str]:
    """The text of the pass and of its test."""
    spelled: type[Pass] = type(names.cls, (Pass,), {})
    values = {"name": names.word, "module": names.module, "cls": names.cls, "test_file": test_file}
    values["naming"] = Template(_NAMING).substitute(values) if spelled.name() != names.word else ""
    folder = resources.files("traceir.cli").joinpath("skeleton")
    one, two = (Template(folder.joinpath(f"{name}.txt").read_text("utf-8")) for name in ("pass", "test"))
    return one.substitute(values), two.substitute(values)


def _write(texts: dict[Path, str]) -> None:
    """Write new files; what cannot be written is a sentence."""
    try:
        for path, text in texts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8", newline="\n") as file:
                file.write(text)
    except OSError as error:
        raise UsageError(f"The file {path} cannot be written: {error.strerror or error}.") from error
