"""Every value of each JSON document that we read, replaced by all kinds of others: a problem with a code, or it passes.

Nothing else may come of it: a TypeError here would end a worker's process and tell the user nothing.
"""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from app.contracts.problem import ProblemFound
from tests.workers.ingestion.checkpoint.tiny_checkpoints import SETTINGS
from tests.workers.ingestion.json_damage import damaged, written
from workers.ingestion.checkpoint.config_policy import check_config, read_settings
from workers.ingestion.checkpoint.image_preparation import image_preparation
from workers.ingestion.checkpoint.slow_tokenizer import from_slow_files
from workers.ingestion.checkpoint.tokenizer_screen import screen
from workers.ingestion.checkpoint.weight_files import stored_weights
from workers.ingestion.program.graph import checked_graph
from workers.ingestion.program.weights import checked_table
from workers.protocol.reporter import Reporter

CONFIG = {
    "architectures": ["BertForSequenceClassification"], "model_type": "bert", **SETTINGS["bert"],
    "id2label": {"0": "bad", "1": "good"}, "label2id": {"bad": 0, "good": 1}, "torch_dtype": "float32",
}  # fmt: skip
DECODER = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", **SETTINGS["llama"], "eos_token_id": [1, 2],
    "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                     "original_max_position_embeddings": 64},
}  # fmt: skip
IMAGES = {
    "do_resize": True, "size": {"shortest_edge": 224}, "crop_size": {"height": 224, "width": 224}, "crop_pct": 0.875,
    "do_center_crop": True, "do_normalize": True, "do_rescale": True, "rescale_factor": 0.004, "resample": 3,
    "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5],
}  # fmt: skip
SPECIAL = {"pad_token": {"content": "[PAD]"}, "unk_token": "[UNK]", "model_max_length": 512, "do_lower_case": True}


def refusals(check: Callable[[Any], object], document: Any) -> Counter[str]:
    """Codes of the problems by number; what passes counts under ''."""
    check(document)  # as it is, it passes
    found: Counter[str] = Counter()
    for changed in damaged(document):
        try:
            check(changed)
        except ProblemFound as refused:
            found[refused.problem.code] += 1
            json.dumps(refused.problem.model_dump(mode="json"), ensure_ascii=False).encode()  # it can be sent
        except Exception as error:
            error.add_note(f"the document is {written(changed)!r}")
            raise
        else:
            found[""] += 1
    return found


@pytest.mark.parametrize("config", [CONFIG, DECODER], ids=["encoder", "decoder"])
def test_settings_of_a_checkpoint(tmp_path: Path, config: Any) -> None:
    def check(document: Any) -> None:
        (tmp_path / "config.json").write_bytes(written(document))
        settings = read_settings(tmp_path, "config.json")
        assert settings is not None
        check_config(settings)

    codes = refusals(check, config)
    assert set(codes) == {"", "checkpoint_invalid", "config_value_out_of_range", "architecture_not_supported"}


def test_settings_of_an_image_processor(tmp_path: Path, reporter: Reporter) -> None:
    """What is not understood is said in a warning, and no preparation comes of it."""

    def check(document: Any) -> None:
        (tmp_path / "preprocessor_config.json").write_bytes(written(document))
        image_preparation(tmp_path, channels=3, reporter=reporter)

    assert set(refusals(check, IMAGES)) == {"", "checkpoint_invalid"}
    assert "image_preparation_guessed" in {notice.code for notice in reporter.warnings}


def tokenizers() -> dict[str, Any]:
    pieces = Tokenizer(models.WordPiece({"[UNK]": 0, "[CLS]": 1, "a": 2, "##b": 3}, unk_token="[UNK]"))
    pieces.normalizer = normalizers.Sequence([normalizers.BertNormalizer(), normalizers.Replace("a", "b")])
    pieces.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), pre_tokenizers.Split("b", "isolated")])
    pieces.post_processor = processors.TemplateProcessing(single="[CLS] $A", special_tokens=[("[CLS]", 1)])
    pieces.add_special_tokens(["[MASK]"])
    pairs = Tokenizer(models.BPE({"a": 0, "b": 1, "ab": 2}, [("a", "b")]))
    pairs.pre_tokenizer = pre_tokenizers.ByteLevel()
    unigrams = Tokenizer(models.Unigram([("<unk>", 0.0), ("a", -1.0)], 0))
    unigrams.pre_tokenizer = pre_tokenizers.Metaspace()
    named = {"pieces": pieces, "pairs": pairs, "unigrams": unigrams}
    return {name: json.loads(tokenizer.to_str()) for name, tokenizer in named.items()}


@pytest.mark.parametrize("kind", ["pieces", "pairs", "unigrams"])
def test_a_tokenizer(kind: str) -> None:
    assert set(refusals(screen, tokenizers()[kind])) <= {"", "tokenizer_invalid", "tokenizer_too_complex"}


def test_settings_of_a_tokenizer_in_older_files(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\na\n")

    def check(document: Any) -> None:
        (tmp_path / "tokenizer_config.json").write_bytes(written(document))
        settings = read_settings(tmp_path, "tokenizer_config.json")
        assert settings is not None
        content = from_slow_files(tmp_path, settings)
        assert content is not None
        screen(content)

    assert set(refusals(check, SPECIAL)) <= {"", "checkpoint_invalid", "tokenizer_invalid"}


def test_an_index_of_weights(tmp_path: Path) -> None:
    for shard in ("1", "2"):
        save_file({f"w{shard}": np.zeros(2, np.float32)}, tmp_path / f"model-0000{shard}-of-00002.safetensors")
    index = {
        "metadata": {"total_size": 16},
        "weight_map": {f"w{n}": f"model-0000{n}-of-00002.safetensors" for n in (1, 2)},
    }

    def check(document: Any) -> None:
        (tmp_path / "model.safetensors.index.json").write_bytes(written(document))
        stored_weights(tmp_path)

    assert set(refusals(check, index)) == {"", "checkpoint_index_invalid"}


def test_a_header_of_safetensors(tmp_path: Path) -> None:
    header = {
        "__metadata__": {"format": "pt"},
        "a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
        "b": {"dtype": "I64", "shape": [], "data_offsets": [24, 32]},
    }

    def check(document: Any) -> None:
        text = written(document)
        (tmp_path / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + bytes(32))
        stored_weights(tmp_path)

    assert set(refusals(check, header)) == {"", "safetensors_invalid"}


def argument(**kind: Any) -> dict[str, Any]:
    return {"name": "x", "arg": kind, "kind": 1}


PROGRAM = {
    "schema_version": {"major": 8, "minor": 14}, "opset_version": {"aten": 10}, "torch_version": "2.13.0",
    "verifiers": ["TRAINING"], "guards_code": [],
    "range_constraints": {"s0": {"min_val": 1, "max_val": 8}},
    "graph_module": {
        "graph": {
            "inputs": [{"as_tensor": {"name": "x"}}], "outputs": [{"as_tensor": {"name": "y"}}],
            "nodes": [
                {"target": "torch.ops.aten.relu.default", "inputs": [argument(as_tensor={"name": "x"})],
                 "outputs": [{"as_tensor": {"name": "y"}}], "metadata": {}}
            ],
            "tensor_values": {
                "x": {"dtype": 7, "sizes": [{"as_expr": {"expr_str": "s0", "hint": {"as_int": 2}}}, {"as_int": 4}],
                      "requires_grad": False, "device": {"type": "cpu", "index": None}, "strides": [{"as_int": 1}],
                      "storage_offset": {"as_int": 0}, "layout": 7}
            },
            "sym_int_values": {}, "sym_bool_values": {}, "sym_float_values": {}, "custom_obj_values": {},
        },
        "signature": {"input_specs": [{"user_input": {"arg": {"as_tensor": {"name": "x"}}}}], "output_specs": []},
        "module_call_graph": [
            {"fqn": "", "signature": {"in_spec": json.dumps(
                [1, {"type": "builtins.tuple", "context": "null", "children_spec": [
                    {"type": None, "context": None, "children_spec": []}]}])}}
        ],
    },
}  # fmt: skip


def test_the_graph_of_a_program() -> None:
    codes = refusals(lambda document: checked_graph(written(document)), PROGRAM)
    assert {"pt2_invalid", "pt2_code_not_allowed", "pt2_version_unsupported"} <= set(codes)
    assert set(codes) <= {"", "pt2_invalid", "pt2_code_not_allowed", "pt2_version_unsupported"}


def test_a_tree_of_a_program() -> None:
    call = PROGRAM["graph_module"]["module_call_graph"][0]  # type: ignore[index]  # a document of many forms
    tree = json.loads(call["signature"]["in_spec"])

    def check(document: Any) -> None:
        module = {"module_call_graph": [{"fqn": "", "signature": {"in_spec": json.dumps(document)}}]}
        checked_graph(written({**PROGRAM, "graph_module": module}))

    assert set(refusals(check, tree)) == {"", "pt2_invalid", "pt2_code_not_allowed"}


def test_a_table_of_a_program() -> None:
    meta = {
        "dtype": 7, "sizes": [{"as_int": 2}], "strides": [{"as_int": 1}], "storage_offset": {"as_int": 0}, "layout": 7,
        "device": {"type": "cpu", "index": None}, "requires_grad": True,
    }  # fmt: skip
    row = {"path_name": "weight_0", "is_param": True, "use_pickle": False, "tensor_meta": meta}

    def check(document: Any) -> None:
        checked_table(document, folder="data/weights/", prefix="weight", sizes={"data/weights/weight_0": 8})

    assert set(refusals(check, {"config": {"w": row}})) == {"", "pt2_invalid", "pt2_code_not_allowed"}
