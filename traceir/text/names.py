"""Growing pools of names, and what to say of a name that is not among them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

import attrs


@attrs.define(eq=False)
class Names:
    """Texts with their codes, in the order in which they are first met."""

    codes: dict[str, int] = attrs.field(factory=dict)

    @classmethod
    def of(cls, texts: Iterable[str]) -> Names:
        """The pool of some distinct texts."""
        return cls({text: code for code, text in enumerate(texts)})

    def code(self, text: str) -> int:
        """The code of a text, which is new if the text is."""
        return self.codes.setdefault(text, len(self.codes))

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def texts(self) -> tuple[str, ...]:
        """All texts in the order of their codes."""
        return tuple(self.codes)


def suggestion(name: str, known: Iterable[str], *, sigil: str = "") -> str:
    """`; did you mean a or b?`-like words for a name that is not known, or what there is."""
    known = list(known)
    close = [f"{sigil}{one}" for one in nearest(name, known)]
    if close:
        return f"; did you mean {' or '.join(close)}?"
    if not known:
        return "; there are none."
    return f"; there are {', '.join(f'{sigil}{one}' for one in known[:8])}{' …' if len(known) > 8 else ''}."


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """The names most like one that is not known, best first; none if none is like it."""
    return difflib.get_close_matches(name, list(known), 3, 0.6)
