"""Reports in the profiler's own binary form: its own exporter reads them, if it is installed."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
import weakref
from typing import Final

from traceir.errors import InputError

ENDINGS: Final = (".nsys-rep", ".qdrep")
_LONGEST_S: Final = 3600
"""An export of tens of GB takes minutes; one that takes an hour hangs."""


class Exported:
    """A file in a temporary folder of its own, which is removed when nobody holds this object any more."""

    def __init__(self) -> None:
        folder = tempfile.mkdtemp(prefix="traceir-")
        self.path = os.path.join(folder, "report.sqlite")
        self.remove = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)


def export(path: str) -> Exported:
    """Export a report to SQLite; InputError if that fails. The program `nsys` of the PATH does it, and no other."""
    program = shutil.which("nsys")
    wanted = os.path.splitext(path)[0] + ".sqlite"
    command = f"nsys export --type=sqlite --output={shlex.quote(wanted)} {shlex.quote(path)}"
    if program is None:
        raise InputError(
            f"The input {path} is a report of Nsight Systems, which only its own exporter reads, and nsys is not on "
            f"the PATH; run it where the profiler is installed ({command}) and read {wanted}."
        )
    made = Exported()
    try:
        done = subprocess.run(
            [program, "export", "--type=sqlite", f"--output={made.path}", "--force-overwrite=true",
             os.path.abspath(path)], stdin=subprocess.DEVNULL, capture_output=True, timeout=_LONGEST_S, check=False,
        )  # fmt: skip
        words = (done.stderr + b"\n" + done.stdout).decode("utf-8", "replace").split("\n")
        said = next((line.strip() for line in words if line.strip()), f"exit code {done.returncode}")
    except (OSError, subprocess.TimeoutExpired) as error:
        made.remove()
        raise InputError(f"The input {path} cannot be exported by {program} ({error}); try: {command}.") from error
    if done.returncode or not os.path.exists(made.path):
        made.remove()
        raise InputError(f"The input {path} cannot be exported by {program} ({said[:200]}); try: {command}.")
    return made
