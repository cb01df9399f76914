"""The role of each row of device work, while name, launch and neighbours are asked in turn."""

from __future__ import annotations

from typing import Any, Final

import attrs
import numpy as np
import numpy.typing as npt

import traceir as tir
from traceir.ir import NULL_U32
from traceir_passes.infer import context, launching, operands, symbols
from traceir_passes.infer.attributes import read
from traceir_passes.infer.classes import CLASSES, OP_KINDS, ROLES, class_of, op_kind_of
from traceir_passes.infer.names import parse
from traceir_passes.infer.rules import UNKNOWN, RoleTable
from traceir_passes.infer.stated import COLUMNS, DTYPE, SHAPE

BASES: Final = ("measured", "derived", "guessed")
STEPS: Final = ("", "pow", "mean", "rsqrt")
PARTS: Final = ("rmsnorm", "attention")
FALLBACK: Final = {"pow": "elementwise", "mean": "reduce", "rsqrt": "elementwise"}
"""What a step of a norm is where it stands in no chain."""
NAMES: Final = tuple(ROLES)
CODE: Final = {role: code for code, role in enumerate(NAMES)}
_BY_KIND: Final = {"dev.memcpy": "memcpy", "dev.memset": "memset", "dev.graph": UNKNOWN}
Ints = npt.NDArray[Any]


@attrs.define(eq=False)
class Verdicts:
    """One entry per row of device work: `rows` (ascending), codes of `NAMES`, `BASES`, `STEPS`, `PARTS` (-1 none)."""

    rows: Ints
    names: Ints
    role: Ints
    basis: Ints
    step: Ints
    part: Ints

    @classmethod
    def of(cls, module: tir.Module, rules: RoleTable) -> Verdicts:
        """What the names say, each distinct one read once; copies, memsets and opaque graphs are known by kind."""
        rows = np.flatnonzero(module.work)
        names = module["name"][rows]
        distinct, inverse = np.unique(names, return_inverse=True)
        told = [rules.classify(module.strings[code]) for code in distinct.tolist()]
        role = np.array([CODE[verdict.role] for verdict in told], np.int16)[inverse]
        basis = np.array([BASES.index(verdict.basis) for verdict in told], np.int16)[inverse]
        step = np.array([STEPS.index(verdict.part) for verdict in told], np.int16)[inverse]
        for kind, fixed in _BY_KIND.items():
            chosen = module.is_kind(kind)[rows]
            role[chosen], basis[chosen], step[chosen] = CODE[fixed], 0, 0
        return cls(rows, names, role, basis, step, np.full(len(rows), -1, np.int16))

    def ask_launches(self, module: tir.Module, rules: RoleTable) -> None:
        """Ask the launching side where the name says nothing or only hints (a small part of the rows)."""
        doubtful = (self.role == CODE[UNKNOWN]) | (self.basis == BASES.index("guessed"))
        positions = np.flatnonzero(doubtful & module.is_kind("dev.kernel")[self.rows])
        told = launching.ask(module, self.rows[positions], rules)
        said = told.role >= 0
        self.role[positions[said]] = told.role[said]
        self.basis[positions[said]] = np.where(told.derived[said], BASES.index("derived"), BASES.index("guessed"))

    def ask_optimizers(self, module: tir.Module) -> None:
        """Kernels over lists of tensors are the optimizer's where an optimizer step launched them."""
        lists = np.zeros(len(module.strings) + 1, bool)
        for code in np.unique(self.names).tolist():
            lists[code] = parse(module.strings[code]).leaf == "multi_tensor_apply_kernel"
        chosen = np.flatnonzero(lists[self.names] & (self.role == CODE["elementwise"]))
        inside = chosen[launching.inside_optimizer(module, self.rows[chosen])]
        self.role[inside], self.basis[inside] = CODE["optimizer"], BASES.index("derived")

    def ask_neighbours(self, module: tir.Module, window: int) -> None:
        """Resolve the steps of unfused norms, and mark what belongs to one or to an unfused attention."""
        lane = module["lane"][self.rows]
        order = np.lexsort((module["ts"][self.rows], lane))
        order = order[module.is_kind("dev.kernel")[self.rows[order]]]
        steps, inside = context.norm_chains(self.step[order], lane[order], window)
        self.part[order[inside]] = PARTS.index("rmsnorm")
        self.role[order[steps]], self.basis[order[steps]] = CODE["norm"], BASES.index("derived")
        for step, fallback in FALLBACK.items():
            alone = (self.role == CODE["norm-part"]) & (self.step == STEPS.index(step))
            self.role[alone] = CODE[fallback]
        attention = context.unfused_attention(self.role[order], lane[order])
        self.part[order[attention]] = PARTS.index("attention")

    def write(self, module: tir.Module, *, ask_operators: bool) -> tir.Module:
        """The module with the verdicts as columns, null for all that is no device work.

        With `ask_operators` the arguments of the operators that launched products are decoded.
        """
        of_class = np.array([CLASSES.index(class_of(role)) for role in NAMES], np.int16)
        basis = np.where(self.role == CODE[UNKNOWN], np.int16(-1), self.basis)
        enums = {"infer.class": of_class[self.role], "infer.op_kind": self._op_kinds(module), "infer.basis": basis}
        module = module.with_columns({name: self._spread(len(module), values) for name, values in enums.items()})
        names, inverse = np.unique(self.names, return_inverse=True)
        short = [symbols.symbol(module.strings[code]) for code in names.tolist()]
        for name, texts, codes in (
            ("infer.role", NAMES, self.role),
            ("infer.symbol", short, inverse),
            ("infer.part", PARTS, self.part),
        ):
            used = np.zeros(len(texts) + 1, bool)
            used[codes] = True
            strings, pool = module.strings.encode(
                [text if use else None for text, use in zip(texts, used, strict=False)]
            )
            module = module.with_strings(strings)
            module = module.with_columns({name: self._spread(len(module), np.append(pool, np.int32(-1))[codes])})
        return self._attributes(module, names, inverse, ask_operators=ask_operators)

    def _attributes(self, module: tir.Module, names: Ints, inverse: Ints, *, ask_operators: bool) -> tir.Module:
        """The module with what the names state, each distinct one read once, and with what operators tell of products.

        The operator is asked for the type only where the name does not state it.
        """
        stated = [read(module.strings[code]).items for code in names.tolist()]
        place, told = self._operands(module, ask_operators=ask_operators)
        for column in COLUMNS:
            values = [item.get(column.name.partition(".")[2]) for item in stated]
            if column.dtype != "str":
                spread = np.full(len(module), NULL_U32, np.uint32)
                spread[self.rows] = np.array([NULL_U32 if value is None else value for value in values])[inverse]
                module = module.with_columns({column.name: spread})
                continue
            strings, codes = module.strings.encode([None if value is None else str(value) for value in values])
            of_rows = codes[inverse]
            if column.name == DTYPE:
                strings, types = strings.encode([item.dtype or None for item in told])
                of_rows = np.where(of_rows < 0, np.append(types, np.int32(-1))[place], of_rows)
            module = module.with_strings(strings).with_columns({column.name: self._spread(len(module), of_rows)})
        strings, shapes = module.strings.encode([item.shape or None for item in told])
        of_rows = np.append(shapes, np.int32(-1))[place]
        return module.with_strings(strings).with_columns({SHAPE.name: self._spread(len(module), of_rows)})

    def _operands(self, module: tir.Module, *, ask_operators: bool) -> tuple[Ints, list[operands.Operands]]:
        """For each row the place in the list of what is known of the product that it computes, -1 for nothing."""
        place, told = np.full(len(self.rows), -1, np.int64), list[operands.Operands]()
        products = np.flatnonzero((self.role == CODE["gemm"]) & module.is_kind("dev.kernel")[self.rows])
        for source in (operands.of_launches,) * ask_operators + (operands.of_captures,):
            places, found = source(module, self.rows[products])
            has = np.append(np.array([bool(item.shape) for item in found], bool), False)[places]
            place[products[places >= 0]] = places[places >= 0] + len(told)
            told += found
            products = products[~has]
        return place, told

    def _op_kinds(self, module: tir.Module) -> Ints:
        pairs = self.names.astype(np.int64) * len(NAMES) + self.role
        distinct, inverse = np.unique(pairs, return_inverse=True)
        kinds = [
            OP_KINDS.index(op_kind_of(NAMES[pair % len(NAMES)], module.strings[pair // len(NAMES)]))
            for pair in distinct.tolist()
        ]
        return np.array(kinds, np.int16)[inverse]

    def _spread(self, length: int, values: Ints) -> Ints:
        out = np.full(length, -1, values.dtype)
        out[self.rows] = values
        return out
