import onnx
import pytest

from app.contracts.close_names import close_names
from app.contracts.operator_types import STANDARD_OPERATOR_TYPES


def test_the_names_of_operators_are_those_that_onnx_knows() -> None:
    schemas = onnx.defs.get_all_schemas_with_history()
    assert {s.name for s in schemas if s.domain in {"", "ai.onnx.ml"}} == STANDARD_OPERATOR_TYPES


NODES = ("/stem/Conv", "/stages.0/block.1/Conv", "/stages.0/block.1/Add", "/head/Gemm", "constant_7")


@pytest.mark.parametrize(
    ("wanted", "close"),
    [
        ("/STEM/conv", ("/stem/Conv",)),
        ("stages.0.block.1", ("/stages.0/block.1/Conv", "/stages.0/block.1/Add")),
        ("/heat/Gemm", ("/head/Gemm",)),
        ("head", ("/head/Gemm",)),
        ("FeatureEncoder", ()),
        ("", ()),
        ("///", ()),
        ("x" * 100_000, ()),
    ],
)
def test_a_name_is_close_by_spelling_or_by_containing(wanted: str, close: tuple[str, ...]) -> None:
    assert close_names(wanted, NODES) == close


def test_what_begins_with_a_name_comes_before_what_contains_it() -> None:
    assert close_names("conv", ["a/conv", "conv/b", "c/conv/d"], most=2) == ("conv/b", "a/conv")
