"""Names in a model: any script is welcome, and what no report can repeat is refused."""

from typing import Any

import onnx
import pytest

from tests.workers.pipeline.inspection.changed_models import changed

UNPRINTABLE = ["a\0b", "a\nb", "a\u202eb", "a\u2028b"]


def rename_input(model: onnx.ModelProto, name: str) -> None:
    model.graph.input[0].name = name
    model.graph.node[0].input[0] = name


def rename_output(model: onnx.ModelProto, name: str) -> None:
    model.graph.output[0].name = name
    model.graph.node[-1].output[0] = name


def rename_extent(model: onnx.ModelProto, name: str) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = name


def rename_operator(model: onnx.ModelProto, name: str) -> None:
    model.graph.node[1].op_type = name


def rename_domain(model: onnx.ModelProto, name: str) -> None:
    model.graph.node[1].domain = name


@pytest.mark.parametrize("name", UNPRINTABLE)
@pytest.mark.parametrize(
    ("rename", "what"),
    [
        (rename_input, "an input"),
        (rename_output, "an output"),
        (rename_extent, "a dimension of an input"),
        (rename_operator, "an operator"),
        (rename_domain, "an operator's domain"),
    ],
)
def test_names_that_no_report_can_repeat_are_refused(problem_of: Any, rename: Any, what: str, name: str) -> None:
    found = problem_of(changed(lambda m: rename(m, name)))
    assert found.code == "onnx_invalid"
    assert found.detail == f"The name of {what} holds characters that cannot be printed: a�b."
    assert found.errors[0].entry == "a�b"


def test_names_in_any_script_are_welcome(inspect: Any) -> None:
    assert inspect(changed(lambda m: rename_input(m, "Bild_é图 1"))).inputs[0].name == "Bild_é图 1"


@pytest.mark.parametrize("name", UNPRINTABLE)
def test_the_producer_is_cleaned_instead(inspect: Any, name: str) -> None:
    assert inspect(changed(lambda m: setattr(m, "producer_name", name))).producer == "a�b"


def rename_node(model: onnx.ModelProto, name: str) -> None:
    model.graph.node[0].name = name


def rename_producer(model: onnx.ModelProto, name: str) -> None:
    model.producer_name = name


@pytest.mark.parametrize("rename", [rename_input, rename_extent, rename_node, rename_producer])
def test_a_lone_surrogate_is_no_text(problem_of: Any, rename: Any) -> None:
    # ED A0 80 is how U+D800 would be spelled if UTF-8 allowed it
    data = changed(lambda m: rename(m, "xyz")).SerializeToString()
    assert problem_of(data.replace(b"xyz", b"\xed\xa0\x80")).code == "onnx_parse_error"
