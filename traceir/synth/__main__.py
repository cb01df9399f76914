"""The command line of the generator: `python -m traceir.synth --layers 36 --steps 50 --size 1GB -o out.json`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, get_args, get_type_hints

import attrs

from traceir.synth import Decoder, write

_UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "B": 1}


def size(text: str) -> int:
    """A number of bytes such as 300MB, 1GB or 65536; decimal units are powers of 1000."""
    upper = text.strip().upper()
    unit = next((unit for unit in _UNITS if upper.endswith(unit)), "")
    try:
        return round(float(upper.removesuffix(unit)) * _UNITS.get(unit, 1))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no size; write 300MB or 1GB") from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m traceir.synth", description="Write a synthetic decoder trace.")
    parser.add_argument("-o", "--output", required=True, help="the file to write; compressed if it ends in .gz")
    parser.add_argument("--size", type=size, default=0, help="add steps until the text has this many bytes (1GB)")
    parser.add_argument("--truth", help="a JSON file for the truth about the trace")
    hints = get_type_hints(Decoder)
    for field in attrs.fields(Decoder):
        flag, hint = "--" + field.name.replace("_", "-"), hints[field.name]
        text = f"{field.metadata['help']} (default {field.default})"
        common: dict[str, Any] = {"dest": field.name, "default": field.default, "help": text.replace("%", "%%")}
        if hint is bool:
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, **common)
        elif hint in (int, float):
            parser.add_argument(flag, type=hint, **common)
        else:
            words = [
                word for choice in get_args(hint) for word in (get_args(choice) or [choice]) if isinstance(word, str)
            ]
            parser.add_argument(flag, choices=words, **common)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Write a trace as the arguments say; returns the exit code."""
    parser = _parser()
    given = vars(parser.parse_args(arguments))
    output, minimum, truth_file = given.pop("output"), given.pop("size"), given.pop("truth")
    try:
        options = Decoder(**given)
    except ValueError as error:
        parser.error(str(error))
    truth = write(options, output, min_bytes=minimum)
    if truth_file:
        Path(truth_file).write_text(json.dumps(truth.to_json(), indent=1) + "\n", encoding="utf-8")
    per_event = truth.bytes / max(truth.events, 1)
    sys.stderr.write(
        f"{output}: {len(truth.steps)} steps, {truth.events} events, {truth.bytes} bytes ({per_event:.0f} B/event)\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
