"""What a database says of devices: tasks, collectives on the streams that ran them, and their parts on planes."""

from __future__ import annotations

import numpy as np

from traceir.ir import NULL_I64, Array, Ints, Lane, Mask
from traceir_frontends.ascend import links, schema
from traceir_frontends.ascend.dialect import NONE_ID, part_kind, task_kind
from traceir_frontends.ascend.lanes import prefix_of
from traceir_frontends.ascend.reading import Reading, marked
from traceir_frontends.tabular import Frame, Rows, add_rows, matched


def add_devices(reading: Reading) -> None:
    """Tasks, collectives on the streams that ran them, and their parts on planes."""
    tasks, operations = reading.read(schema.TASKS), reading.read(schema.OPERATIONS)
    parts = reading.database.read(schema.PARTS, schema.PART_COLUMNS)
    assembly = reading.assembly
    if tasks is None:
        if operations is not None:
            add_rows(assembly, operations, _groups(reading, operations))
        return
    number = tasks.key("number")
    kernel, at = matched([reading.decoder.kernels.ints("globalTaskId")], [number])
    types, named = tasks.name.copy(), marked(at, len(tasks))
    ids = reading.decoder.kernels.ints("name")[kernel]
    distinct, inverse = np.unique(ids, return_inverse=True)
    codes = assembly.texts(reading.decoder.texts.of(distinct), "unknown")
    tasks.name = types.copy()
    tasks.name[at] = codes[inverse.reshape(-1)]
    tasks.kind = reading.kinds([tasks.name, types], task_kind)
    lane = _streams(reading, tasks)
    part_row, part_at = matched([parts.ints("globalTaskId")], [number])
    belongs = _wholes(tasks, named)
    belongs[part_at] = True
    if operations is not None:
        some = _some(operations, np.arange(len(operations)))
        mine = _some(tasks, np.arange(len(tasks)))
        of = links.parts_of(some, mine)
        own = _groups(reading, operations)
        placed = links.lanes_of(some, mine, of, lane, own)
        belongs |= of >= 0
        add_rows(assembly, operations, placed)
    part, event = assembly.kind("npu.part"), [assembly.kind("event.wait"), assembly.kind("event.record")]
    tasks.kind = np.where(belongs & ~np.isin(tasks.kind, event), part, tasks.kind)
    start, end = tasks.start[part_at], tasks.end[part_at]
    add_rows(assembly, tasks, lane)
    reading.parts.append(tasks.at[belongs])
    if len(part_row):
        _planes(reading, tasks.key("device")[part_at], start, end, _chosen(parts, part_row))


def _wholes(tasks: Rows, named: Mask) -> Mask:
    """Which tasks are wholes whose parts are listed too: without a name of their own, but with contexts inside."""
    context = tasks.key("context")
    inner = np.flatnonzero((context != NONE_ID) & (context != NULL_I64))
    outer = np.flatnonzero(~named & (context == NONE_ID))
    keys = [tasks.key(name) for name in ("device", "stream", "task", "connection")]
    out = np.zeros(len(tasks), bool)
    if len(inner) and len(outer):
        one, two = matched([key[inner] for key in keys], [key[outer] for key in keys])
        inside = (tasks.start[inner[one]] >= tasks.start[outer[two]] - links.SLACK_NS) & (
            tasks.end[inner[one]] <= tasks.end[outer[two]] + links.SLACK_NS
        )
        out[outer[two[inside]]] = True
    return out


def _some(rows: Rows, chosen: Ints) -> links.Some:
    return links.Some(chosen, rows.start[chosen], rows.end[chosen], links.known(rows.key("connection")[chosen]))


def _streams(reading: Reading, tasks: Rows) -> Array:
    def make(device: int, stream: int) -> Lane:
        number, own = (None if value == NULL_I64 else value for value in (device, stream))
        return Lane(f"{prefix_of(number)}.s{own}", "dev.stream", number, own, None, own, f"Stream {own}")

    return reading.assembly.lanes([tasks.key("device"), tasks.key("stream")], make)


def _device(reading: Reading) -> int | None:
    """The only device of the file, None if there are several."""
    tasks = reading.found.get("TASK")
    known = np.unique(tasks.key("device")) if tasks is not None else reading.database.read(
        "RANK_DEVICE_MAP", ("deviceId",)
    ).ints("deviceId")  # fmt: skip
    return int(known[0]) if len(known) == 1 and known[0] != NULL_I64 else None


def _groups(reading: Reading, operations: Rows) -> Array:
    """Lanes of communication groups, for collectives of which no stream is known."""
    order = {id: at for at, id in enumerate(dict.fromkeys(operations.key("group").tolist()))}
    only = _device(reading)

    def make(device: int, group: int) -> Lane:
        number = only if device == NULL_I64 else device
        return Lane(f"{prefix_of(number)}.g{order[group]}", "dev.stream", number, None, None, None,
                    f"Group {order[group]} Communication")  # fmt: skip

    return reading.assembly.lanes([operations.key("device"), operations.key("group")], make)


def _chosen(parts: Frame, rows: Ints) -> Frame:
    """Rows of a table of integers, in the order asked for."""
    columns = {column: parts.ints(column)[rows] for column in schema.PART_COLUMNS}
    return Frame(parts.name, parts.number, parts.rows[rows], columns)


def _planes(reading: Reading, device: Ints, start: Ints, end: Ints, parts: Frame) -> None:
    """The parts of collectives once more, each on its plane, under the names that the library gives them."""
    operations = reading.found.get("COMMUNICATION_OP")
    groups = [] if operations is None else dict.fromkeys(operations.key("group").tolist())
    group = parts.ints("groupName")
    order = {id: at for at, id in enumerate(dict.fromkeys([*groups, *group.tolist()]))}

    def make(device: int, group: int, plane: int) -> Lane:
        number = None if device == NULL_I64 else device
        word = f"g{order[group]}.p{plane}"
        return Lane(f"{prefix_of(number)}.{word}", "dev.stream", number, None, None, None, f"Plane {plane}")

    lane = reading.assembly.lanes([device, group, parts.ints("planeId")], make)
    distinct, inverse = np.unique(parts.ints("taskType"), return_inverse=True)
    names = reading.assembly.texts(reading.decoder.texts.of(distinct), "unknown")[inverse.reshape(-1)]
    kind = reading.kinds([names], part_kind)
    reading.parts.append(reading.assembly.add(kind, names, start, end, lane, table=parts.number, rows=parts.rows))
