"""Fitting lines to a width: columns aligned within a section, text cut or wrapped, colour where it is wanted."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import attrs

from traceir.printers.base import Style
from traceir.printers.folded.lines import Line

_KEPT = "\u00a0"
"""A no-break space joins a number and its unit while lines are filled; it is printed as a plain space."""
_ASCII = str.maketrans(
    {"µ": "u", "×": "x", "│": "|", "·": "-", "…": "~", "–": "-", "→": ">", "≥": ">"}
    | dict(zip("▁▂▃▄▅▆▇█", ".:-=+*#@", strict=True))
)
_FIGURE = re.compile(r"[\d.]+ (%|ns|µs|ms|s|B|[KMGT]iB)(?!\w)")
"""A number and its unit, which stay together when a line is wrapped."""
_LABEL_MOST = 40
_LABEL_LEAST = 20
"""A label is cut down to this before columns are left out: most ops' names are shorter."""
_TEXT_LEAST = 24
"""Room for the text at the end of a line, for which columns that give way for it are left out."""
_WORD_LEAST = 4
"""Less room than this for text is not used: it would show nothing but that something was cut."""
_STYLES = {
    "title": "bold",
    "head": "bold cyan",
    "fold": "bold",
    "comm": "yellow",
    "gap": "magenta",
    "note": "dim",
    "warning": "yellow",
    "error": "bold red",
}


def render(lines: Sequence[Line], style: Style) -> Iterator[str]:
    """The lines as text of at most `style.width` columns; sections (between blank lines) align their cells.

    Columns that the width does not hold are left out whole, and a last line names them. Control characters of
    names are printed as escapes: a trace must not be able to move the cursor.
    """
    section: list[Line] = []
    gone: dict[str, None] = {}
    for line in map(_harmless, lines):
        if line.text or line.label or line.cells:
            section.append(line)
            continue
        yield from _section(section, style, gone)
        section = []
        yield ""
    yield from _section(section, style, gone)
    if gone:
        yield ""
        note = f"columns that need more than {style.width} characters: {', '.join(gone)}"
        yield from _section([Line(text=note, look="note", wraps=True)], style, {})


def _harmless(line: Line) -> Line:
    texts = (line.text, line.label, *line.cells)
    if all(text.replace(_KEPT, " ").isprintable() for text in texts):
        return line
    text, label, *cells = (
        "".join(c if c == _KEPT or c.isprintable() else c.encode("unicode_escape").decode() for c in item)
        for item in texts
    )
    return attrs.evolve(line, text=text, label=label, cells=tuple(cells))


def _section(lines: Sequence[Line], style: Style, gone: dict[str, None]) -> Iterator[str]:
    from rich.cells import cell_len

    rows = [line for line in lines if line.cells]
    label = min(max((line.indent + cell_len(line.label) for line in rows), default=0), _LABEL_MOST)
    columns = max((len(line.cells) for line in rows), default=0)
    widths = [max((cell_len(line.cells[i]) for line in rows if i < len(line.cells)), default=0) for i in range(columns)]
    texts = [_is_text(rows, i) for i in range(columns)]
    shown = _that_fit(rows, label, widths, style.width)
    space = style.width - sum(widths[i] + 2 for i in shown)
    label = min(label, max(space, _WORD_LEAST))
    gone.update({name: None for i in range(columns) if i not in shown and (name := _heading(rows, i))})
    for line in lines:
        for text in _fit(line, label, [(i, widths[i], texts[i]) for i in shown], style):
            yield _paint(text.rstrip(), line, style)


def _that_fit(rows: Sequence[Line], label: int, widths: Sequence[int], width: int) -> list[int]:
    """The columns for which there is room beside a label of at least `_LABEL_LEAST`."""
    shown = [i for i, size in enumerate(widths) if size]
    yields = next((line.yields for line in rows if line.yields), ())
    gives = next((line.gives for line in rows if line.yields), 0)
    for i in yields[:gives]:
        if label + sum(widths[k] + 2 for k in shown) + _TEXT_LEAST > width and i in shown:
            shown.remove(i)
    order = [*yields, *(i for i in reversed(range(len(widths))) if i not in yields)]
    least = min(label, _LABEL_LEAST)
    for i in order:
        if least + sum(widths[k] + 2 for k in shown) <= width or len(shown) < 2:
            break
        if i in shown:
            shown.remove(i)
    return shown


def _heading(rows: Sequence[Line], column: int) -> str:
    """What the heading of a table calls a column; empty if nothing does."""
    heads = (line.cells[column] for line in rows if line.look == "note" and column < len(line.cells))
    return next(heads, "")


def _is_text(rows: Sequence[Line], column: int) -> bool:
    """Whether a column holds words rather than numbers (its heading, a note, does not count)."""
    cells = [row.cells[column] for row in rows if column < len(row.cells) and row.look != "note"]
    return any(cell and not cell.lstrip("<-–+×").startswith(tuple("0123456789·")) for cell in cells)


def _fit(line: Line, label: int, columns: Sequence[tuple[int, int, bool]], style: Style) -> Iterator[str]:
    """The texts of one line; `columns` are the shown cells: position, width, and whether they hold words."""
    from rich.cells import cell_len, set_cell_size

    margin = " " * line.indent
    if line.bar:
        margin = margin[: -2 * line.bars] + "│ " * line.bars
    if not line.cells:
        head = margin + line.label + ("  " if line.label and line.text else "")
        yield from _flow(head, line.text, style, wraps=line.wraps)
        return
    name = _cut(margin + line.label, label)
    head = set_cell_size(name, label)
    for i, width, words in columns:
        cell = line.cells[i] if i < len(line.cells) else ""
        space = " " * (width - cell_len(cell))
        head += "  " + (cell + space if words else space + cell)
    yield from _flow(head + "   ", line.text, style, wraps=line.wraps)


def _flow(head: str, text: str, style: Style, *, wraps: bool) -> Iterator[str]:
    from rich.cells import cell_len

    text = _FIGURE.sub(lambda found: found.group().replace(" ", _KEPT), text) if wraps else text
    room = style.width - cell_len(head)
    if not wraps and room < _WORD_LEAST and head.strip():
        yield _cut(head.rstrip(), style.width)
        return
    if not wraps or cell_len(text) <= room:
        yield _cut((head + text).rstrip(), style.width)
        return
    margin = " " * min(len(head) - len(head.lstrip()) + 4, style.width // 2)
    line = head
    for word in text.split(" "):
        if line.strip() and cell_len(line) + cell_len(word) > style.width:
            yield _cut(line.rstrip(), style.width)
            line = margin
        line += word + " "
    yield _cut(line.rstrip(), style.width)


def _cut(text: str, width: int) -> str:
    from rich.cells import cell_len, set_cell_size

    if cell_len(text) <= width:
        return text
    return set_cell_size(text, max(width - 1, 0)).rstrip(" …") + "…"


def _paint(text: str, line: Line, style: Style) -> str:
    text = text.replace(_KEPT, " ")
    if not style.unicode:
        text = text.translate(_ASCII).encode("ascii", "replace").decode()
    name = _STYLES.get(line.look)
    if not style.color or name is None or not text:
        return text
    from rich.style import Style as RichStyle

    return RichStyle.parse(name).render(text)
