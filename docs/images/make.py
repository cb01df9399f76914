"""Draw the README's picture: the folded page of an example, exactly as a terminal shows it, as an SVG.

Usage: python docs/images/make.py
"""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console
from rich.text import Text

import traceir as tir
from traceir.printers import InputInfo, Result, Style
from traceir.printers.folded import Folded

ROOT = Path(__file__).resolve().parent.parent.parent
EXAMPLE = "examples/decoder_tp8_graph.json.gz"
WIDTH = 110
# As rich's own template, without the web fonts: a picture in a repository should load nothing.
FORMAT = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width; }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
{styles}
</style>
<defs><clipPath id="{unique_id}-clip-terminal"><rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>{lines}</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}<g class="{unique_id}-matrix">{matrix}</g></g></svg>
"""


def main() -> None:
    """Run the pipeline of the README and write `folded.svg` beside this file."""
    path = ROOT / EXAMPLE
    module = tir.load(path)
    manager = tir.PassManager.parse("group,overlap")
    after = manager.run(module)
    out = io.StringIO()
    result = Result(after, manager.reports(after), (InputInfo(EXAMPLE, "kineto", len(module)),))
    Folded().write(result, out, Style(WIDTH, color=True))
    text = f"$ traceir run --passes group,overlap {EXAMPLE}\n\n" + out.getvalue().rstrip()
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(text), soft_wrap=False, overflow="crop")
    console.save_svg(
        str(Path(__file__).with_name("folded.svg")), title="traceir", code_format=FORMAT, unique_id="traceir"
    )


if __name__ == "__main__":
    main()
