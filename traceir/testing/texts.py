"""Texts that break printers and parsers, words, and values that a file says of itself."""

from __future__ import annotations

from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

PLAIN: Final = ("a", "b", "gemm", "layer.3", "aten::add", "ncclDevKernel_AllReduce_Sum_bf16_RING_LL")
"""Names as traces have them."""

HOSTILE: Final = (
    # what ends or escapes a string
    "", " ", " a ", '"', "'", '"""', 'a b"c', "\\", "\\\\", 'a\\"', "\\n", "\\u0041", "\\ud800",
    # what ends a line or a block
    "\n", "\r", "\r\n", "a\nb", "\t", "\v", "\x85", "\u2028", "\u2029", "//", "a // b", "/* a */", "#[a]", "}", "{",
    "{a=1};", ";", ",", "a, b", "a+b", "=", ":", "(", ")]", "[0 +1]",
    # what means something elsewhere
    "%1", "%1:2", "@gpu0.s7", "<-", "->", "in %0", "null", "none", "true", "nan", "-0.0", "0", "-1", "module", "extern",
    # what terminals and encodings trip over
    "\0", "\x1b[31m", "\x7f", "\x80", "\ufeff", "\ufffe", "\uffff", "\U0010ffff", "\u200b", "\u202e", "\u00e9",
    "e\u0301", "\u6838", "\U0001f600", "\ud800", "\udfff", "a\udc80", "\ud83d\ude00",
    # what is long or nested
    "void at::native::vectorized_elementwise_kernel<4, at::native::CUDAFunctor_add<float>, std::array<char*, 3ul> >"
    "(int, at::native::CUDAFunctor_add<float>, std::array<char*, 3ul>)",
    "std::map<std::pair<int, T>, std::vector<U>>::operator<<", "<lambda(){ return 1; }>", "a" * 300,
)  # fmt: skip
"""Texts that have to survive whatever is done with names; lone surrogates and non-characters are among them."""

_ALPHABET: Final = "ab0_.-%@:;,=\"'\\/{}()[]<>+#\n\t\0 é核\ud800"


def plain_texts() -> SearchStrategy[str]:
    """Harmless names, for tests that are about something else."""
    return _PLAIN


def texts() -> SearchStrategy[str]:
    """Any string that Python can hold, hostile ones often; shrinks to `a`."""
    return _TEXTS


def names() -> SearchStrategy[str]:
    """Identifiers such as `dead_gaps`: lower case, digits, underscores."""
    return _NAMES


def words() -> SearchStrategy[str]:
    """Words of passes such as `dead-gaps`: lower case, digits, single dashes between them."""
    return _WORDS


def json_values(text: SearchStrategy[str] | None = None) -> SearchStrategy[Any]:
    """What a decoded JSON document may hold, nested a little: integers of any size, no NaN, no infinity."""
    return _JSON if text is None else _json(text)


def _json(text: SearchStrategy[str]) -> SearchStrategy[Any]:
    text = text.map(_paired)
    leaves = st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-3, 3),
        text,
        st.sampled_from((2**63, 2**64, -(2**63) - 1, 10**40)),
        st.integers(-(2**80), 2**80),
        st.floats(allow_nan=False, allow_infinity=False),
    )
    return st.recursive(
        leaves,
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(text, inner, max_size=3)),
        max_leaves=5,
    )


def _paired(text: str) -> str:
    """A text in which two halves of a pair are one character, as every decoder of JSON makes them."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


_PLAIN = st.sampled_from(PLAIN)
_TEXTS = st.one_of(
    st.sampled_from(PLAIN),
    st.sampled_from(HOSTILE),
    st.sampled_from(HOSTILE),
    st.text(_ALPHABET, max_size=6),
    st.text(st.characters(exclude_categories=()), max_size=4),
)
_NAMES = st.one_of(
    st.sampled_from(("a", "exposed", "kind", "name", "live", "a1_b", "x_", "null", "true")),
    st.from_regex(r"[a-z][a-z0-9_]{0,5}", fullmatch=True),
)
_WORDS = st.one_of(
    st.sampled_from(("x", "overlap", "dead-gaps", "what-if", "a-1-b", "event", "pass")),
    st.from_regex(r"[a-z][a-z0-9]{0,3}(-[a-z0-9]{1,3}){0,2}", fullmatch=True),
)
_JSON = _json(_TEXTS)
