"""The module: a trace as immutable tables of columns, which passes turn into new modules that share them."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
import numpy as np
import numpy.typing as npt

from traceir.errors import SchemaError
from traceir.ir.access import Access, NoColumnError
from traceir.ir.annotation import PassRecord, Written
from traceir.ir.callers import Callers
from traceir.ir.column import Array, Column, Ints, Mask, Rows
from traceir.ir.health import Finding
from traceir.ir.kinds import work_kinds
from traceir.ir.lanes import ACCELERATORS, Lane
from traceir.ir.source import Source
from traceir.ir.strings import Strings, one_of
from traceir.ir.table import Table
from traceir.ir.trees import STRUCTURE, Region, Tree, checked_columns, region_columns

if TYPE_CHECKING:
    from traceir.ir.view import Event, Selection

T = TypeVar("T")

CORE = ("id", "kind", "name", "ts", "dur", "lane", "parent", "live", "offset", "length")
"""The event columns that every module has; all others are declared annotations."""
EDGE_KINDS = ("launch", "enqueue", "sync", "flow", "peer")
_SHOWN = 50
"""Events up to which a module is shown whole where somebody looks at it."""
FIXED = frozenset({"id", "kind", "name", "lane", "parent", "offset", "length"})


@attrs.frozen(eq=False, slots=False, repr=False)
class Module:
    """A trace. Rows are positions in its tables, private to it; ids are what people and files speak of.

    The `event` table has the columns of `CORE`, sorted by (ts, lane, order in the source): `id` i64 (the
    event's ordinal in its source), `kind` u16 (position in `kinds`), `name` i32 (code in `strings`), `ts` and
    `dur` i64 ns from the module's origin, `lane` i32 (position in `lanes`), `parent` i32 (row of the enclosing
    event on the lane, -1 none), `live` bool, `offset` i64 and `length` i32 (its bytes in the source, -1 and 0
    unknown). The `edge` table has `src`, `dst` (rows) and `kind` (position in `EDGE_KINDS`). Other tables are
    `region:<tree>`, `table:<name>`, `lane` and `module`.

    `meta` holds what the file says of itself: `origin_ns` (Unix ns of instant 0, None if unknown), `rank`,
    `world`, `vendor` and whatever else the frontend documents.
    """

    name: str
    strings: Strings
    lanes: tuple[Lane, ...]
    kinds: tuple[str, ...]
    tables: Mapping[str, Table]
    meta: Mapping[str, Any] = attrs.field(factory=dict)
    annotations: Mapping[str, Written] = attrs.field(factory=dict)
    passes: tuple[PassRecord, ...] = ()
    health: tuple[Finding, ...] = ()
    source: Source | None = None
    _derived: dict[Any, Any] = attrs.field(factory=dict, alias="derived")
    _access: Access | None = attrs.field(default=None, alias="access")
    _set: frozenset[str] = attrs.field(default=frozenset(), alias="set")

    # --- columns -----------------------------------------------------------------------------------------

    def __len__(self) -> int:
        """The number of events, dead ones included."""
        return self.tables["event"].length

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """What IPython and hypothesis show: a small module as text, which can be pasted into a test."""
        from traceir.text import spell  # a view of the module, which it does not need otherwise

        shown = repr(self)
        if len(self) <= _SHOWN and not cycle:
            with contextlib.suppress(Exception):  # a module that breaks the rules may have no text
                shown = 'parse(r"""\n' + "".join(spell(self)) + '""")'
        printer.text(shown)

    def __repr__(self) -> str:
        return f"<Module {self.name}: {len(self)} events on {len(self.lanes)} lanes>"

    def domain(self, name: str) -> str:
        """The table that a column lies in."""
        if name in self.tables["event"]:
            return "event"
        written = self.annotations.get(name)
        if written is not None and name in self.tables.get(written.annotation.domain, ()):
            return written.annotation.domain
        if "." in name:  # written by the pass that runs now, and therefore not declared yet
            for domain, table in self.tables.items():
                if name in table:
                    return domain
        raise KeyError(name)

    def __contains__(self, name: str) -> bool:
        try:
            self.domain(name)
        except KeyError:
            self.note_read(name)  # who goes another way without it has to be asked again when it is there
            return False
        return True

    def column(self, name: str) -> Column:
        """A column by its name, of whatever table it lies in; a KeyError if nobody wrote it."""
        self.note_read(name)
        try:
            return self.tables[self.domain(name)].columns[name]
        except KeyError:
            raise NoColumnError(name, (*CORE, *self.annotations)) from None

    def __getitem__(self, name: str) -> Array:
        """The read-only array of a column, such as `module["ts"]` or `module["overlap.exposed"]`."""
        return self.column(name).data

    def text(self, name: str) -> list[str | None]:
        """A `str` or `enum` column as strings, None for null; SchemaError for a column that holds none."""
        self._must_hold_texts(name)
        written = self.annotations.get(name)
        if written is not None and written.annotation.dtype == "enum":
            values = written.annotation.values
            return [None if code < 0 else values[code] for code in self[name].tolist()]
        return self.strings.decode(self[name])

    def is_in(self, name: str, texts: Iterable[str]) -> Mask:
        """Which rows of a `str` or `enum` column hold one of `texts`; what is no value of the enum matches nothing.

        SchemaError for a column that holds no texts.
        """
        self._must_hold_texts(name)
        written = self.annotations.get(name)
        if written is not None and written.annotation.dtype == "enum":
            wanted = set(texts)
            values = written.annotation.values
            return one_of(self[name], [code for code, value in enumerate(values) if value in wanted], len(values))
        return self.strings.is_in(self[name], texts)

    def _must_hold_texts(self, name: str) -> None:
        written = self.annotations.get(name)
        if written is not None:
            dtype = written.annotation.dtype
            if dtype not in ("str", "enum"):
                raise SchemaError(f"The column {name} is of dtype {dtype} and holds no texts; compare its numbers.")
        elif name == "kind":
            raise SchemaError("The column kind holds positions in the module's kinds; ask is_kind.")
        elif (name in CORE and name != "name") or self[name].dtype != np.int32:  # as yet undeclared ones are codes
            raise SchemaError(f"The column {name} holds no texts; compare its numbers.")

    def token(self, name: str) -> int:
        """The token of a column, or of the edges for `edges`; 0 if there is none (then it depends on nothing).

        For `tree.<name>` the regions' structure counts too: a renamed or re-parented region is another tree.
        """
        self.note_read(name)
        return self._token(name)

    def _token(self, name: str) -> int:
        if name == "edges":
            return _newest(self.tables["edge"], ("src", "dst", "kind"))
        try:
            token = self.tables[self.domain(name)].columns[name].token
        except KeyError:
            return 0
        word, _, tree = name.partition(".")
        if word == "tree" and f"region:{tree}" in self.tables:
            return max(token, _newest(self.tables[f"region:{tree}"], STRUCTURE))
        return token

    def note_read(self, name: str) -> None:
        """Note that a column, the `edges` or the source's `args` are looked at by another way than `column`."""
        if self._access is not None and name not in self._set:
            self._access.read.add(name)

    def watched(self, access: Access | None) -> Module:
        """This module, noting in `access` which columns are read from it, and in itself which are set."""
        return attrs.evolve(self, access=access, set=frozenset())

    @property
    def written(self) -> frozenset[str]:
        """The columns that were set on the way from the module that `watched` gave to this one."""
        return self._set

    def _with(self, tables: Mapping[str, Table], names: Iterable[str]) -> Module:
        noted = self._set.union(names) if self._access is not None else self._set
        return attrs.evolve(self, tables=tables, set=noted)

    def stale(self, name: str) -> bool:
        """Whether an annotation was computed from columns that the module no longer has, or from a stale one."""
        return name in self._stale

    @functools.cached_property
    def _stale(self) -> frozenset[str]:
        """All stale annotations: those of which an input is another column now, and what was computed from these."""
        tokens = functools.cache(self._token)
        readers: dict[str, list[str]] = {}
        stale = []
        for name, written in self.annotations.items():
            if any(tokens(column) != token for column, token in written.inputs):
                stale.append(name)
            for column, _ in written.inputs:
                readers.setdefault(column, []).append(name)
        found = set(stale)
        while stale:
            for reader in readers.get(stale.pop(), ()):
                if reader not in found:
                    found.add(reader)
                    stale.append(reader)
        return frozenset(found)

    def derive(self, key: str, reads: tuple[str, ...], compute: Callable[[], T]) -> T:
        """A value computed once for the columns `reads` as they stand, shared with modules that share them."""
        tokens = (key, *(self.token(name) for name in reads))
        if tokens not in self._derived:
            self._derived[tokens] = compute()
        return self._derived[tokens]  # type: ignore[no-any-return]

    # --- rows and selection ------------------------------------------------------------------------------

    @property
    def live(self) -> Mask:
        """Which rows no pass has removed."""
        return self["live"]

    @property
    def end(self) -> Ints:
        """`ts + dur` of each event."""
        return self.derive("end", ("ts", "dur"), lambda: Column.own(self["ts"] + self["dur"]).data)

    def is_kind(self, *names: str) -> Mask:
        """Which rows are of one of these kinds; `host`, `rt`, `dev` … stand for a whole dialect. Dead rows too."""
        wanted = [code for code, kind in enumerate(self.kinds) if kind in names or kind.partition(".")[0] in names]
        return one_of(self["kind"], wanted, len(self.kinds))

    @property
    def device_lane(self) -> Mask:
        """For each lane whether it is a device stream."""
        return np.array([lane.is_device for lane in self.lanes], bool)

    @property
    def work(self) -> Mask:
        """Live device work: kernels, copies, memsets and opaque graphs on device streams."""

        def compute() -> Mask:
            on_device = np.append(self.device_lane, False)[self["lane"]]
            return Column.own(self.live & self.is_kind(*work_kinds()) & on_device).data

        return self.derive("work", ("kind", "lane", "live"), compute)

    @property
    def devices(self) -> tuple[int, ...]:
        """The devices that have streams here, in order of their numbers (-1: a stream of an unnamed device)."""
        return tuple(sorted({-1 if lane.device is None else lane.device for lane in self.lanes if lane.is_device}))

    def device_name(self, device: int | None) -> str:
        """A device as the names of its lanes begin, such as `npu0`; `gpu0` where they do not say, `gpu` without number.

        `device` is its number; None and negative ones stand for a device without. Only words for accelerators count.
        """
        number = None if device is None or device < 0 else device
        mine = (lane.name for lane in self.lanes if lane.is_device and lane.device == number)
        text = "" if number is None else str(number)
        words = {name.partition(".")[0].removesuffix(text) for name in mine}
        word = words.pop() if len(words) == 1 else ""
        return f"{word if word in ACCELERATORS else 'gpu'}{text}"

    @property
    def device(self) -> Rows:
        """The device of each event on a device stream; -2 elsewhere, -1 if the device has no number."""

        def compute() -> Rows:
            table = [(-1 if lane.device is None else lane.device) if lane.is_device else -2 for lane in self.lanes]
            return Column.own(np.array([*table, -2], np.int32)[self["lane"]]).data

        return self.derive("device", ("lane",), compute)

    def select(self, **criteria: Any) -> Selection:
        """Live events by `kind`, `lane` (name), `region` ((tree, region)) and `where` (a mask or rows)."""
        from traceir.ir.view import select

        return select(self, **criteria)

    @property
    def kernels(self) -> Selection:
        """All live kernels."""
        return self.select(kind="dev.kernel")

    def event(self, row: int) -> Event:
        """A view of the event in `row`, from 0; IndexError if the module has no such row."""
        from traceir.ir.view import Event

        if not 0 <= row < len(self):
            rows = f"rows run from 0 to {len(self) - 1}" if len(self) else "it has none"
            raise IndexError(f"The module {self.name} has no row {row}: {rows}; row_of gives the row of an id.")
        return Event(self, int(row))

    def row_of(self, id: int) -> int:
        """The row of the event with this id; KeyError if the module has none."""
        ids = self["id"]
        order = self.derive("id order", ("id",), lambda: np.argsort(ids, kind="stable"))
        at = int(np.searchsorted(ids, id, sorter=order))
        if at == len(ids) or ids[order[at]] != id:
            raise KeyError(id)
        return int(order[at])

    # --- structure ---------------------------------------------------------------------------------------

    def edges(self, kind: str) -> tuple[Rows, Rows]:
        """The (src, dst) rows of the edges of one kind, as recorded (dead ends included)."""
        self.note_read("edges")
        table = self.tables["edge"]
        chosen = table["kind"] == EDGE_KINDS.index(kind)
        return table["src"][chosen], table["dst"][chosen]

    @property
    def launch(self) -> Rows:
        """For each event the row of the host call that launched it (its nearest live ancestor), or -1."""

        def compute() -> Rows:
            src, dst = self.edges("launch")
            out = np.full(len(self), -1, np.int32)
            out[dst] = self._alive(src)
            return Column.own(out).data

        return self.derive("launch", ("edges", "live", "parent"), compute)

    @property
    def parent(self) -> Rows:
        """For each event the row of its nearest live ancestor on the lane, or -1."""
        return self.derive("parent", ("live", "parent"), lambda: Column.own(self._alive(self["parent"])).data)

    @property
    def caller(self) -> Rows:
        """For each event what called it: its parent, or what handed it over on another thread; -1 for none.

        A thread is left at the outermost event that an `enqueue` edge leads to. A chain of callers always ends if that
        of parents does.
        """
        return self._callers.caller

    @property
    def origin(self) -> Rows:
        """For each event the row that had it made on another thread, by `enqueue` edges; itself without one."""
        return self._callers.origin

    @property
    def _callers(self) -> Callers:
        def compute() -> Callers:
            src, dst = self.edges("enqueue")
            return Callers.of(self.parent, self._alive(src), dst)

        return self.derive("callers", ("edges", "live", "parent"), compute)

    def _alive(self, rows: Rows) -> Rows:
        """Rows replaced by their nearest live ancestor-or-self, or -1. O(n log depth), by doubling the step."""
        live = np.append(self.live, True)
        up = np.append(np.where(self.live, np.arange(len(self), dtype=np.int32), self["parent"]), np.int32(-1))
        dead = np.flatnonzero(~live[up])
        for _ in range(len(up).bit_length()):
            if not len(dead):
                break
            up[dead] = up[up[dead]]
            dead = dead[~live[up[dead]]]
        up[dead] = -1  # a circle of parents, which no frontend makes and the verifier reports
        return np.asarray(up[rows])

    def tree(self, name: str) -> Tree:
        """A tree by its name; KeyError if no pass built it."""
        return Tree(name, self.tables[f"region:{name}"], self[f"tree.{name}"], self.strings)

    def has_tree(self, name: str) -> bool:
        """Whether a pass built this tree (it may be empty)."""
        if f"region:{name}" in self.tables:
            return True
        self.note_read(f"tree.{name}")
        return False

    # --- new modules -------------------------------------------------------------------------------------

    def with_columns(self, columns: Mapping[str, npt.ArrayLike], domain: str = "event") -> Module:
        """A module with columns of one domain added or replaced; all other columns are shared.

        Takes ownership of the arrays. A column with equal bytes keeps its token. Columns that the source
        recorded and that identify events (`id`, `kind`, `name`, `lane`, `parent`) cannot be replaced.
        """
        if domain == "event" and (fixed := FIXED.intersection(columns)):
            raise SchemaError(f"The column {min(fixed)} is what the source recorded and cannot be replaced.")
        table = self.tables.get(domain)
        if table is None:
            length = {"lane": len(self.lanes), "module": 1}.get(domain)
            if length is None:
                raise SchemaError(f"The module has no table {domain}; write it with with_table or with_tree first.")
            table = Table(domain, length)
        return self._with({**self.tables, domain: table.with_columns(columns)}, columns)

    def with_table(self, name: str, columns: Mapping[str, npt.ArrayLike]) -> Module:
        """A module with the table `table:<name>` written anew."""
        domain = f"table:{name}"
        old = self.tables.get(domain)
        new = Table.of(domain, columns)
        if old is not None and old.length == new.length:
            new = Table(domain, old.length, {k: old.columns[k] for k in columns if k in old}).with_columns(columns)
        return self._with({**self.tables, domain: new}, columns)

    def with_tree(
        self,
        name: str,
        regions: Sequence[Region] | Mapping[str, npt.ArrayLike],
        leaf: npt.ArrayLike,
        **columns: npt.ArrayLike,
    ) -> Module:
        """A module with a tree written anew. `leaf` gives each event its innermost region, -1 for none.

        A tree of very many regions may be given as the columns `parent`, `kind`, `name` and `index` instead of a
        list, with kinds and names as codes of this module's pool.
        Attributes of the regions are written afterwards with `with_columns(…, domain="region:<name>")`.
        """
        if isinstance(regions, Mapping):
            strings, structure = self.strings, checked_columns(regions, self.strings)
        else:
            strings, structure = region_columns(regions, self.strings)
        count = len(structure["parent"])
        old = self.tables.get(f"region:{name}")
        given = tuple(columns)
        columns = {**structure, **columns}
        kept = old.columns if old is not None and len(old) == count else {}
        shared = {key: kept[key] for key in columns if key in kept}
        table = Table(f"region:{name}", count, shared).with_columns(columns)
        module = attrs.evolve(self._with({**self.tables, table.name: table}, given), strings=strings)
        return module.with_columns({f"tree.{name}": np.asarray(leaf, np.int32)})

    def with_texts(self, name: str, texts: Sequence[str | None], domain: str = "event") -> Module:
        """A module with a `str` column given as strings; the pool grows as needed."""
        strings, codes = self.strings.encode(texts)
        return attrs.evolve(self, strings=strings).with_columns({name: codes}, domain)

    def window(self, rows: Array) -> Module:
        """A module of the chosen rows (a mask or positions); ids are kept, what lies outside becomes `extern`."""
        from traceir.ir.window import window

        return window(self, rows)

    def equals(self, other: Module) -> bool:
        """Whether two modules say the same, whatever their codes, tokens and sources (see `ir.equality`)."""
        from traceir.ir.equality import difference

        return difference(self, other) is None

    def with_strings(self, strings: Strings) -> Module:
        """A module with a larger string pool, made from its own by `extend` or `encode`."""
        if strings.texts[: len(self.strings)] != self.strings.texts:
            raise SchemaError("A module's string pool can only grow: the new pool has to begin with the old one.")
        return attrs.evolve(self, strings=strings)

    def with_health(self, *findings: Finding) -> Module:
        """A module with further findings; one that is already there is not repeated."""
        return attrs.evolve(self, health=(*self.health, *(f for f in findings if f not in self.health)))

    # --- measures ----------------------------------------------------------------------------------------

    def extent(self, rows: Mask | None = None) -> tuple[int, int] | None:
        """First start and last end of the chosen rows (default: device work, or all live events without any)."""
        chosen = self.work if rows is None else rows
        if rows is None and not chosen.any():
            chosen = self.live
        if not chosen.any():
            return None
        return int(self["ts"][chosen].min()), int(self.end[chosen].max())

    @property
    def span_ns(self) -> int:
        """First start to last end of device work, or of all events where there is none."""
        extent = self.extent()
        return extent[1] - extent[0] if extent else 0


def _newest(table: Table, names: Sequence[str]) -> int:
    """The highest token of some columns. A replaced column's token is new, so this tells their versions apart."""
    return max((table.columns[name].token for name in names if name in table), default=0)
