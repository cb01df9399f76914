"""Trees of function_graph: with and without times, cut at both ends, interleaved, interrupted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import traceir as tir
from tests.frontends.texts import assert_round_trip, codes, listing, load, message, parents, told

HEADER = """\
# tracer: function_graph
#
# CPU  DURATION                  FUNCTION CALLS
# |     |   |                     |   |   |   |
"""

TREE = (
    HEADER
    + """\
 0)   0.500 us    |        }
 0)   2.000 us    |      } /* sys_poll */
 0)               |  sys_open() {
 0)               |    do_sys_open() { /* <-sys_open */
 1)   0.100 us    |  rcu_x();
 0)   0.200 us    |      getname(); /* = 0xff */
 0)   ==========> |
 0)   1.200 us    |      do_IRQ();
 0)   <========== |
 0)               |      /* sched_wakeup: comm=bash pid=7 prio=120 target_cpu=000 */
 0) + 12.345 us   |    } /* do_sys_open = -22 */
 0) ! 113.000 us  |  }
 ------------------------------------------
 0)  platfor-3210  =>  vmstat-2854
 ------------------------------------------

 0)               |  vfs_read [ext4]() {
 0)   0.3 us    |    leaf();
"""
)


def test_a_tree_without_times(tmp_path: Path) -> None:
    """Durations are exact; functions follow one another; what began before the record has its length."""
    module = load(tmp_path, TREE)
    assert told(module, "cpu.t3210") == [
        ("[unknown]", 0, 500), ("sys_poll", 0, 2000), ("sys_open", 2000, 113000), ("do_sys_open", 2000, 12345),
        ("getname", 2000, 200), ("do_IRQ", 2200, 1200),
    ]  # fmt: skip
    assert parents(module) == {
        "[unknown]": "sys_poll", "sys_poll": None, "sys_open": None, "do_sys_open": "sys_open", "rcu_x": None,
        "getname": "do_sys_open", "do_IRQ": "do_sys_open", "interrupt": None, "sched_wakeup": None,
        "vfs_read [ext4]": None, "leaf": "vfs_read [ext4]",
    }  # fmt: skip
    assert told(module, "os.cpu1") == [("rcu_x", 0, 100)]
    assert told(module, "os.cpu0", "os.irq") == [("interrupt", 2200, 1200)]
    assert told(module, "os.cpu0", "mark.instant") == [("sched_wakeup", 3400, 0)]
    assert [(lane.tid, lane.label) for lane in module.lanes if lane.kind == "host.thread"] == [
        (3210, "platfor"), (2854, "vmstat"),
    ]  # fmt: skip
    args = {event.name: dict(event.args) for event in module.select(kind="os.function")}
    assert args["do_sys_open"] == {"cpu": 0, "caller": "sys_open", "ret": "-22"}
    assert args["getname"] == {"cpu": 0, "ret": "0xff"}
    assert codes(module) == ["open_events", "stray_end", "no_clock"]
    assert "functions are shown one after another on their CPU" in message(module, "no_clock")
    assert_round_trip(module)


def test_a_tree_with_times_and_tasks(tmp_path: Path) -> None:
    """Each call where it was; a task keeps its stack on another CPU; the idle tasks are the CPUs' own."""
    module = load(tmp_path, HEADER + """\
 1234.000010 |   0)    bash-1977    |               |  sys_open() {
 1234.000011 |   0)    bash-1977    |   0.612 us    |    getname();
 1234.000012 |   1)   <idle>-0      |   1.500 us    |  tick();
 1234.000013 |   0)  my task-5      |  d..1. |      0.250 us    |  other();
 1234.000015 |   1)    bash-1977    |               |    schedule(prev=0x1, next=0x2) {
 1234.000019 |   0)    bash-1977    |   4.100 us    |    }
 1234.000020 |   0)    bash-1977    | + 10.100 us   |  } /* sys_open */
""")  # fmt: skip
    assert told(module, "cpu.t1977") == [("sys_open", 0, 10100), ("getname", 1000, 612), ("schedule", 5000, 4100)]
    assert told(module, "cpu.t5") == [("other", 3000, 250)]
    assert told(module, "os.cpu1") == [("tick", 2000, 1500)]
    assert parents(module)["schedule"] == "sys_open"
    assert next(event for event in module.select() if event.name == "schedule").args["args"] == "prev=0x1, next=0x2"
    assert codes(module) == []
    assert_round_trip(module)


def test_trace_cmd_spells_the_same(tmp_path: Path) -> None:
    """funcgraph_entry and funcgraph_exit."""
    module = load(tmp_path, """\
cpus=2
       trace-cmd-4734  [000]   100.000001: funcgraph_entry:                   |  sys_open() {
       trace-cmd-4734  [000]   100.000002: funcgraph_entry:        0.250 us   |    getname();
       trace-cmd-4734  [000]   100.000005: funcgraph_exit:         4.123 us   |  }
""")  # fmt: skip
    assert told(module) == [("sys_open", 0, 4123), ("getname", 1000, 250)]
    assert parents(module) == {"sys_open": None, "getname": "sys_open"}
    assert codes(module) == []


def test_a_loss_ends_what_is_open(tmp_path: Path) -> None:
    """After lost events nothing is taken to be inside what came before."""
    module = load(tmp_path, HEADER + """\
 0)               |  outer() {
 0)   1.000 us    |    inner();
CPU:0 [LOST 85 EVENTS]
 0)   2.000 us    |    later();
 0)   9.000 us    |  }
""")  # fmt: skip
    assert parents(module)["inner"] == "outer"
    assert parents(module)["later"] == "[unknown]"
    assert codes(module) == ["lost_events", "open_events", "stray_end", "no_clock"]
    assert message(module, "lost_events") == (
        "The tracer lost events, as it says itself: 85 between those that are here; record with a larger buffer "
        "(buffer_size_kb), or fewer kinds of events."
    )


def test_golden(tmp_path: Path, golden: Callable[[str, str], None]) -> None:
    """The whole module as text."""
    golden("frontends/ftrace_graph.tir", listing(load(tmp_path, TREE)))


Call = tuple[str, list["Call"]]


def _calls() -> st.SearchStrategy[list[Call]]:
    names = st.sampled_from(("a", "b", "do_x.isra.0", "__x64_sys_y"))
    leaf: st.SearchStrategy[Call] = st.tuples(names, st.just([]))
    return st.lists(
        st.recursive(leaf, lambda inner: st.tuples(names, st.lists(inner, min_size=1, max_size=3)), max_leaves=8),
        min_size=1, max_size=4,
    )  # fmt: skip


def _drawn(calls: list[Call], depth: int, out: list[str]) -> int:
    """The lines of a tree, each function 1 us longer than what is in it; how long that is."""
    total = 0
    for name, inside in calls:
        indent = "  " * (depth + 1)
        if not inside:
            out.append(f" 0)   1.000 us    |{indent}{name}();")
            total += 1
            continue
        out.append(f" 0)               |{indent}{name}() {{")
        own = _drawn(inside, depth + 1, out) + 1
        out.append(f" 0)   {own}.000 us    |{indent}}}")
        total += own
    return total


def _shape(calls: list[Call]) -> list[tuple[int, str]]:
    return [item for name, inside in calls for item in [(0, name), *((d + 1, n) for d, n in _shape(inside))]]


def _depths(module: tir.Module) -> list[tuple[int, str]]:
    depth: dict[int, int] = {-1: -1}
    out = []
    ordered = sorted(range(len(module)), key=lambda row: int(module["id"][row]))
    for row in ordered:
        depth[row] = depth[int(module["parent"][row])] + 1
        out.append((depth[row], module.event(row).name))
    return out


@given(_calls())
def test_any_tree_comes_back(tmp_path_factory: pytest.TempPathFactory, calls: list[Call]) -> None:
    """What is drawn is what is read: depths, names, and lengths that add up."""
    lines: list[str] = []
    total = _drawn(calls, 0, lines)
    module = load(tmp_path_factory.mktemp("graph"), HEADER + "\n".join(lines) + "\n")
    assert _depths(module) == _shape(calls)
    assert int(module["dur"][module["parent"] < 0].sum()) == total * 1000
    assert codes(module) == ["no_clock"]


@given(_calls(), st.integers(0, 12), st.integers(0, 12))
def test_any_cut_of_a_tree_is_read(
    tmp_path_factory: pytest.TempPathFactory, calls: list[Call], before: int, after: int
) -> None:
    """A piece of a tree: nothing fails, and opens and strays are as many as braces without their partner."""
    lines: list[str] = []
    _drawn(calls, 0, lines)
    piece = lines[before : len(lines) - after]
    if not piece:
        return
    module = load(tmp_path_factory.mktemp("cut"), HEADER + "\n".join(piece) + "\n")
    open_ = stray = 0
    for line in piece:
        if line.endswith("{"):
            open_ += 1
        elif line.endswith("}"):
            open_, stray = (open_ - 1, stray) if open_ else (open_, stray + 1)
    found = {item.code: item.count for item in module.health}
    assert (found.get("open_events", 0), found.get("stray_end", 0)) == (open_, stray)
    assert not [item for item in tir.verify(module) if item.level == "error"]
