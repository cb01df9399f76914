"""Flags that ask for nothing that there is: never ignored without a word."""

from __future__ import annotations

from pathlib import Path

import pytest

from .lines import Command

INFER = 'infer{roles="",norm_window=8,unknown_warn=0.05,operands=false}'


def test_the_dumped_pipeline_ends_where_the_run_does(decode: Path, command: Command) -> None:
    """What `--stop-after` leaves out would not run."""
    words = ["run", "--passes", "group", "--dump-pipeline", str(decode)]
    both = command.output(*words)
    assert both.startswith(f"{INFER},group{{")
    assert command.output(*words, "--stop-after", "1") == f"{INFER}\n"
    assert command.output(*words, "--stop-after", "2") == both
    assert command.output(*words, "--stop-after", "0") == "\n"


def test_the_dumped_pipeline_goes_where_the_output_does(decode: Path, command: Command) -> None:
    """As any product."""
    assert command.output("run", "--passes", "infer", "--dump-pipeline", "-o", "plan.txt", str(decode)) == ""
    assert Path("plan.txt").read_text("utf-8") == f"{INFER}\n"


def test_what_asks_for_something_of_a_run_is_said_to_do_nothing_without_one(decode: Path, command: Command) -> None:
    """And no log is written that would look like one."""
    words = ["run", "--passes", "infer", "--dump-pipeline", "--timing", "--log", "log.json", "--print-after", "all"]
    done = command(*words, str(decode))
    assert (done.code, done.out) == (0, f"{INFER}\n")
    assert done.err == "traceir: Nothing runs with --dump-pipeline, so --timing, --print-after and --log did nothing.\n"
    assert not Path("log.json").exists()


def test_a_pass_that_is_not_there_to_leave_out_is_named(decode: Path, command: Command) -> None:
    """It is no error, since one may disable a pass in many pipelines at once."""
    done = command("run", "--passes", "infer", "--disable", "gaps", "--disable", "infer", "--emit", "tir", str(decode))
    assert done.code == 0
    assert done.err == "traceir: The pipeline has no pass gaps to leave out.\n"


def test_a_pass_that_would_be_inserted_is_there_to_leave_out(decode: Path, command: Command) -> None:
    """It is an error, and nothing else is said."""
    said = command.refusal("run", "--passes", "group", "--disable", "infer", str(decode), code=2)
    assert said.startswith("The pass group reads infer.role, which infer writes, and infer is disabled; ")


@pytest.mark.parametrize("kind", ["missed", "note", "all"])
def test_a_kind_of_remarks_without_its_sign_is_recognised(kind: str, decode: Path, command: Command) -> None:
    """It was taken for the input, and the input for too much."""
    done = command("run", "--remarks", kind, str(decode))
    assert (done.code, done.out) == (2, "")
    assert (
        done.err.splitlines()[-1] == f"traceir: error: write --remarks={kind}: after a bare --remarks stands the input"
    )


@pytest.mark.parametrize("flag", ["--remark", "--pass", "--tim"])
def test_flags_have_no_short_forms_that_a_new_flag_could_break(flag: str, decode: Path, command: Command) -> None:
    """Least of all ones that take the input for their value."""
    done = command("run", flag, str(decode))
    assert (done.code, done.out) == (2, "")
    assert done.err.splitlines()[-1] == f"traceir: error: unrecognized arguments: {flag}"


def test_short_flags_may_stand_together(decode: Path, command: Command) -> None:
    assert command.output("run", "--passes", "infer", "-qv", str(decode))


@pytest.mark.parametrize(
    ("passes", "message"),
    [
        (
            'gaps{utilisation="["}',
            "The option utilisation of gaps is '[', which is no regular expression: unterminated character set at "
            "position 0 (column 1 of the pipeline).",
        ),
        (
            "infer{roles=no/roles.toml}",
            "The option roles of infer is 'no/roles.toml', and there is no such file.",
        ),
        (
            "group,infer{roles=bad.toml}",
            "The option roles of infer names a file that is no use: The role table bad.toml cannot be read: it is "
            "no TOML, invalid value (at end of document).",
        ),
    ],
)
def test_options_that_name_what_is_not_there_are_refused_before_the_input_is_read(
    passes: str, message: str, decode: Path, command: Command
) -> None:
    """By the option's name."""
    Path("bad.toml").write_text("a = [")
    assert command.refusal("run", "--passes", passes, "missing.tir", code=2) == message
