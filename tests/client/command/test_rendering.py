import json
import re
from pathlib import Path

import pytest
import typer
from lowbit.command.dry_run import report_dry_run
from lowbit.command.figures import decibels, factor, milliseconds, points, roughly, share, size, size_change
from lowbit.command.following import conclude, leave
from lowbit.command.layers import print_layers
from lowbit.command.options import Format
from lowbit.command.printing import print_table, printable
from lowbit.command.progress import Lines, Silence, headline
from lowbit.command.session import complain
from lowbit.command.verdict import comparison
from lowbit.errors import NoConnection, error_for
from lowbit.folder_contents import Contents
from lowbit.folder_walk import Member
from lowbit.job import Job
from lowbit.problem import Problem
from lowbit.resources import JobEstimate, Validation

from tests.client.jobs_on_paper import job, metrics, result
from tests.client.layers_on_paper import FIGURES, layer


@pytest.mark.parametrize(
    ("byte_count", "text"),
    [
        (None, "-"),
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (17_200_000, "17.2 MB"),
        (5 * 10**15, "5000.0 TB"),
    ],
)
def test_sizes(byte_count: int | None, text: str) -> None:
    assert size(byte_count) == text


def test_what_was_not_measured_is_no_zero() -> None:
    assert {size(None), share(None), points(None), milliseconds(None), factor(None), decibels(None)} == {"-"}
    assert (share(0.0), points(0.0), milliseconds(0.0), factor(0.0)) == ("0.00 %", "+0.00 points", "0 ms", "0.00x")


def test_figures_have_their_units() -> None:
    assert share(0.945, (0.92, 0.97)) == "94.50 % (92.0 to 97.0)"
    assert points(-0.005) == "-0.50 points"
    assert (decibels(0.0), decibels(36.25)) == ("0.0 dB", "36.2 dB")
    assert (milliseconds(2.345), milliseconds(1234.5)) == ("2.35 ms", "1234 ms")


def test_a_table_lines_up_and_cuts_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("ID", "NAME"), [("job_0123456789", "x"), ("job_1", "y" * 200)])
    assert capsys.readouterr().out.splitlines() == [
        "ID              NAME",
        "job_0123456789  x",
        f"job_1           {'y' * 200}",
    ]


def test_a_name_cannot_steer_the_terminal() -> None:
    assert printable("a\x1b[2Jb\r") == "a\N{REPLACEMENT CHARACTER}[2Jb\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (0.4, "0 s"), (99, "99 s"), (100, "2 min"), (5999, "100 min"), (6000, "1.7 h")],
)
def test_durations_that_are_estimates(seconds: float | None, text: str) -> None:
    assert roughly(seconds) == text


def test_a_dry_run_tells_what_the_job_would_take(capsys: pytest.CaptureFixture[str]) -> None:
    estimate: JobEstimate = {
        "peak_memory_bytes": 1_200_000_000, "quantized_bytes": 23_000_000, "seconds": 150.0, "comparable_jobs": 2
    }  # fmt: skip
    answer: Validation = {
        "ok": True, "problems": [], "warnings": [{"code": "few_samples", "detail": "Few."}],
        "resolved_recipe": {"preset": "int8-fast"}, "estimate": estimate,
    }  # fmt: skip
    report_dry_run(answer, Format.HUMAN)
    *_, memory, time, warning = capsys.readouterr().out.splitlines()
    assert memory == "It may take about 1.2 GB of memory; an int8 model has about 23.0 MB."
    assert time == "It may take about 2 min, judged by 2 finished jobs with this preset."
    assert warning == "Warning: Few."
    # nothing is known yet, or an older service does not tell
    unknown: JobEstimate = {
        "peak_memory_bytes": None, "quantized_bytes": None, "seconds": None, "comparable_jobs": 0
    }  # fmt: skip
    for left in (unknown, None):
        report_dry_run({**answer, "estimate": left}, Format.HUMAN)
        assert "It may take" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (400, 100, "4.00x smaller"),
        (1000, 999, "the same size"),
        (1000, 1000, "the same size"),
        (1000, 1001, "the same size"),
        (100, 149, "1.49x the size"),
        (100, 0, "-"),
    ],
)
def test_a_change_of_size_is_said_truly_below_at_and_above_one(before: int, after: int, words: str) -> None:
    assert size_change(before, after) == words
    rows = comparison(result(baseline=metrics(size_bytes=before), best=metrics(size_bytes=after)))
    assert {name: change for name, *_, change in rows}["size"] == words


def test_a_finished_job_prints_the_comparison_the_verdict_and_the_files(capsys: pytest.CaptureFixture[str]) -> None:
    conclude(job(warnings=[{"code": "few", "detail": "Only 90 samples."}]), Format.HUMAN, [Path("out/model.onnx")])
    lines = [re.split(r"\s{2,}", line.strip()) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        ["float", "best", "change"],
        ["variant", "float32", "percentile 99.99"],
        ["accuracy", "95.00 % (92.0 to 98.0)", "94.50 %", "-0.50 points"],
        ["agreement", "99.00 %"],
        ["size", "17.2 MB", "4.3 MB", "4.00x smaller"],
        ["latency p50", "5 ms", "2.5 ms"],
        ["speed", "1.00x", "2.00x"],
        [""],
        ["Keeps its accuracy and runs 2.0x as fast."],
        ["Warning: Only 90 samples."],
        ["out/model.onnx"],
    ]


def test_a_job_without_evaluation_still_has_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    conclude(job(result=result(outcome="no_objective", baseline=metrics(), best=metrics())), Format.HUMAN, [])
    assert re.search(r"accuracy +- +- +-\n", capsys.readouterr().out)


def test_quiet_prints_the_id_alone(capsys: pytest.CaptureFixture[str]) -> None:
    conclude(job(), Format.QUIET, [Path("out/model.onnx")])
    assert capsys.readouterr().out == "job_1\n"


def test_an_unmet_objective_prints_its_verdict_and_ends_with_three(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ending:
        conclude(job(result=result(outcome="objective_unmet", verdict="Loses 3 points.")), Format.HUMAN, [])
    assert ending.value.exit_code == 3
    assert "Loses 3 points." in capsys.readouterr().out


def test_a_failed_job_tells_why_on_stderr_and_ends_with_one(capsys: pytest.CaptureFixture[str]) -> None:
    failed = job(status="failed", result=None, error={"title": "The model holds NaN", "code": "nonfinite_weights"})
    with pytest.raises(typer.Exit) as ending:
        conclude(failed, Format.HUMAN, [])
    out, err = capsys.readouterr()
    assert ending.value.exit_code == 1
    assert out == ""
    assert err == "lowbit: job_1 failed\nThe model holds NaN\n"


def test_a_job_left_alone_names_the_way_back(capsys: pytest.CaptureFixture[str]) -> None:
    running = job(status="running", done=False, stage="calibrate", result=None)
    leave(running, Format.JSON, reason="Detached.")
    out, err = capsys.readouterr()
    assert json.loads(out) == {**running.data, "variants": [], "files": []}
    assert err == "Detached. Resume with: lowbit jobs watch job_1\n"
    leave(running, Format.QUIET)
    assert capsys.readouterr() == ("job_1\n", "")


def test_a_problem_is_text_on_stderr_and_an_object_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    raw = {"title": "Bad", "detail": "Worse.", "code": "bad_request", "status": 400, "hint": "Do better."}
    complain(error_for(Problem.parse(raw)), Format.JSON)
    out, err = capsys.readouterr()
    assert json.loads(out) == {"error": raw}
    assert err == "lowbit: Bad\nWorse.\nHint: Do better.\n"


def test_a_problem_on_this_side_has_the_same_shape(capsys: pytest.CaptureFixture[str]) -> None:
    complain(NoConnection("Nobody answers."), Format.JSON)
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "no_connection"
    complain(NoConnection("Nobody answers."), Format.QUIET)
    assert capsys.readouterr() == ("", "lowbit: Nobody answers.\n")


def test_a_log_gets_one_line_for_each_change(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines()
    for done in (1, 2, 3):
        lines.transfer(Path("some/model.onnx"), done, 3)
    for seen in (waiting(), waiting(), running("calibrate"), running("calibrate"), job()):
        lines.job(seen)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "model.onnx: 3 B transferred",
        "job_1: queued",
        "job_1: running: calibrate",
        "job_1: succeeded",
    ]


def test_what_is_packed_and_what_is_not_is_told_first(capsys: pytest.CaptureFixture[str]) -> None:
    members = (Member("config.json", Path("x"), 500), Member("model.safetensors", Path("x"), 1500))
    others = tuple(f"{number}\x1b.bin" for number in range(8))
    Lines().packing(Contents("minilm", members, others))
    Lines().packing(Contents("m", members[:1]))
    Silence().packing(Contents("m", members))
    out, err = capsys.readouterr()
    named = ", ".join(f"{number}\N{REPLACEMENT CHARACTER}.bin" for number in range(6))
    assert (out, err.splitlines()) == (
        "",
        [f"minilm: 2 files, 2.0 kB; left out: {named} and 2 more", "m: 1 file, 500 B"],
    )


def waiting() -> Job:
    return job(status="queued", done=False, result=None)


def running(stage: str) -> Job:
    return job(status="running", done=False, result=None, stage=stage)


def test_a_done_job_is_in_no_stage() -> None:
    assert headline(job(stage="package")) == "succeeded"


def test_layers_are_shown_in_the_order_of_the_graph(capsys: pytest.CaptureFixture[str]) -> None:
    unmeasured = {**FIGURES, "output_sqnr_db": None, "range_method": "min-max"}
    left = layer("a", op_type="Conv", quantized=False, reason="Excluded by name.", figures=None)
    print_layers([layer("z"), left, layer("m", figures=unmeasured)], Format.HUMAN)
    assert [re.split(r"\s{2,}", line) for line in capsys.readouterr().out.splitlines()] == [
        ["NODE", "OP", "QUANTIZED", "SQNR", "RANGE", "REASON"],
        ["z", "MatMul", "yes", "36.2 dB", "percentile 99.99", "int8 weight, uint8 input."],
        ["a", "Conv", "no", "-", "-", "Excluded by name."],
        ["m", "MatMul", "yes", "-", "min-max", "int8 weight, uint8 input."],
    ]


def test_layers_of_a_float_model_are_an_empty_table(capsys: pytest.CaptureFixture[str]) -> None:
    print_layers([], Format.HUMAN)
    print_layers([], Format.JSON)
    table, listed = capsys.readouterr().out.split("\n", 1)
    assert table.split() == ["NODE", "OP", "QUANTIZED", "SQNR", "RANGE", "REASON"]
    assert json.loads(listed) == {"object": "list", "data": []}


def test_quiet_layers_are_names_that_can_be_excluded(capsys: pytest.CaptureFixture[str]) -> None:
    print_layers([layer("z"), layer("a")], Format.QUIET)
    assert capsys.readouterr().out == "z\na\n"
