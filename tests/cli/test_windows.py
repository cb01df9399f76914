"""`--window`, `--around` and `--limit`: the events that are printed are those that the words name, ids and all."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from traceir.text import parse

from .lines import DECODE, Command, Event, events, regions

Wanted = Callable[[dict[str, Event], dict[str, set[str]]], set[str]]
EMIT = ("run", "--passes", "group", "--emit", "tir", "--form", "statements")


def _number(id: str) -> int:
    return int(id.removeprefix("%"))


def _touches(event: Event, low: int, high: int) -> bool:
    return event.start < high and (event.start + event.length > low or event.start >= low)


# Each form of docs/windows.md, and what it means in terms of the lines of the whole text.
FORMS: dict[str, Wanted] = {
    "stack.0.layer.3": lambda _, inside: inside["stack.0.layer.3"],
    "@stack.0.layer.3": lambda _, inside: inside["stack.0.layer.3"],
    '"stack.1.layer.3"': lambda _, inside: inside["stack.1.layer.3"],
    "stack.2": lambda _, inside: inside["stack.2"],
    "stack.0.layer.3.mlp": lambda _, inside: inside["stack.0.layer.3.mlp"],
    "layer.3 in stack.3": lambda _, inside: inside["stack.3.layer.3"],
    "layer.3 in step.1": lambda _, inside: inside["stack.1.layer.3"],
    "mlp in layer.3 in stack.1": lambda _, inside: inside["stack.1.layer.3.mlp"],
    "%6393": lambda _, __: {"%6393"},
    "%6390..%6400": lambda all_, _: {id for id in all_ if 6390 <= _number(id) <= 6400},
    "@gpu0.s20": lambda all_, _: {id for id, event in all_.items() if event.lane == "gpu0.s20"},
    "gpu0.s20": lambda all_, _: {id for id, event in all_.items() if event.lane == "gpu0.s20"},
    "1ms..3ms": lambda all_, _: {id for id, event in all_.items() if _touches(event, 10**6, 3 * 10**6)},
    "1.25ms..1250001": lambda all_, _: {id for id, event in all_.items() if _touches(event, 1250000, 1250001)},
    "180ms..": lambda all_, _: {id for id, event in all_.items() if _touches(event, 180 * 10**6, 1 << 62)},
    "..10us": lambda all_, _: {id for id, event in all_.items() if _touches(event, -(1 << 62), 10_000)},
    "@gpu0.s20 in 144ms..145ms": lambda all_, _: {
        id for id, event in all_.items() if event.lane == "gpu0.s20" and _touches(event, 144 * 10**6, 145 * 10**6)
    },
}


@pytest.mark.parametrize(("words", "wanted"), FORMS.items(), ids=list(FORMS))
def test_a_window_holds_what_its_words_name(
    words: str, wanted: Wanted, whole: str, example: str, command: Command
) -> None:
    """Ids, kinds, names, lanes and times are those of the whole, line by line; nothing else is printed."""
    everything = events(whole)
    text = command.output(*EMIT, "--window", words, example)
    found = events(text)
    assert found.keys() == wanted(everything, regions(whole)) != set()
    assert all(event.itself == everything[id].itself for id, event in found.items())


@pytest.mark.parametrize("words", ["stack.0.layer.3", "1ms..3ms", "@gpu0.s7 in step.2"])
def test_references_that_lead_out_are_declared(words: str, whole: str, example: str, command: Command) -> None:
    """A kernel says the same launch in the window as in the whole, and what is not there stands under `extern`."""
    everything = events(whole)
    text = command.output(*EMIT, "--window", words, example)
    found = events(text)
    for id, event in found.items():
        assert event.launch == everything[id].launch
        assert event.parent in (everything[id].parent, None)
    declared = {word for line in re.findall(r"^  extern (.*);$", text, re.M) for word in _listed(line)}
    referred = {event.launch for event in found.values() if event.launch} - found.keys()
    assert referred <= declared
    assert not declared & found.keys()
    assert declared <= everything.keys()


def _listed(line: str) -> set[str]:
    """`%1, %3..%5` as single ids; a range counts its ends only."""
    return set(re.findall(r"%\d+", line))


def test_windows_are_read_back_with_their_ids(whole: str, example: str, command: Command) -> None:
    """A window's text is an input: the same words name the same events there, and it prints as it stands."""
    command.output(*EMIT, "--window", "layer.3 in step.1", example, "-o", "w.tir")
    text = Path("w.tir").read_text("utf-8")
    assert command.output("print", "--emit", "tir", "w.tir") == text
    assert command.output("print", "--emit", "tir", "--window", "stack.1.layer.3", "w.tir") == text
    [kernel] = events(command.output("print", "--emit", "tir", "--window", "%6393", "w.tir")).values()
    assert kernel.itself == events(whole)["%6393"].itself
    message = command.refusal("print", "--emit", "tir", "--window", "%6289", "w.tir", code=2)
    assert message == (
        "There is no event %6289 here: it lies outside the window that the module is, which only refers to it."
    )


def test_a_windows_text_has_a_page_and_a_report(example: str, command: Command) -> None:
    """Of passes whose columns are all in the window; what was said of the whole module is not, and is not guessed."""
    command.output("run", "--emit", "tir", "--window", "layer.3 in step.1", example, "-o", "w.tir")
    assert "15 events" in command.output("print", "w.tir")
    report = json.loads(command.output("print", "--emit", "json", "w.tir"))
    assert report["module"]["events"] == 15
    assert report["pipeline"] == "infer,group,collectives,overlap,gaps"
    assert "group" not in report["results"]
    again = json.loads(command.output("run", "--passes", "overlap", "--emit", "json", "w.tir"))
    assert again["results"]["overlap"]["devices"][0]["comm_ns"] == 119595 + 45066


def test_both_forms_of_a_window_say_the_same(example: str, command: Command) -> None:
    texts = [
        command.output(*EMIT[:5], "--form", form, "--window", "step.1", example) for form in ("table", "statements")
    ]
    assert parse(texts[0]).equals(parse(texts[1]))


def test_the_first_of_several_regions_is_taken_and_said(whole: str, example: str, command: Command) -> None:
    """The note is on standard error, names what to write for another, and `--quiet` leaves it out."""
    done = command(*EMIT, "--window", "layer.3", example)
    assert done.code == 0
    assert events(done.out).keys() == regions(whole)["stack.0.layer.3"]
    assert done.err == (
        "traceir: 4 regions fit layer.3; stack.0.layer.3, the first in time, is taken: write 'stack.1.layer.3' for "
        "another.\n"
    )
    assert command.output(*EMIT, "-q", "--window", "layer.3", example) == done.out


def test_a_window_of_chrome_holds_the_same_events(whole: str, example: str, command: Command) -> None:
    """`--emit chrome` prints parts too: the input's own events there are those of the window."""
    out = command.output("run", "--passes", "group", "--emit", "chrome", "--window", "layer.3 in step.1", example)
    rows = [row for row in json.loads(out)["traceEvents"] if row.get("ph") == "X" and row["cat"] != "traceir"]
    kernels = sorted(events(whole)[id].name for id in regions(whole)["stack.1.layer.3"])
    assert sorted(row["name"].replace('"', '\\"') for row in rows) == kernels


# --- around and limit ----------------------------------------------------------------------------------------------


def _neighbours(all_: dict[str, Event], id: str) -> set[str]:
    """One hop by the lines alone: parent, children, launch, launched, and the neighbours on the lane."""
    me = all_[id]
    near = {me.parent, me.launch} | {other.id for other in all_.values() if id in (other.parent, other.launch)}
    lane = sorted((e for e in all_.values() if e.lane == me.lane), key=lambda e: e.start)
    at = [event.id for event in lane].index(id)
    near |= {event.id for event in lane[max(at - 1, 0) : at + 2]}
    return {one for one in near if one}


@pytest.mark.parametrize("id", list(events(DECODE)))
@pytest.mark.parametrize("hops", [0, 1, 2, 3])
def test_around_goes_so_many_hops(id: str, hops: int, decode: Path, command: Command) -> None:
    """What is printed is what can be reached over the relations that the whole text shows."""
    everything, reached = events(DECODE), {id}
    for _ in range(hops):
        reached = reached.union(*(_neighbours(everything, one) for one in reached))
    words = ["--around", id] + (["--hops", str(hops)] if hops != 1 else [])
    text = command.output("print", "--emit", "tir", *words, str(decode))
    assert events(text).keys() == reached


def test_around_takes_several_events_and_ids_without_a_sign(decode: Path, command: Command) -> None:
    """Given several times it prints around all of them."""
    text = command.output("print", "--emit", "tir", "--around", "%3", "--around", "9", "--hops", "0", str(decode))
    assert events(text).keys() == {"%3", "%9"}


def test_around_in_a_window_is_what_both_hold(decode: Path, command: Command) -> None:
    text = command.output("print", "--emit", "tir", "--around", "%3", "--window", "@gpu0.s7", str(decode))
    assert events(text).keys() == {"%3", "%4"}


def test_a_launch_of_hundreds_does_not_crowd_out_the_rest(whole: str, example: str, command: Command) -> None:
    """200 events unless `--limit` says otherwise, and a note that more was there."""
    everything = events(whole)
    counts = [event.launch for event in everything.values() if event.launch]
    launch = max(set(counts), key=counts.count)
    for limit in (None, 7):
        done = command(*EMIT, "--around", launch, *(["--limit", str(limit)] if limit else []), example)
        assert done.code == 0
        found = events(done.out)
        assert len(found) == (limit or 200)
        assert {launch, everything[launch].parent} <= found.keys()
        assert done.err.startswith(
            f"traceir: The limit of {limit or 200} events was reached at hop 1 of 1 around {launch}"
        )
        assert done.err.count("\n") == 1


def test_a_limit_takes_the_first_in_time(whole: str, example: str, command: Command) -> None:
    """With a note; a limit that leaves nothing out says nothing."""
    lane = sorted((event for event in events(whole).values() if event.lane == "gpu0.s20"), key=lambda e: e.start)
    done = command(*EMIT, "--window", "@gpu0.s20", "--limit", "5", example)
    assert list(events(done.out)) == [event.id for event in lane[:5]]
    note = f"Only the first 5 of {len(lane)} events are taken; raise the limit or choose fewer."
    assert (done.code, done.err) == (0, f"traceir: {note}\n")
    everything = command.output(*EMIT, "--limit", "6578", example)
    assert events(everything) == events(whole)


REMOVED = DECODE.replace("[12500 +7500] <- %2;", "[12500 +7500] <- %2 dead;")


def test_removed_events_are_in_no_window_unless_asked_for(decode: Path, command: Command) -> None:
    """Nor in what a limit counts, nor in what is declared outside; `--dead` takes them in everywhere."""
    Path("removed.tir").write_text(REMOVED, "utf-8")
    words = ("print", "--emit", "tir", "removed.tir")
    assert events(command.output(*words, "--window", "layer.0")).keys() == {"%3"}
    assert events(command.output(*words, "--window", "layer.0", "--dead")).keys() == {"%3", "%4"}
    assert command.refusal(*words, "--window", "%4", code=2).startswith("There is no event %4 here")
    assert events(command.output(*words, "--window", "%4", "--dead")).keys() == {"%4"}
    assert events(command.output(*words, "--around", "%2")).keys() == {"%0", "%1", "%2", "%7"}
    assert events(command.output(*words, "--around", "%2", "--dead")).keys() == {"%0", "%1", "%2", "%4", "%7"}
    window = command.output(*words, "--window", "%2")
    assert "extern %0;" in window
    assert "extern %0, %4;" in command.output(*words, "--window", "%2", "--dead")
    assert "of 7 events" in command(*words, "--limit", "1").err


# --- refusals ------------------------------------------------------------------------------------------------------

NEITHER = "sums up the whole run; print a part with --emit tir or --emit chrome."
REFUSALS = [
    (["--emit", "folded", "--window", "step.0"], f"The printer folded {NEITHER}"),
    (["--emit", "json", "--window", "step.0"], f"The printer json {NEITHER}"),
    (["--emit", "json", "--around", "%3"], f"The printer json {NEITHER}"),
    (["--limit", "3"], f"The printer folded {NEITHER}"),
    (["--hops", "3"], "The flag --hops says how far --around reaches; name an event with --around."),
]
WRONG = [
    (["--window", "step.9"], "There is no region or lane step.9; did you mean step.0."),
    (
        ["--window", "@step.0.layr.1"],
        "There is no region or lane step.0.layr.1; did you mean step.0.layer.1, step.0.layer.0, step.0 or layer.1.",
    ),
    (["--window", "somewhere"], "There is no region or lane somewhere; regions are called as step.0 is."),
    (["--window", "@gpu0.s9"], "There is no region or lane gpu0.s9; did you mean gpu0.s7 or gpu0.s20."),
    (["--window", "layer.0 in layer.1"], "The region layer.0 has no events in layer.1."),
    (["--window", "%5"], "There is no event %5 here; ids run from %0 to %9, the nearest is %4 or %7."),
    (["--window", "%99"], "There is no event %99 here; ids run from %0 to %9, the nearest is %9."),
    (["--window", "%10..%40"], "No event has an id in %10..%40; ids run from %0 to %9."),
    (["--window", "%9..%3"], "The range %9..%3 ends before it begins; write %3..%9."),
    (["--window", "%x"], "The text '%x' names no event and no range of events; write %8812 or %10..%40."),
    (["--window", "1ms..3ms"], "No event lies in 1ms..3ms; the events here lie from 0 ns to 100.0 µs."),
    (["--window", "3ms..1ms"], "The time range 3ms..1ms ends before it begins; write 1ms..3ms."),
    (["--window", "1msec..3msec"], "The time range '1msec..3msec' has to be two times from the start of the trace"),
    (["--window", "@cpu.main in layer.1"], "No event of cpu.main is in layer.1; the two have nothing in common."),
    (["--window", " "], "The window is empty; write a region such as layer.3, an event such as %8812,"),
    (["--window", "layer.1 in "], "The window 'layer.1 in' says nothing of which events it holds; write a region"),
    (["--around", "x"], "The event 'x' is no id; write it as %8812."),
    (["--around", "%77"], "There is no event %77 here; ids run from %0 to %9, the nearest is %9."),
    (["--around", "%3", "--hops", "-1"], "The number of hops is -1, and it has to be 0 or more."),
    (["--around", "%3", "--limit", "0"], "The limit of events is 0, and it has to be 1 or more."),
    (["--limit", "0"], "The limit of events is 0, and it has to be 1 or more."),
    (
        ["--around", "%9", "--hops", "0", "--window", "@gpu0.s7"],
        "The window holds no event: what --window and --around name have none in common.",
    ),
    (["--emit", "tir{tree=stp}", "--window", "step.0"], "The module has no tree stp; did you mean step?"),
]


@pytest.mark.parametrize(
    ("words", "message"),
    [*REFUSALS, *((["--emit", "tir", *words], message) for words, message in WRONG)],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_fits_nothing_is_one_sentence(words: list[str], message: str, decode: Path, command: Command) -> None:
    """Exit code 2, an empty standard output, and what to write instead."""
    found = command.refusal("print", *words, str(decode), code=2)
    assert found.startswith(message)
    assert "\n" not in found


def test_regions_that_no_pass_made_are_said_to_be_that(example: str, command: Command) -> None:
    """`print` runs nothing, so a layer's name is nothing there, and the sentence says what to run."""
    message = command.refusal("print", "--emit", "tir", "--window", "layer.3", example, code=2)
    assert message == (
        "There is no region or lane layer.3, and no regions at all, since no pass that makes them has run; run group "
        "before."
    )


@pytest.mark.parametrize("flag", ["--hops", "--limit"])
def test_a_number_has_to_be_one(flag: str, decode: Path, command: Command) -> None:
    """What argparse refuses has exit code 2 as well."""
    done = command("print", "--emit", "tir", flag, "many", str(decode))
    assert (done.code, done.out) == (2, "")
    assert f"argument {flag}: invalid int value: 'many'" in done.err
