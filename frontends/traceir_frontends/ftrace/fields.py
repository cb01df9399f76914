"""What the lines of an event say, decoded when somebody looks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from traceir_frontends.ftrace import spelling
from traceir_frontends.ftrace.read import text_of

_PAIR: Final = re.compile(r"(?:^|[\s,(])(?P<key>[A-Za-z_][\w.]*)=")
_NUMBER: Final = re.compile(r"-?\d{1,18}\Z")
_GRAPH_COMMENT: Final = re.compile(rb"/\*(?P<text>.*?)\*/")
_RETURNED: Final = re.compile(rb"(?:ret\s*)?=\s*(?P<value>\S+)")
_CALLER: Final = re.compile(rb"<-\s*(?P<caller>[^\s=]+)")
_ENTERED: Final = re.compile(rb"NR (?P<nr>-?\d+) \((?P<args>.*)\)")
_LEFT: Final = re.compile(rb"NR (?P<nr>-?\d+) = (?P<ret>\S+)")


def decode(line: bytes, second: bytes) -> Mapping[str, Any]:
    """The arguments of an event from its lines and from those that end it."""
    head, _, more = line.partition(b"\n")
    rest, out = _head(head)
    if rest is None:
        graph = spelling.GRAPH.match(head)
        return _graph(graph, second) if graph else _left(head)
    named = spelling.NAMED.match(rest)
    called = spelling.CALLED.match(rest) if named is None else None
    entered = spelling.SYSCALL_IN.match(rest)
    if named is not None:
        out |= _named(text_of(named["name"]), named["body"] or b"", second)
    elif called is not None:
        out["caller"] = text_of(called["caller"])
    elif entered is not None:
        out |= {"text": text_of(entered["body"])} | _ended(second)
    else:
        out["text"] = text_of(rest)
    stack = [text_of(found["symbol"]) for part in more.split(b"\n") if (found := spelling.FRAME.match(part))]
    if stack:
        out["stack"] = stack
    elif more.strip():
        out["more"] = text_of(more)
    return out


def _head(line: bytes) -> tuple[bytes | None, dict[str, Any]]:
    """What follows a line's time stamp, and what stands before it; None if it is no event."""
    found = spelling.EVENT.match(line) or spelling.LATENCY.match(line)
    if found is None:
        return None, {}
    task = f"{text_of(found['comm']).strip()}-{text_of(found['pid'])}"
    out: dict[str, Any] = {"task": task, "cpu": int(found["cpu"])}  # an event's own fields may have a pid, too
    if found["flags"]:
        out["flags"] = text_of(found["flags"])
    return found["rest"].rstrip(b"\r"), out


def _named(name: str, body: bytes, second: bytes) -> dict[str, Any]:
    if name == "sched_switch":
        return _switch(body, second)
    if name in ("tracing_mark_write", "print", "bprint", "bputs"):
        return _mark(body)
    if name == "function" and (called := spelling.CALLED.match(body)):
        return {"caller": text_of(called["caller"])}
    if name in ("funcgraph_entry", "funcgraph_exit"):
        return _ended(second)
    out = fields(body)
    entered = _ENTERED.match(body)
    if entered:
        out = {"nr": int(entered["nr"]), "args": [text_of(item).strip() for item in entered["args"].split(b",")]}
    return out | (_ended(second) if second else {})


def _switch(body: bytes, second: bytes) -> dict[str, Any]:
    """A run: its thread, and why it ended."""
    found = spelling.SWITCH.match(body)
    if found is None:
        return fields(body)
    which = "" if found["prev"] is not None else "2"
    out: dict[str, Any] = {
        "thread": text_of(found[f"next_comm{which}"]),
        "tid": spelling.number(found[f"next_pid{which}"]),
        "prio": spelling.number(found[f"next_prio{which}"]),
        "after": text_of(found[f"comm{which}"]),
        "after_tid": spelling.number(found[f"pid{which}"]),
        "after_state": spelling.state_of(found[f"state{which}"])[0],
    }
    rest = _head(second.partition(b"\n")[0])[0]
    named = spelling.NAMED.match(rest) if rest else None
    left = spelling.LEFT.match(named["body"] or b"") if named else None
    if left is not None:
        out |= _why(left)
    return out


def _left(text: bytes) -> dict[str, Any]:
    """A run whose beginning is not in the record: all that is known is how it ended."""
    found = spelling.LEFT.match(text)
    if found is None:
        return {}
    which = "" if found["comm"] is not None else "2"
    who = {"thread": text_of(found[f"comm{which}"]), "tid": spelling.number(found[f"pid{which}"])}
    return who | {"prio": spelling.number(found[f"prio{which}"])} | _why(found)


def _why(found: re.Match[bytes]) -> dict[str, Any]:
    state, word = spelling.state_of(found["state"] or found["state2"])
    return {"ended": word, "state": state}


def _mark(body: bytes) -> dict[str, Any]:
    found = spelling.MARK.match(body)
    text = found["text"] if found else body
    atrace = spelling.ATRACE.match(text)
    if atrace is None:
        return {"text": text_of(text)}
    out: dict[str, Any] = {"process": int(atrace["pid"])} if atrace["pid"] else {}
    parts = (atrace["body"] or b"").rsplit(b"|", 1)
    if atrace["what"] == b"C" and len(parts) == 2:
        out["value"] = _value(text_of(parts[1]))
    elif atrace["what"] in b"SFGH" and len(parts) == 2:
        out["cookie"] = text_of(parts[1])
    return out


def _graph(found: re.Match[bytes], second: bytes) -> dict[str, Any]:
    out: dict[str, Any] = {"cpu": int(found["cpu"])}
    text = found["func"].strip()
    if text.startswith(b"/*"):  # an event among the functions
        named = spelling.NAMED.match(text.strip(b"/* \r"))
        return out | (_named(text_of(named["name"]), named["body"] or b"", b"") if named else {"text": text_of(text)})
    if b"(" in text and not text.startswith(b"}"):
        inside = text[text.index(b"(") + 1 : text.rfind(b")")] if b")" in text else b""
        if inside.strip():
            out["args"] = text_of(inside)
    for comment in _GRAPH_COMMENT.findall(text):
        out |= _told(comment)
    return out | _ended(second)


def _ended(second: bytes) -> dict[str, Any]:
    """What the line of an end adds: what was returned."""
    if not second:
        return {}
    rest = _head(second.partition(b"\n")[0])[0]
    if rest is None:
        return {key: value for comment in _GRAPH_COMMENT.findall(second) for key, value in _told(comment).items()}
    left = spelling.SYSCALL_OUT.match(rest)
    if left:
        return {"ret": text_of(left["body"])}
    named = spelling.NAMED.match(rest)
    body = (named["body"] or b"").strip() if named else b""
    known = _LEFT.match(body)
    if known:
        return {"ret": text_of(known["ret"])}
    if named and named["name"].startswith(b"sys_exit_"):
        return {"ret": text_of(body)}
    if named and named["name"] == b"funcgraph_exit":
        return {key: value for comment in _GRAPH_COMMENT.findall(body) for key, value in _told(comment).items()}
    return fields(body)


def _told(comment: bytes) -> dict[str, Any]:
    out = {}
    caller, returned = _CALLER.search(comment), _RETURNED.search(comment)
    if caller:
        out["caller"] = text_of(caller["caller"])
    if returned:
        out["ret"] = text_of(returned["value"])
    return out


def fields(body: bytes) -> dict[str, Any]:
    """`key=value` pairs; a value goes on to the next key, since names of tasks hold blanks. Other text as `text`."""
    text = text_of(body).strip()
    found = _pairs(text)
    out: dict[str, Any] = {}
    if not found or found[0].start() > 0:
        head = text[: found[0].start()] if found else text
        if head.strip():
            out["text"] = head.strip()
    for at, pair in enumerate(found):
        stop = found[at + 1].start() if at + 1 < len(found) else len(text)
        out[pair["key"]] = _value(text[pair.end() : stop].strip(" ,"))
    return out


_PLAIN: Final = ("prio", "newcomm", "oldcomm")
"""Keys that may stand between a task's name and its number."""


def _pairs(text: str) -> list[re.Match[str]]:
    """Where keys stand. The name of a task goes on to its number, since it may hold what looks like a key."""
    found = list(_PAIR.finditer(text))
    out: list[re.Match[str]] = []
    at = 0
    while at < len(found):
        out.append(found[at])
        at += 1
        if not out[-1]["key"].endswith("comm"):
            continue
        number = next((one for one in range(at, len(found)) if found[one]["key"].endswith("pid")), at)
        if not any(found[one]["key"] in _PLAIN for one in range(at, number)):
            at = number
    return out


def _value(text: str) -> Any:
    """A number where the text is one in decimals; addresses and names stay text."""
    return int(text) if _NUMBER.match(text) else text
