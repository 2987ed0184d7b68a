"""Found with a model of 30,000 inputs: a page of a hundred such models would have been 600 MB."""

import pytest

from app.contracts.inspection import DatasetInspection, ModelInspection, TensorSpec
from app.contracts.preparation import TextPreparation
from app.contracts.problem import ProblemFound
from workers.supervision.kinds.inspection import MAX_INSPECTION_BYTES, inspection_room_bytes, require_short


def model(*inputs: str) -> ModelInspection:
    specs = tuple(TensorSpec(name=name, dtype="float32", shape=("batch", 1)) for name in inputs)
    return ModelInspection(
        inputs=specs,
        outputs=(),
        opset=17,
        ir_version=9,
        producer="",
        op_counts={},
        parameters=0,
        already_quantized=False,
    )


@pytest.mark.parametrize("found", [model(*["n" * 150] * 30_000), model("n" * MAX_INSPECTION_BYTES)])
def test_many_names_and_long_ones_are_refused(found: ModelInspection) -> None:
    with pytest.raises(ProblemFound, match="It takes") as refused:
        require_short(found, code="onnx_invalid", what_takes="It takes", hint="Shorten it.")
    assert (refused.value.problem.code, refused.value.problem.hint) == ("onnx_invalid", "Shorten it.")
    assert len(refused.value.problem.model_dump_json()) < 1000


def test_real_models_and_data_sets_pass() -> None:
    require_short(model(*(f"input_{n}" for n in range(1000))), code="onnx_invalid", what_takes="")
    classes = tuple(f"n{n:08d} a breed of dog with a name of some length" for n in range(10_000))
    facts = DatasetInspection(
        format="csv",
        num_samples=1,
        columns=(),
        has_labels=True,
        preparation=TextPreparation(kind="text", text="t", classes=classes),
    )
    require_short(facts, code="preparation_invalid", what_takes="")


def test_the_room_of_an_inspection_grows_with_the_upload() -> None:
    """Small uploads are no measure of what a worker loads to look at them; large ones are."""
    assert inspection_room_bytes(1000) == 2**31 + 24_000
    assert inspection_room_bytes(10**9) > 24 * 10**9
