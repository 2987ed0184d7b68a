"""Who is asked, how often, and on what: executors that count, on samples that say who they are."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from app.contracts.inspection import TensorSpec
from tests.workers.pipeline.jobs import attention, sentences
from workers.ingestion.data.npz import open_archive
from workers.ingestion.onnx_model.description import describe
from workers.pipeline.evaluation import judge as module
from workers.pipeline.evaluation.judge import Judge
from workers.pipeline.evaluation.tally import TopOneTally
from workers.pipeline.feeding.feeder import Feeder, feeder_for
from workers.protocol.reporter import Reporter

Y = TensorSpec(name="y", dtype="float32", shape=("n", 2))


class Adding:
    """y = x + what it adds to the second column. Remembers how many rows it was asked for."""

    name, inputs, outputs = "adding", ("x",), ("y",)

    def __init__(self, added: float = 0.0) -> None:
        self.added = added
        self.asked: list[int] = []

    def run(self, feeds: Mapping[str, Any], outputs: Sequence[str] | None = None) -> dict[str, Any]:
        self.asked.append(len(next(iter(feeds.values()))))
        return {"y": np.asarray(feeds["x"]) + np.array([0.0, self.added], np.float32)}


def feeder(npz: Any, reporter: Reporter, *, batch: int | str = "n", samples: int = 10) -> Feeder:
    """Sample i is [i, 4.5]: of class 1 while i < 4.5."""
    x = np.stack([np.arange(samples), np.full(samples, 4.5)], axis=1).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "same",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, 2])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return feeder_for(describe(model), open_archive(npz(x=x, labels=(x[:, 0] < 4.5).astype(np.int64))), reporter)


def test_the_float_model_answers_once_for_all_candidates(npz: Any, reporter: Reporter) -> None:
    original, same, other = Adding(), Adding(), Adding(added=-2.0)
    judge = Judge(original, feeder(npz, reporter), [Y], rows=4)
    first, second = judge.judge(same, TopOneTally("y")), judge.judge(other, TopOneTally("y"))
    assert original.asked == same.asked == other.asked == [4, 4, 2]
    assert (first.samples, first.agreeing, first.correct, first.sqnr.noise) == (10, 10, 10, 0.0)
    # with 2.5 in the second column, samples 3 and 4 fall to class 0: right before, wrong now
    assert (second.agreeing, second.correct, second.gained, second.lost) == (8, 8, 0, 2)
    assert second.sqnr.noise == 10 * 4.0


def test_answers_too_large_to_keep_are_computed_again(
    npz: Any, reporter: Reporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_KEPT_BYTES", 4 * 2 * 4)  # one batch of four rows of two float32
    original = Adding()
    judge = Judge(original, feeder(npz, reporter), [Y], rows=4)
    found = [judge.judge(Adding(added=-2.0), TopOneTally("y")) for _ in range(2)]
    assert original.asked == [4, 4, 2, 4, 2]
    assert found[0] == found[1]


def test_a_judge_goes_on_where_the_tally_stopped(npz: Any, reporter: Reporter) -> None:
    judge = Judge(Adding(), feeder(npz, reporter), [Y], rows=2)
    whole, candidate = judge.judge(Adding(added=-2.0), TopOneTally("y")), Adding(added=-2.0)
    tally = judge.judge(candidate, TopOneTally("y"), upto=4)
    assert (tally.samples, candidate.asked) == (4, [2, 2])
    assert judge.judge(candidate, tally) == whole
    assert candidate.asked == [2] * 5


def test_rows_that_only_fill_a_fixed_batch_are_not_counted(npz: Any, reporter: Reporter) -> None:
    candidate = Adding(added=-2.0)
    tally = Judge(Adding(), feeder(npz, reporter, batch=4), [Y], rows=4).judge(candidate, TopOneTally("y"))
    assert candidate.asked == [4, 4, 4]
    assert (tally.samples, tally.predictions, tally.sqnr.noise) == (10, 10, 40.0)


def test_how_far_it_is_is_told_after_each_batch(npz: Any, reporter: Reporter) -> None:
    seen: list[int] = []
    Judge(Adding(), feeder(npz, reporter), [Y], rows=4).judge(Adding(), TopOneTally("y"), on_samples=seen.append)
    assert seen == [4, 8, 10]


class Widths:
    """Remembers how many tokens each batch had."""

    name, inputs, outputs = "widths", ("input_ids", "attention_mask"), ("y",)

    def __init__(self) -> None:
        self.seen: list[int] = []

    def run(self, feeds: Mapping[str, Any], outputs: Sequence[str] | None = None) -> dict[str, Any]:
        self.seen.append(feeds["input_ids"].shape[1])
        return {"y": np.zeros((len(feeds["input_ids"]), 5), np.float32)}


@pytest.mark.parametrize(("shape", "widths"), [(("n", 5), [3]), (("n", "t", 5), [20])])
def test_padding_is_cut_for_predictions_of_whole_samples_and_kept_for_those_of_tokens(
    npz: Any, reporter: Reporter, shape: Any, widths: list[int]
) -> None:
    data = sentences(4, 20, longest=3)
    data["attention_mask"][0, :3] = 1
    samples = feeder_for(describe(attention()), open_archive(npz(**data)), reporter)
    candidate = Widths()
    output = TensorSpec(name="y", dtype="float32", shape=shape)
    Judge(Widths(), samples, [output], rows=4).judge(candidate, TopOneTally("y"))
    assert candidate.seen == widths


class Several(Adding):
    """Gives out z = 2 x beside y."""

    outputs = ("y", "z")

    def run(self, feeds: Mapping[str, Any], outputs: Sequence[str] | None = None) -> dict[str, Any]:
        return {**super().run(feeds), "z": 2.0 * np.asarray(feeds["x"]) + self.added}


def test_all_outputs_are_held_against_the_float_models(npz: Any, reporter: Reporter) -> None:
    z = TensorSpec(name="z", dtype="float32", shape=("n", 2))
    judge = Judge(Several(), feeder(npz, reporter), [Y, z], rows=4)
    tally = judge.judge(Several(added=-2.0), TopOneTally("y"))
    assert (tally.outputs["y"].sqnr.noise, tally.outputs["z"].sqnr.noise) == (10 * 4.0, 20 * 4.0)
