"""A job whose model asks for more memory than any machine has: a problem with a name, and the process lives."""

import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from tests.workers.pipeline.jobs import done
from tests.workers.quantization.small_models import model_of, random_weights
from workers.protocol.outcome import Refused

N = helper.make_node
ENDLESS = 1 << 40
"""Elements: 4 TiB of float32."""


@pytest.fixture(autouse=True)
def _no_more_than_there_is() -> Iterator[None]:
    """Should one of them be given what it asks for, the test fails, and not the machine."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (16 << 30, hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def bomb(*nodes: Any) -> Any:
    """The nodes make `big`, whose sum is added to a product of [n, 16] and [16, 4]."""
    weights = random_weights(np.random.default_rng(0), w=(16, 4))
    weights |= {"extent": np.array([ENDLESS]), "zero": np.int64(0), "end": np.int64(ENDLESS), "step": np.int64(1)}
    weights |= {"one": np.ones(1, np.float32)}
    total = [N("ReduceSum", ["big"], ["total"], keepdims=0), N("Add", ["h", "total"], ["y"])]
    model = [N("MatMul", ["x", "w"], ["h"], name="product"), *nodes, *total]
    return model_of(model, weights, inputs={"x": ["n", 16]}, outputs={"y": ["n", 4]})


RANGE = [N("Range", ["zero", "end", "step"], ["r"]), N("Cast", ["r"], ["big"], to=TensorProto.FLOAT)]


@pytest.mark.parametrize(
    ("nodes", "code"),
    [
        ([N("ConstantOfShape", ["extent"], ["big"])], "out_of_memory"),
        ([N("Expand", ["one", "extent"], ["big"])], "out_of_memory"),
        (RANGE, "out_of_memory"),
        ([N("Tile", ["one", "extent"], ["big"])], "model_not_runnable"),  # ONNX Runtime has a limit of its own for it
    ],
    ids=["ConstantOfShape", "Expand", "Range", "Tile"],
)
def test_a_tensor_that_no_machine_holds_ends_in_a_named_problem(tmp_path: Path, nodes: Any, code: str) -> None:
    data = {"x": np.random.default_rng(1).normal(size=(20, 16)).astype(np.float32)}
    outcome = done(tmp_path, bomb(*nodes), data)
    assert isinstance(outcome, Refused)
    assert outcome.problem.code == code, outcome.problem.detail
    assert outcome.problem.hint
