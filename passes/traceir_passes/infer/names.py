"""Names of device work: from what a profiler recorded to the path that role rules are matched against."""

from __future__ import annotations

import functools
import re
from typing import Final

import attrs

from traceir_passes.infer.mangled import demangled_path

_CLONE: Final = re.compile(r"\s*\[(?:clone|with)\b.*\Z|\.(?:kd|cubin)\Z|\s+const\Z", re.DOTALL)
_ANONYMOUS: Final = re.compile(r"\(anonymous namespace\)|<unnamed>|\(anonymous class\)|`anonymous namespace'")
_OPERATOR: Final = re.compile(r"\boperator ?(?:\(\)|\[\]|<=>|<<=?|>>=?|<=|>=|->\*?|<|>)")
_ASCEND: Final = re.compile(r"aclnn[A-Z0-9]\w*?_\w+?_([A-Z]\w*?)(?:_|\Z)")
_TAIL: Final = re.compile(r"\s+(?:const|noexcept|volatile|&&?)\Z")
_CLOSES: Final = {")": "(", ">": "<", "}": "{", "]": "["}


@attrs.frozen
class KernelName:
    """A recorded name and what its text says: `path` (`vllm::rms_norm_kernel`), `leaf` (`rms_norm_kernel`).

    `whole` is the name as recorded, in which wrappers (kernels that are all in their template arguments) are
    looked into.
    """

    whole: str
    path: str

    @property
    def leaf(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("::")[2]

    @property
    def scope(self) -> str:
        """The path without its leaf, empty if it has one part only."""
        return self.path.rpartition("::")[0]


@functools.lru_cache(maxsize=1 << 12)
def parse(name: str) -> KernelName:
    """Read a kernel's name: without return type, template arguments, parameters, clone suffixes. O(length).

    Mangled names are read as far as their length-prefixed path goes; anonymous namespaces, lambdas and
    operators become plain words before brackets are matched, and `<` or `>` inside parentheses are no brackets.
    A name cut off inside a bracket keeps what stands before it. Ascend's `aclnn<Api>_<Kernel>_<Type>` is its type.
    """
    text = name.strip()
    while text != (shorter := _CLONE.sub("", text)):
        text = shorter
    if text.startswith(("_Z", "__Z")):
        return KernelName(name, demangled_path(text) or text)
    ascend = _ASCEND.match(text)
    if ascend:
        return KernelName(name, ascend[1])
    if "(" not in text and "<" not in text:
        return KernelName(name, text.removeprefix("void "))
    return KernelName(name, _path(_OPERATOR.sub("operator_call", _ANONYMOUS.sub("anonymous", text))) or text)


def _path(text: str) -> str:
    """The last blank-separated word of a signature from which everything in brackets is removed."""
    out: list[str] = []
    stack: list[str] = []
    plain = False
    for at, char in enumerate(text):
        if char in _CLOSES:
            if stack and stack[-1] == _CLOSES[char] and not (char == ">" and text[at - 1] == "-"):
                stack.pop()
            continue
        if char in "{[" and not stack:
            out.append("lambda")
        if char in "([{" or (char == "<" and (not stack or stack[-1] == "<")):
            # "Memcpy DtoH (Device -> Pinned)": a parameter list stands right behind a name, a remark does not.
            plain = plain or (char == "(" and not stack and at > 0 and text[at - 1] == " ")
            stack.append(char)
        elif not stack:
            out.append(char)
    left = "".join(out).strip()
    while left != (shorter := _TAIL.sub("", left)):
        left = shorter
    if plain:
        return left
    return left.rpartition(" ")[2].removeprefix("::")
