import json

import pytest
from lowbit.command.facts import facts, print_one
from lowbit.command.options import Format

READY = {"id": "mdl_1", "name": "first", "status": "ready", "bytes": 1500, "warnings": [], "problem": None}
SHOWN = {"id": "mdl_1", "name": "first", "status": "ready", "size": "1.5 kB"}


def test_a_rejected_model_is_shown_with_code_detail_and_hint() -> None:
    model = {
        **READY,
        "status": "rejected",
        "opset": None,
        "inputs": [{"name": "x", "dtype": "float32", "shape": ["batch", 4]}],
        "coverage": None,
        "warnings": [{"code": "odd", "detail": "It is odd."}],
        "problem": {"code": "onnx_invalid", "title": "Bad", "detail": "Worse.", "hint": "Do better."},
    }
    assert facts(model) == SHOWN | {
        "status": "rejected",
        "input x": "float32 [batch, 4]",
        "warning odd": "It is odd.",
        "problem": "onnx_invalid: Bad. Worse.",
        "hint": "Do better.",
    }


def test_a_checkpoint_is_shown_with_what_it_does_and_what_of_it_can_be_quantized() -> None:
    model = {
        **READY,
        "format": "transformers",
        "task": "text-classification",
        "classes": ["negative", "positive"],
        "tokenizer": {"vocabulary": 30522, "max_length": 512, "pads": True},
        "coverage": {
            "onnxruntime-cpu": {
                "operators_quantized": 37,
                "operators_float": 5,
                "parameters_quantized": 10617216,
                "reasons": {"Two activations are multiplied.": 3, "Not a kernel": 2},
            }
        },
        "estimate": {"peak_memory_bytes": 1_200_000_000, "quantized_bytes": 23_000_000},
        "multiplications_per_sample": 1_434_600_192,
    }
    assert facts(model) == SHOWN | {
        "format": "transformers",
        "task": "text-classification",
        "classes": "negative, positive",
        "tokenizer": "30522 tokens, texts of up to 512",
        "coverage onnxruntime-cpu": "37 of 42 operators, 10617216 parameters; "
        "3 in float: Two activations are multiplied; 2 in float: Not a kernel",
        "estimate": "about 1.2 GB of memory for a job, 23.0 MB as int8",
        "multiplications": "about 1,434.6 million for each sample",
    }


def test_what_a_model_lacks_is_said_and_long_lists_are_cut() -> None:
    model = {
        **READY,
        "classes": [f"c{number}" for number in range(1000)],
        "tokenizer": {"vocabulary": 7, "max_length": None, "pads": False},
        "image_preparation": {"kind": "image", "height": 224, "width": 224, "mean": [0.5], "input": None},
        "coverage": {"t": {"operators_quantized": 1, "operators_float": 0, "parameters_quantized": 4, "reasons": {}}},
    }
    told = facts(model)
    assert told["classes"] == "c0, c1, c2, c3, c4, c5, c6, c7, ... 992 more"
    assert told["tokenizer"] == "7 tokens, cannot pad"
    assert told["images"] == "kind=image height=224 width=224 mean=[0.5]"
    assert told["coverage t"] == "1 of 1 operators, 4 parameters"


def test_a_data_set_is_shown_with_its_preparation_and_its_first_samples() -> None:
    dataset = {
        **READY,
        "columns": [{"name": "review", "dtype": "string", "shape": [200]}],
        "preparation": {"kind": "text", "text": "review", "text_pair": None, "classes": ["bad", "very good"]},
        "preview": [{"review": "Not bad.", "label": 1}, {"review": "", "x": [1, 2.5], "label": None, "ok": True}],
    }
    assert facts(dataset) == SHOWN | {
        "column review": "string [200]",
        "preparation": "kind=text text=review classes=[bad, very good]",
        "sample 1": 'review="Not bad." label=1',
        "sample 2": 'review="" x=[1, 2.5] ok=true',
    }


def test_each_format_has_its_form(capsys: pytest.CaptureFixture[str]) -> None:
    print_one(READY, Format.JSON)
    assert json.loads(capsys.readouterr().out) == READY
    print_one(READY, Format.QUIET)
    assert capsys.readouterr().out == "mdl_1\n"
    print_one({**READY, "name": "a\x1bb"}, Format.HUMAN)
    assert "name    a\N{REPLACEMENT CHARACTER}b\n" in capsys.readouterr().out
