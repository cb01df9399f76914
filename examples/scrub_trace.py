"""Take out of a PyTorch trace what names a machine, a person or a folder, and leave everything else as captured.

    python scrub_trace.py trace.json scrubbed.json.gz

- `host_name` and `traceName` become fixed words,
- the folder in the file name of a Python frame goes: `…/site-packages/torch/nn/modules/module.py(1779): _call_impl`
  becomes `torch/nn/modules/module.py(1779): _call_impl`, files of the standard library become `lib/<file>`, and any
  other absolute path keeps its file name alone,
- addresses of objects in frame names (`at 0x7f…`) become `at 0x0`: they mean nothing outside the process.
"""

from __future__ import annotations

import gzip
import json
import re
import sys
from pathlib import Path

_FRAME = re.compile(r'("name":\s*")((?:[^"\\]|\\.)*?\.py\(\d+\): )')


def scrub(text: str) -> str:
    """The text of a trace without what names its origin; all else stays to the byte. Raises ValueError if not JSON."""
    text = re.sub(r'("host_name":\s*)"[^"]*"', r'\1"host"', text)
    text = re.sub(r'("traceName":\s*)"[^"]*"', r'\1"decoder.pt.trace.json"', text)
    text = re.sub(r" at 0x[0-9a-fA-F]+", " at 0x0", text)
    text = _FRAME.sub(lambda match: match[1] + _short(match[2]), text)
    json.loads(text)
    return text


def _short(place: str) -> str:
    """The place of a frame without the folders that only one machine has."""
    for marker in ("/site-packages/", "/dist-packages/"):
        if marker in place:
            return place.rpartition(marker)[2]
    library = re.search(r"/python3\.\d+/", place)
    if library:
        return "lib/" + place[library.end() :]
    return place.rpartition("/")[2] if place.startswith("/") else place


def write_scrubbed(text: str, target: Path) -> None:
    """Write the scrubbed text to a .json.gz file; the same text gives the same bytes."""
    with target.open("wb") as file, gzip.GzipFile("", "wb", 9, file, mtime=0) as packed:
        packed.write(scrub(text).encode())


def main(arguments: list[str]) -> int:
    """Scrub the first file into the second."""
    if len(arguments) != 2:
        print("usage: python scrub_trace.py TRACE.json[.gz] SCRUBBED.json.gz", file=sys.stderr)
        return 2
    source = Path(arguments[0])
    raw = source.read_bytes()
    write_scrubbed((gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode("utf-8"), Path(arguments[1]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
