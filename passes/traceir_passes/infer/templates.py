"""Template arguments of kernels' names: of demangled ones as they stand, of mangled ones by reading them."""

from __future__ import annotations

import contextlib
import re
from typing import Final

from traceir_passes.infer.mangled import CutError, skip

_CAST: Final = re.compile(r"\((?:unsigned |signed )?(?:int|long|short|char|bool)(?: long)?\)(?=-?\d)")
_SUFFIX: Final = re.compile(r"(?<=\d)(?:ull|ul|u|ll|l)\b")
_CONSTANT: Final = re.compile(r"(?:cute::)?C<\s*(\d+)\s*>|(?:cute::)?\b_(\d+)\b|Int<\s*(\d+)\s*>")
_OPEN, _CLOSE = "<({[", ">)}]"

_BUILTIN: Final = {
    "v": "void", "b": "bool", "c": "char", "a": "signed char", "h": "unsigned char", "s": "short",
    "t": "unsigned short",
    "i": "int", "j": "unsigned int", "l": "long", "m": "unsigned long", "x": "long", "y": "unsigned long", "f": "float",
    "d": "double", "w": "wchar_t", "n": "__int128", "o": "unsigned __int128", "e": "long double", "g": "__float128",
}  # fmt: skip
_SUBSTITUTION: Final = re.compile(r"S[0-9A-Z]*_|S[abiosd]|T[0-9A-Z]*_")

ELEMENTS: Final[dict[str, str]] = {
    **dict.fromkeys(("float", "float32", "f32", "fp32"), "fp32"),
    **dict.fromkeys(("double", "f64", "fp64"), "fp64"),
    **dict.fromkeys(("half", "__half", "Half", "half_t", "_Float16", "float16", "f16", "fp16"), "fp16"),
    **dict.fromkeys(
        (
            "BFloat16", "__nv_bfloat16", "nv_bfloat16", "__hip_bfloat16", "hip_bfloat16", "bfloat16_t", "bfloat16",
            "Bfloat16", "__bf16", "bf16", "bf16_t",
        ),
        "bf16",
    ),
    **dict.fromkeys(("tfloat32_t", "tf32"), "tf32"),
    **dict.fromkeys(
        (
            "Float8_e4m3fn", "Float8_e4m3fnuz", "Float8_e5m2", "Float8_e5m2fnuz", "__nv_fp8_e4m3", "__nv_fp8_e5m2",
            "__hip_fp8_e4m3", "__hip_fp8_e4m3_fnuz", "__hip_fp8_e5m2", "float_e4m3_t", "float_e5m2_t", "float_ue8m0_t",
            "e4m3", "e5m2", "E4m3", "E5m2", "f8", "f8e4m3", "f8e5m2", "fp8", "rccl_float8", "rccl_bfloat8",
        ),
        "fp8",
    ),
    **dict.fromkeys(("float_e2m1_t", "E2m1", "__nv_fp4_e2m1", "fp4"), "fp4"),
    **dict.fromkeys(("MxE4m3", "mxfp8"), "mxfp8"), **dict.fromkeys(("MxE2m1", "mxfp4"), "mxfp4"),
    **dict.fromkeys(("int8_t", "signed char", "s8", "i8", "int8"), "int8"),
}  # fmt: skip
"""Element types by their spellings in names. Bytes (`unsigned char`) hold all kinds of numbers: they tell none."""
INTEGERS: Final = {
    "int": "int32", "int32_t": "int32", "long": "int64", "long long": "int64", "int64_t": "int64", "short": "int16",
    "bool": "bool", "unsigned int": "uint32", "unsigned long": "uint64",
}  # fmt: skip
"""Types that are elements where a template's first parameter is known to be one, else as often of indices."""
WHOLE: Final = frozenset({*INTEGERS, "char", "unsigned char", "uint8_t"})


def signature(name: str) -> str:
    """A name whose templates can be read: mangled ones are written out, casts and suffixes of numbers dropped."""
    text = written(name) if name.startswith(("_Z", "__Z")) else name
    return _SUFFIX.sub("", _CAST.sub("", text))


def arguments(text: str, word: str) -> list[str]:
    """The template arguments of the first `word<…>` in a signature; of a cut one those whose beginning is whole."""
    found = re.search(rf"(?<!\w){word}\s*<", text)
    return _split(text, found.end()) if found else []


def _split(text: str, start: int) -> list[str]:
    """The parts between commas from `start` to the bracket that closes what was opened before it."""
    out: list[str] = []
    depth, begin = 0, start
    for at in range(start, len(text)):
        char = text[at]
        if char in _OPEN:
            depth += 1
        elif char in _CLOSE and not (char == ">" and text[at - 1] == "-"):
            if depth == 0:
                out.append(text[begin:at].strip())
                return [part for part in out if part]
            depth -= 1
        elif char == "," and depth == 0:
            out.append(text[begin:at].strip())
            begin = at + 1
    if depth:  # cut off inside the last part, of which the beginning is whole
        out.append(text[begin:].strip())
    return [part for part in out if part]


def element(text: str, whole: bool = False) -> str:
    """The element type that an argument names, in short; empty if it names none. `whole` takes integers too."""
    plain = text.strip(" *&").removesuffix(" const").removeprefix("const ").strip(" *&")
    short = ELEMENTS.get(plain.rpartition("::")[2], "")
    return short or (INTEGERS.get(plain, "") if whole else "")


def first_element(parts: list[str]) -> str:
    """The first element type in template arguments, looked for inside them too; empty if an integer comes first.

    An integer there is as often the type of an index or a size as that of an element.
    """
    found = _first(parts)
    return "" if found in WHOLE else found


def _first(parts: list[str]) -> str:
    for part in parts:
        short = element(part)
        if short:
            return short
        if part in WHOLE:
            return part
        head, bracket, _ = part.partition("<")
        if bracket and "(" not in head:
            inner = _first(_split(part, len(head) + 1))
            if inner:
                return inner
    return ""


def sizes(text: str) -> list[int]:
    """The numbers of a tuple such as `cute::tuple<cute::C<128>, cute::C<64>>`; empty if one of them is none."""
    plain = _CONSTANT.sub(lambda match: next(group for group in match.groups() if group), text)
    found = re.search(r"(?:tuple|Shape|sequence)\s*<([\d\s,]+)>", plain)
    return [int(number) for number in found[1].split(",")] if found else []


def written(name: str) -> str:
    """A mangled function's name with its template arguments, without parameters; what was read of a cut one.

    Substitutions and expressions, which no reader of attributes needs, are written `_`. O(length).
    """
    reader = _Reader(name, 3 if name.startswith("__Z") else 2)
    with contextlib.suppress(CutError, RecursionError, IndexError):
        reader.named()
    return "".join(reader.out)


class _Reader:
    """Reads the name of a function from a mangled text and writes it out."""

    def __init__(self, text: str, at: int) -> None:
        self.text, self.at = text, at
        self.out: list[str] = []

    def named(self) -> None:
        """A nested name, or one word with its arguments."""
        if self.text[self.at] == "N":
            self._nested()
            return
        while self.text[self.at] in "L":
            self.at += 1
        self._word()
        if self.text[self.at] == "I":
            self._list("<", ">")

    def _nested(self) -> None:
        self.at += 1
        first = True
        while self.text[self.at] != "E":
            char = self.text[self.at]
            if char in "KVrL":
                self.at += 1
                continue
            if char == "I":
                self._list("<", ">")
                continue
            known = _SUBSTITUTION.match(self.text, self.at)
            if known:
                self.at = known.end()
                self.out.append("_" if not first else "")
                continue
            if not first:
                self.out.append("::")
            if self.text.startswith("St", self.at):
                self.out.append("std")
                self.at += 2
            elif char.isdigit():
                self._word()
            elif char in "CD" and self.text[self.at + 1 : self.at + 2].isdigit():
                self.at += 2
            else:
                raise CutError
            first = False
        self.at += 1

    def _word(self) -> None:
        found = re.compile(r"\d+").match(self.text, self.at)
        if found is None:
            raise CutError
        end = found.end() + int(found[0])
        if end > len(self.text):
            raise CutError
        word = self.text[found.end() : end]
        self.out.append("anonymous" if word.startswith("_GLOBAL__N_") else word)
        self.at = end

    def _list(self, opens: str, closes: str) -> None:
        self.at += 1
        self.out.append(opens)
        first = True
        while self.text[self.at] != "E":
            if not first:
                self.out.append(", ")
            first = False
            self._argument()
        self.at += 1
        self.out.append(closes)

    def _argument(self) -> None:
        char = self.text[self.at]
        if char in "PROKVr":
            self.at += 1
            self._argument()
        elif char in "LJIXFM":
            self._no_type(char)
        else:
            self._type(char)

    def _no_type(self, char: str) -> None:
        """A literal, a pack, or what is left out."""
        if char == "L":
            self._literal()
        elif char in "JI":
            self._list("", "")
        else:
            self.out.append("_")
            self.at = skip(self.text, self.at)

    def _type(self, char: str) -> None:
        if char == "N":
            self._nested()
        elif char == "D":
            self._float()
        elif self.text.startswith("St", self.at) or char == "u" or char.isdigit():
            self.out.append("std::" if char == "S" else "")
            self.at += {"S": 2, "u": 1}.get(char, 0)
            self._word()
            self._own_list()
        elif (known := _SUBSTITUTION.match(self.text, self.at)) is not None:
            self.out.append("_")
            self.at = known.end()
            self._own_list()
        elif char in _BUILTIN:
            self.out.append(_BUILTIN[char])
            self.at += 1
        else:
            raise CutError

    def _float(self) -> None:
        found = re.compile(r"DF\d+(b|_|x)").match(self.text, self.at)
        if found is None:
            raise CutError
        self.out.append("__bf16" if found[1] == "b" else "_Float16")
        self.at = found.end()

    def _own_list(self) -> None:
        if self.text[self.at] == "I":
            self._list("<", ">")

    def _literal(self) -> None:
        end = skip(self.text, self.at)
        inner = self.text[self.at + 1 : end - 1]
        found = re.search(r"(n?)(\d+)\Z", inner)
        value = f"{'-' if found[1] else ''}{found[2]}" if found and not inner.startswith("_Z") else "_"
        self.out.append({"b0": "false", "b1": "true"}.get(inner, value))
        self.at = end
