import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import CONFIG_MAPPING, PreTrainedConfig
from transformers.models.auto import modeling_auto

from app.contracts.problem import ProblemFound
from workers.ingestion.checkpoint.architectures import ARCHITECTURES, CheckpointTask
from workers.ingestion.checkpoint.config_policy import check_config, read_settings
from workers.ingestion.checkpoint.config_values import IRRELEVANT, REQUIRED, TRAINING_ONLY, VALUES

BERT = {"model_type": "bert", "architectures": ["BertForSequenceClassification"], "hidden_size": 32, "vocab_size": 99}
CODES = {
    "architecture_not_supported",
    "checkpoint_invalid",
    "config_key_not_allowed",
    "config_value_out_of_range",
    "remote_code_not_allowed",
}


@pytest.fixture
def written(tmp_path: Path) -> Any:
    """A function that writes a file's text and returns what reading and checking it comes to."""

    def run(text: str, name: str = "config.json") -> Any:
        (tmp_path / name).write_text(text)
        return check_config(read_settings(tmp_path, name) or {})

    return run


def code_of(run: Any, *arguments: Any) -> str:
    with pytest.raises(ProblemFound) as found:
        run(*arguments)
    assert len(found.value.problem.model_dump_json()) < 4000
    return found.value.problem.code


def test_known_settings_are_kept_and_the_rest_is_named(written: Any) -> None:
    found = written(
        '{"model_type":"bert","architectures":["BertModel"],"hidden_size":384,"_name_or_path":"x/y","torch_dtype":'
        '"float16","hidden_dropout_prob":0.1,"gradient_checkpointing":false,"position_embedding_type":"absolute",'
        '"chat":{"a":1},"off":false}'
    )
    assert (found.task, found.values, found.labels) == (CheckpointTask.FEATURE_EXTRACTION, {"hidden_size": 384}, None)
    assert found.unknown == ("chat",)


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"auto_map": {"AutoModel": "modeling.Evil"}}, "remote_code_not_allowed"),
        ({"nested": [{"auto_map": {}}]}, "remote_code_not_allowed"),
        ({"trust_remote_code": True}, "config_key_not_allowed"),
        ({"_attn_implementation_internal": "evil/kernel"}, "config_key_not_allowed"),
        ({"text_config": {"_attn_implementation_internal": "evil/kernel"}}, "config_key_not_allowed"),
        ({"_attn_implementation": "eager"}, "config_key_not_allowed"),
        ({"attn_implementation": "evil/kernel"}, "config_key_not_allowed"),
        ({"task_specific_params": {"x": [{"attn_implementation": "a/b"}]}}, "config_key_not_allowed"),
        ({"_anything": 1}, "config_key_not_allowed"),
        ({"__class__": "x"}, "config_key_not_allowed"),
        ({"custom_pipelines": {"x": {"impl": "x.Y"}}}, "architecture_not_supported"),
        ({"quantization_config": {"quant_method": "bitsandbytes"}}, "architecture_not_supported"),
    ],
)
def test_what_could_load_something_else_is_refused_however_deep(
    settings: dict[str, Any], code: str, tmp_path: Path
) -> None:
    for name in ("config.json", "tokenizer_config.json"):
        (tmp_path / name).write_text(json.dumps(BERT | settings))
        assert code_of(read_settings, tmp_path, name) == code


def test_names_that_users_gave_to_classes_are_no_settings() -> None:
    named = {"0": "_private", "1": "trust_remote_code"}
    found = check_config(BERT | {"id2label": named, "label2id": {"_private": 0, "trust_remote_code": 1}})
    assert found.labels is not None
    assert found.labels.names == ("_private", "trust_remote_code")


@pytest.mark.parametrize("model_type", ["evil", "", None, 3, ["bert"], "t5", "BERT", "auto"])
def test_an_unknown_architecture_is_refused_and_the_known_ones_are_listed(model_type: Any) -> None:
    with pytest.raises(ProblemFound) as found:
        check_config(BERT | {"model_type": model_type})
    assert found.value.problem.code == "architecture_not_supported"
    assert "deberta-v2" in (found.value.problem.hint or "")


@pytest.mark.parametrize(
    "classes", [["EvilModel"], ["BertLMHeadModel"], ["RobertaModel"], [], ["BertModel"] * 2, "x", [3]]
)
def test_a_class_that_is_not_of_the_architecture_is_refused(classes: Any) -> None:
    assert code_of(check_config, BERT | {"architectures": classes}) == "architecture_not_supported"


def test_without_a_class_the_model_has_no_head_and_sentence_transformers_never_has_one() -> None:
    without = {name: value for name, value in BERT.items() if name != "architectures"}
    assert check_config(without).task is CheckpointTask.FEATURE_EXTRACTION
    assert check_config(BERT, only_base=True).task is CheckpointTask.FEATURE_EXTRACTION


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hidden_size", 2**40),
        ("hidden_size", 0),
        ("hidden_size", -1),
        ("hidden_size", "768"),
        ("hidden_size", 768.0),
        ("hidden_size", True),
        ("hidden_size", None),
        ("hidden_size", [768]),
        ("num_hidden_layers", 10**9),
        ("vocab_size", 2**62),
        ("layer_norm_eps", "small"),
        ("layer_norm_eps", -1.0),
        ("hidden_act", "eval"),
        ("rope_scaling", {"rope_type": "dynamic", "factor": 2.0}),
        ("rope_scaling", {"rope_type": "linear", "factor": 1e9}),
        ("rope_scaling", {"code": 1}),
        ("rope_parameters", {"full_attention": {"rope_theta": -1}}),
        ("layer_types", ["full_attention"] * 1000),
        ("depths", [10**6]),
        ("image_size", [224, 224, 224]),
        ("pad_token_id", 99),
        ("num_labels", 10**9),
        ("id2label", {"0": "a", "2": "b"}),
        ("id2label", {"x": "a"}),
        ("id2label", {"0": 1}),
        ("id2label", ["a"]),
        ("id2label", {"00": "a"}),
    ],
)
def test_values_that_no_real_model_has_are_refused(name: str, value: Any) -> None:
    assert code_of(check_config, BERT | {name: value}) == "config_value_out_of_range"


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999", "9" * 80])
def test_numbers_that_json_does_not_have_are_refused(number: str, written: Any) -> None:
    assert code_of(written, f'{{"model_type":"bert","layer_norm_eps":{number}}}') == "config_value_out_of_range"


@pytest.mark.parametrize("text", ['{"a":1,"a":2}', "[]", "{", "[" * 70 + "]" * 70, '"x"', ""])
def test_a_configuration_that_is_not_one_is_refused(text: str, written: Any) -> None:
    assert code_of(written, text) == "checkpoint_invalid"


@pytest.mark.parametrize(
    "settings",
    [{"position_embedding_type": "relative_key"}, {"is_decoder": True}, {"chunk_size_feed_forward": 8}],
)
def test_settings_that_make_another_network_are_refused(settings: dict[str, Any]) -> None:
    assert code_of(check_config, BERT | settings) == "architecture_not_supported"


def test_placeholders_and_repeated_names_are_no_names_of_classes() -> None:
    for names in (["LABEL_0", "LABEL_1"], ["crane", "crane"], ["", "x"], ["a\n", "b"]):
        found = check_config(BERT | {"id2label": {str(number): name for number, name in enumerate(names)}})
        assert found.labels is not None
        assert (found.labels.count, found.labels.names) == (2, None)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from([*VALUES, *REQUIRED, "auto_map", "_x", "architectures", "model_type", "id2label", "num_labels"])


@given(changes=st.dictionaries(NAMES | st.text(max_size=6), JSON, max_size=4), kind=st.sampled_from([*ARCHITECTURES]))
def test_any_settings_end_in_a_known_refusal_or_in_values_within_their_bounds(changes: Any, kind: str) -> None:
    try:
        found = check_config({"model_type": kind} | changes)
    except ProblemFound as refused:
        code = refused.problem.code
    else:
        code = None
        assert all(VALUES[name](value) for name, value in found.values.items())
        assert found.architecture.model_type in ARCHITECTURES
    assert code is None or code in CODES


_OF_ALL = {field.name for field in fields(PreTrainedConfig)}


@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_every_setting_that_an_architecture_declares_has_its_rule(model_type: str) -> None:
    declared = {field.name for field in fields(CONFIG_MAPPING[model_type])} - _OF_ALL
    declared = {name for name in declared if not any(part in name for part in TRAINING_ONLY)}
    private = {"_out_features", "_out_indices"}  # which the policy refuses: they choose what a backbone returns
    assert declared - VALUES.keys() - REQUIRED.keys() - IRRELEVANT - private == set()


@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_the_defaults_of_the_library_are_within_the_bounds(model_type: str) -> None:
    written = json.loads(CONFIG_MAPPING[model_type]().to_json_string(use_diff=False))
    for name in written.keys() & (VALUES.keys() | REQUIRED.keys()):
        assert (VALUES | REQUIRED)[name](written[name]), (name, written[name])


_MAPPINGS = {
    CheckpointTask.TEXT_CLASSIFICATION: modeling_auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES,
    CheckpointTask.TOKEN_CLASSIFICATION: modeling_auto.MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES,
    CheckpointTask.QUESTION_ANSWERING: modeling_auto.MODEL_FOR_QUESTION_ANSWERING_MAPPING_NAMES,
    CheckpointTask.FILL_MASK: modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    CheckpointTask.TEXT_GENERATION: modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    CheckpointTask.IMAGE_CLASSIFICATION: modeling_auto.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES,
    CheckpointTask.FEATURE_EXTRACTION: modeling_auto.MODEL_MAPPING_NAMES,
    CheckpointTask.IMAGE_FEATURE_EXTRACTION: modeling_auto.MODEL_MAPPING_NAMES,
}


def test_the_names_of_classes_are_the_librarys() -> None:
    for architecture in ARCHITECTURES.values():
        for task in architecture.tasks:
            known = _MAPPINGS[task][architecture.model_type]
            assert architecture.class_name(task) in ((known,) if isinstance(known, str) else known)
