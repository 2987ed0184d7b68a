"""Padded tokens are neither observed nor, where whole columns are padding, computed."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from app.contracts.problem import ProblemFound
from app.contracts.recipes.presets import PRESETS
from tests.workers.pipeline.jobs import VOCABULARY, WIDTH, attention, prepared_for, quantized, sentences
from tests.workers.quantization.small_models import residual_cnn
from workers.ingestion.data.npz import open_archive
from workers.ingestion.onnx_model.description import describe
from workers.pipeline.feeding.feeder import feeder_for
from workers.pipeline.feeding.padding import PaddingReader, padding_reader
from workers.pipeline.methods.static.calibration import calibrate
from workers.pipeline.methods.static.statistics import Statistics, empty_statistics
from workers.pipeline.sensitivity.division import Division
from workers.protocol.gathering import gathering
from workers.protocol.reporter import Reporter
from workers.quantization.executor.onnxruntime_session import OnnxRuntimeSession


def reader_of(model: onnx.ModelProto) -> PaddingReader:
    return padding_reader(describe(model))


def statistics_of(model: onnx.ModelProto, path: Path, reporter: Reporter) -> Statistics:
    recipe = PRESETS["int8-accurate"]
    prepared = prepared_for(model, recipe)
    feeder = feeder_for(describe(model), open_archive(path), reporter)
    nothing = empty_statistics(prepared.model.graph, prepared.placement, gathering(recipe))
    calibrate(prepared, feeder, reporter, parts=[nothing], division=Division.undivided(feeder), threads=1)
    return nothing


def masked(*rows: str) -> Any:
    """'110' is two real tokens and a padded one."""
    mask = np.array([[int(c) for c in row] for row in rows], np.int64)
    return {"input_ids": np.arange(mask.size).reshape(mask.shape) % VOCABULARY, "attention_mask": mask}


def test_columns_that_are_padding_in_every_row_are_cut_off_and_the_outputs_stay() -> None:
    model = attention()
    session = OnnxRuntimeSession(model.SerializeToString(), threads=1)
    feeds = sentences(6, 20, longest=9)
    trimmed, tokens = reader_of(model).read(feeds)
    length = int(feeds["attention_mask"].sum(axis=1).max())
    assert {name: a.shape for name, a in trimmed.items()} == dict.fromkeys(feeds, (6, length))
    np.testing.assert_allclose(session.run(trimmed)["y"], session.run(feeds)["y"], rtol=1e-5, atol=1e-6)
    assert tokens is not None
    assert tokens.count == feeds["attention_mask"].sum()


@pytest.mark.parametrize(
    ("rows", "length"),
    [(["1100", "1000"], 2), (["0011", "1000"], 4), (["0110", "0100"], 3), (["1111"], 4), (["0000", "0000"], 4)],
)
def test_only_columns_at_the_end_are_cut(rows: Any, length: int) -> None:
    feeds = masked(*rows)
    trimmed, tokens = reader_of(attention()).read(feeds)
    for name in feeds:
        np.testing.assert_array_equal(trimmed[name], feeds[name][:, :length])
    assert tokens is not None
    assert tokens.count == "".join(rows).count("1")


def test_a_fixed_number_of_tokens_is_kept_but_padding_is_still_not_observed() -> None:
    feeds = masked("1100", "1000")
    read, tokens = reader_of(attention(4)).read(feeds)
    np.testing.assert_array_equal(read["input_ids"], feeds["input_ids"])
    assert tokens is not None
    assert tokens.kept.tolist() == [[True, True, False, False], [True, False, False, False]]


def test_a_model_without_a_mask_has_no_padding() -> None:
    x = {"x": np.zeros((2, 3, 8, 8), np.float32)}
    assert reader_of(residual_cnn()).read(x) == (x, None)


@pytest.mark.parametrize("change", ["float", "three axes", "another name"])
def test_what_only_looks_like_a_mask_is_none(change: str) -> None:
    model = attention()
    described = describe(model)
    ids, mask = described.inputs
    changes = {"float": {"dtype": "float32"}, "three axes": {"shape": ("n", 1, "t")}, "another name": {"name": "m"}}
    other = described.model_copy(update={"inputs": (ids, mask.model_copy(update=changes[change]))})
    feeds = masked("1100")
    assert padding_reader(other).read(feeds) == (feeds, None)


def test_statistics_hold_the_rows_of_real_tokens_only(npz: Any, reporter: Reporter) -> None:
    feeds = sentences(20, 12, longest=7)
    ids, mask = feeds["input_ids"], feeds["attention_mask"].astype(bool)
    model = attention()
    table = next(onnx.numpy_helper.to_array(t) for t in model.graph.initializer if t.name == "table")
    # id 0 stands for padding only: were it observed, it would be the extreme
    extreme = table.copy()
    extreme[0] = 100.0
    next(t for t in model.graph.initializer if t.name == "table").CopyFrom(
        onnx.numpy_helper.from_array(extreme, "table")
    )
    found = statistics_of(model, npz(**feeds), reporter)
    rows = table[ids[mask]]
    assert found.ranges["e"].total == mask.sum() * WIDTH
    assert (found.ranges["e"].low, found.ranges["e"].high) == (float(rows.min()), float(rows.max()))
    np.testing.assert_allclose(found.channels["e"].mean_square, np.square(rows).mean(axis=0), rtol=1e-5)
    (moments,) = [m for (tensor, _), m in found.moments.items() if tensor == "e"]
    np.testing.assert_allclose(moments.sums[0], rows.T @ rows, rtol=1e-4, atol=1e-3)
    # one row for each sample, not for each token
    assert found.ranges["mean"].total == 20 * WIDTH
    assert not reporter.warnings


def test_a_batch_without_a_real_token_is_left_out_and_counted(npz: Any, reporter: Reporter) -> None:
    feeds = sentences(20)
    feeds["attention_mask"][8:16] = 0  # the second batch of eight
    found = statistics_of(attention(), npz(**feeds), reporter)
    assert found.ranges["e"].total == feeds["attention_mask"].sum() * WIDTH
    assert found.ranges["mean"].total == 12 * WIDTH  # of a sample without tokens, nothing is known
    assert [w.code for w in reporter.warnings] == ["empty_mask"]
    assert reporter.warnings[0].detail.startswith("1 batches")


def test_data_without_any_real_token_is_refused(npz: Any, reporter: Reporter) -> None:
    feeds = sentences(20)
    feeds["attention_mask"][:] = 0
    with pytest.raises(ProblemFound) as found:
        statistics_of(attention(), npz(**feeds), reporter)
    assert found.value.problem.code == "calibration_empty"


@pytest.mark.parametrize("preset", ["int8-fast", "int8-accurate"])
def test_padding_by_the_dozen_changes_nothing_about_the_job(tmp_path: Path, preset: Any) -> None:
    short = sentences(300, 8)
    long = {name: np.pad(a, ((0, 0), (0, 24))) for name, a in short.items()}
    one, other = (quantized(tmp_path, attention(), data, preset=preset).variants[1] for data in (short, long))
    assert [layer.figures and layer.figures.input_range for layer in one.layers] == [
        layer.figures and layer.figures.input_range for layer in other.layers
    ]
    assert one.metrics.sqnr_db == pytest.approx(other.metrics.sqnr_db, abs=0.01)
