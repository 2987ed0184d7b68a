import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from app.contracts.problem import ProblemFound
from workers.ingestion.data.samples import Batch
from workers.pipeline.feeding.index_limits import index_limits, refuse_beyond

n = helper.make_node


def model_of(nodes: list[onnx.NodeProto], *, inputs: tuple[str, ...] = ("ids",), **tables: int) -> onnx.ModelProto:
    """Tables by name and number of rows, of two columns each."""
    weights = [numpy_helper.from_array(np.zeros((rows, 2), np.float32), name) for name, rows in tables.items()]
    given = [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "length"]) for name in inputs]
    return helper.make_model(helper.make_graph(nodes, "tables", given, [], weights))


def constant(name: str, array: np.ndarray) -> onnx.NodeProto:
    return n("Constant", [], [name], value=numpy_helper.from_array(array))


def test_an_input_may_index_every_row_of_its_table() -> None:
    assert index_limits(model_of([n("Gather", ["words", "ids"], ["y"])], words=7)) == {"ids": 7}


def test_of_several_tables_the_smallest_sets_the_limit_in_whatever_order_they_come() -> None:
    nodes = [n("Gather", ["words", "ids"], ["y"]), n("Gather", ["few", "ids"], ["z"])]
    assert index_limits(model_of(nodes, words=7, few=3)) == {"ids": 3}
    assert index_limits(model_of(nodes[::-1], words=7, few=3)) == {"ids": 3}


def test_each_input_has_the_limit_of_its_own_table() -> None:
    nodes = [n("Gather", ["words", "ids"], ["y"]), n("Gather", ["kinds", "types"], ["z"])]
    assert index_limits(model_of(nodes, inputs=("ids", "types"), words=7, kinds=2)) == {"ids": 7, "types": 2}


def test_an_index_is_followed_through_casts_and_identities() -> None:
    nodes = [
        n("Cast", ["ids"], ["a"], to=TensorProto.INT32),
        n("Identity", ["a"], ["b"]),
        n("Gather", ["words", "b"], ["y"]),
    ]
    assert index_limits(model_of(nodes, words=7)) == {"ids": 7}


def test_an_index_that_is_computed_has_no_limit() -> None:
    nodes = [constant("one", np.ones(1, np.int64)), n("Add", ["ids", "one"], ["a"]), n("Gather", ["words", "a"], ["y"])]
    assert index_limits(model_of(nodes, words=7)) == {}


def test_a_table_may_be_a_constant_operator() -> None:
    nodes = [constant("words", np.zeros((5, 2), np.float32)), n("Gather", ["words", "ids"], ["y"])]
    assert index_limits(model_of(nodes)) == {"ids": 5}


@pytest.mark.parametrize(
    "nodes",
    [
        pytest.param([n("Gather", ["words", "ids"], ["y"], axis=1)], id="columns are looked up"),
        pytest.param([n("Gather", ["ids", "words"], ["y"])], id="the input is the table"),
        pytest.param([n("Identity", ["words"], ["a"]), n("Gather", ["a", "ids"], ["y"])], id="a copy of a table"),
        pytest.param([constant("c", np.array(1.0)), n("Gather", ["c", "ids"], ["y"])], id="a number has no rows"),
    ],
)
def test_what_is_no_lookup_of_rows_has_no_limit(nodes: list[onnx.NodeProto]) -> None:
    assert index_limits(model_of(nodes, words=7)) == {}


@pytest.mark.parametrize(
    "batch",
    [
        pytest.param({"ids": np.array([[0, 6], [-7, -1]])}, id="the first and the last row, from both ends"),
        pytest.param({"ids": np.array([[0, 6]], np.uint8)}, id="unsigned"),
        pytest.param({"ids": np.zeros((0, 4), np.int64)}, id="no index at all"),
        pytest.param({"ids": np.array([[9.0, np.nan]])}, id="reals, which index nothing"),
        pytest.param({"mask": np.array([[99]])}, id="another input"),
    ],
)
def test_indices_that_name_a_row_pass(batch: Batch) -> None:
    refuse_beyond({"ids": 7}, batch)


@pytest.mark.parametrize(
    ("indices", "named"),
    [
        pytest.param([[0, 7]], 7, id="one beyond the last of seven, 0 to 6"),
        pytest.param([[-8, 0]], -8, id="one before the first, -7 from the end"),
        pytest.param([[-9, 3], [12, 8]], 12, id="both: the highest is named"),
    ],
)
def test_the_index_that_no_row_has_is_named_with_its_input_and_the_table(indices: list[list[int]], named: int) -> None:
    strided = np.array(indices, np.int32).T
    with pytest.raises(ProblemFound) as found:
        refuse_beyond({"ids": 7}, {"ids": strided})
    problem = found.value.problem
    assert problem.code == "calibration_index_out_of_range"
    assert problem.detail == f"ids holds {named}; the model looks it up in a table of 7 rows."
    assert [error.entry for error in problem.errors] == ["ids"]
