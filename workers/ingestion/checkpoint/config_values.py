"""The settings of a model's configuration that matter to its graph, and what each may be.

The bounds are far from what real models have, and near enough that no network is built of what lies beyond.
"""

from collections.abc import Callable, Mapping
from typing import TypeGuard

Rule = Callable[[object], bool]


def whole(low: int, high: int) -> Rule:
    return lambda value: type(value) is int and low <= value <= high


def real(low: float, high: float) -> Rule:
    return lambda value: _is_number(value) and low <= value <= high


def _is_number(value: object) -> TypeGuard[float]:
    return type(value) in {int, float}


def word(*choices: str) -> Rule:
    return lambda value: isinstance(value, str) and value in choices


_OFF = (False, None)


def only(*choices: object) -> Rule:
    return lambda value: any(type(value) is type(choice) and value == choice for choice in choices)


def list_of(rule: Rule, longest: int) -> Rule:
    return lambda value: isinstance(value, list) and 0 < len(value) <= longest and all(map(rule, value))


def or_null(rule: Rule) -> Rule:
    return lambda value: value is None or rule(value)


def either(*rules: Rule) -> Rule:
    return lambda value: any(rule(value) for rule in rules)


def flag(value: object) -> bool:
    return isinstance(value, bool)


MAX_LAYERS = 512

_WIDTH = whole(1, 1 << 18)
_LAYERS = whole(1, MAX_LAYERS)
_HEADS = whole(1, 1024)
_TABLE = whole(1, 1 << 24)
_TOKEN = or_null(whole(-1, 1 << 24))
_TOKENS = either(_TOKEN, list_of(whole(0, 1 << 24), 64))
_EPSILON = real(0.0, 1.0)
_THETA = real(1.0, 1e12)
_PIXELS = either(whole(1, 4096), list_of(whole(1, 4096), 2))
_STAGE_WIDTHS = list_of(_WIDTH, 16)
_ATTENTION = word("full_attention", "sliding_attention")
_ACTIVATION = word(
    "gelu", "gelu_10", "gelu_accurate", "gelu_fast", "gelu_new", "gelu_python", "gelu_pytorch_tanh", "laplace",
    "leaky_relu", "linear", "mish", "quick_gelu", "relu", "relu2", "relu6", "sigmoid", "silu", "swish", "tanh",
)  # fmt: skip

_ROPE: Mapping[str, Rule] = {
    "rope_type": word("default", "linear", "llama3", "yarn"),
    "type": word("default", "linear", "llama3", "yarn"),
    "rope_theta": _THETA,
    "partial_rotary_factor": real(0.0, 1.0),
    "factor": real(1e-3, 1e4),
    "low_freq_factor": real(1e-3, 1e4),
    "high_freq_factor": real(1e-3, 1e4),
    "original_max_position_embeddings": _TABLE,
    "attention_factor": or_null(real(0.0, 1e4)),
    "beta_fast": real(0.0, 1e4),
    "beta_slow": real(0.0, 1e4),
    "mscale": real(0.0, 1e4),
    "mscale_all_dim": real(0.0, 1e4),
    "truncate": flag,
}


def _rope(value: object) -> bool:
    """Plainly, or for each kind of attention."""
    if value is None:
        return True
    if not isinstance(value, dict):
        return False
    if value.keys() <= {"full_attention", "sliding_attention"}:
        return all(isinstance(part, dict) and _is_rope(part) for part in value.values())
    return _is_rope(value)


def _is_rope(value: dict[str, object]) -> bool:
    return all(name in _ROPE and _ROPE[name](found) for name, found in value.items())


VALUES: Mapping[str, Rule] = {
    # extents
    "vocab_size": _TABLE,
    "max_position_embeddings": _TABLE,
    "n_positions": _TABLE,
    "type_vocab_size": whole(0, 1024),
    "hidden_size": _WIDTH, "n_embd": _WIDTH, "dim": _WIDTH, "embed_dim": _WIDTH, "embedding_size": _WIDTH,
    "word_embed_proj_dim": or_null(_WIDTH),
    "intermediate_size": _WIDTH, "hidden_dim": _WIDTH, "ffn_dim": _WIDTH, "n_inner": or_null(_WIDTH),
    "num_hidden_layers": _LAYERS, "n_layer": _LAYERS, "n_layers": _LAYERS,
    "num_attention_heads": _HEADS, "n_head": _HEADS, "n_heads": _HEADS,
    "num_key_value_heads": or_null(_HEADS),
    "head_dim": or_null(whole(1, 4096)), "attention_head_size": whole(1, 4096),
    "num_hidden_groups": whole(1, 64), "inner_group_num": whole(1, 8),
    "num_feedforward_networks": whole(1, 16), "intra_bottleneck_size": _WIDTH,
    "pooler_output_size": or_null(_WIDTH), "pooler_hidden_size": _WIDTH,
    "hidden_sizes": _STAGE_WIDTHS, "depths": list_of(whole(1, 128), 16), "num_stages": whole(1, 16),
    "num_heads": list_of(_HEADS, 16),
    "num_channels": either(only(1), only(3)),
    "image_size": _PIXELS, "patch_size": _PIXELS, "window_size": whole(1, 64),
    "mlp_ratio": real(0.01, 64.0),
    # attention and positions
    "local_attention": _TABLE, "sliding_window": or_null(_TABLE), "max_window_layers": whole(0, MAX_LAYERS),
    "layer_types": or_null(list_of(_ATTENTION, MAX_LAYERS)),
    "global_attn_every_n_layers": whole(1, MAX_LAYERS),
    "rope_parameters": _rope, "rope_scaling": _rope,
    "rope_theta": _THETA, "global_rope_theta": _THETA, "local_rope_theta": or_null(_THETA),
    "rotary_emb_base": _THETA, "rotary_pct": real(0.0, 1.0), "partial_rotary_factor": real(0.0, 1.0),
    "relative_attention_num_buckets": whole(2, 4096),
    "max_relative_positions": whole(-1, 1 << 20), "position_buckets": whole(-1, 1 << 16),
    "pos_att_type": or_null(
        either(word("", "c2p", "p2c", "c2p|p2c", "p2c|c2p"), list_of(word("c2p", "p2c"), 4), only([]))
    ),
    "conv_kernel_size": only(0, 1, 3, 5, 7, 9, None), "conv_act": _ACTIVATION,
    "norm_rel_ebd": word("none", "layer_norm"),
    # tokens
    "pad_token_id": _TOKEN, "bos_token_id": _TOKENS, "eos_token_id": _TOKENS,
    "cls_token_id": _TOKEN, "sep_token_id": _TOKEN,
    # functions
    "hidden_act": _ACTIVATION, "hidden_activation": or_null(_ACTIVATION), "activation": _ACTIVATION,
    "activation_function": _ACTIVATION, "pooler_act": _ACTIVATION, "pooler_hidden_act": _ACTIVATION,
    "classifier_activation": either(flag, _ACTIVATION),
    "summary_type": word("first", "last", "mean", "cls_index"),
    "summary_activation": or_null(word("gelu", "tanh", "")),
    "classifier_pooling": word("cls", "mean"),
    "normalization_type": word("no_norm", "layer_norm"), "layer_type": word("basic", "bottleneck"),
    "layer_norm_eps": _EPSILON, "layer_norm_epsilon": _EPSILON, "rms_norm_eps": _EPSILON, "norm_eps": _EPSILON,
    "layer_scale_init_value": real(0.0, 1e3), "layerscale_value": real(0.0, 1e3),
    # switches
    **dict.fromkeys(
        (
            "_remove_final_layer_norm", "apply_layernorm", "attention_bias", "classifier_bias", "decoder_bias",
            "do_layer_norm_before", "downsample_in_bottleneck", "downsample_in_first_stage", "enable_bias",
            "key_query_shared_bottleneck", "layer_norm_elementwise_affine", "legacy", "mlp_bias", "norm_bias",
            "position_biased_input", "qkv_bias", "relative_attention", "reorder_and_upcast_attn", "share_att_key",
            "reshape_hidden_states", "scale_attn_by_inverse_layer_idx", "scale_attn_weights", "sinusoidal_pos_embds",
            "summary_proj_to_labels", "summary_use_proj", "tie_word_embeddings", "trigram_input",
            "use_absolute_embeddings", "use_bottleneck", "use_bottleneck_attention", "use_mask_token",
            "use_parallel_residual", "use_sliding_window", "use_swiglu_ffn",
        ),
        flag,
    ),
}  # fmt: skip
"""By the setting's name, whichever architecture it belongs to."""

REQUIRED: Mapping[str, Rule] = {
    "position_embedding_type": only("absolute", None),
    "is_decoder": only(*_OFF),
    "is_encoder_decoder": only(*_OFF),
    "add_cross_attention": only(*_OFF),
    "use_bidirectional_attention": only(*_OFF),
    "use_mrope": only(*_OFF),
    "sparse_prediction": only(*_OFF),
    "chunk_size_feed_forward": only(0, None),
    "pretraining_tp": only(1, None),
    "pruned_heads": only({}, None),
    "conv_groups": only(1, None),
}
"""Settings of which one value is supported: another would be another network."""

SPELLED_BEFORE = frozenset(
    {
        "attention_head_size", "conv_act", "conv_groups", "conv_kernel_size", "pooler_hidden_size",
        "global_attn_every_n_layers", "global_rope_theta", "local_rope_theta", "norm_rel_ebd", "partial_rotary_factor",
        "position_buckets", "rope_scaling", "rope_theta", "rotary_emb_base", "rotary_pct", "share_att_key",
    }
)  # fmt: skip
"""What configuration classes read without declaring it: the names that older versions wrote."""

TRAINING_ONLY = frozenset({"dropout", "pdrop", "drop_path", "layerdrop", "initializer", "init_std"})
"""Settings with one of these in their name change nothing in a trained network."""

IRRELEVANT = frozenset(
    {
        "architectures", "attn_implementation", "bos_id", "classifier_dropout", "cross_attention_hidden_size",
        "deterministic_flash_attn", "directionality", "down_scale_factor", "dtype", "embedding_dropout",
        "encoder_stride", "eos_id", "finetuning_task", "gap_size", "gradient_checkpointing", "id2label", "label2id",
        "language", "layers_to_keep", "model_type", "n_ctx", "net_structure_type", "num_labels", "num_layers",
        "num_memory_blocks",
        "out_features", "out_indices", "output_attentions", "output_hidden_states", "output_past", "pad_id",
        "path_norm", "pooler_fc_size", "pooler_num_attention_heads", "pooler_num_fc_layers", "pooler_size_per_head",
        "pooler_type", "prefix", "problem_type", "reference_compile", "repad_logits_with_grad", "return_dict",
        "sparse_pred_ignore_index", "stage_names", "task_specific_params", "tie_encoder_decoder", "tie_weights_",
        "tokenizer_class", "torch_dtype", "torchscript", "transformers_version", "use_bfloat16", "use_cache",
    }
)  # fmt: skip
"""What has no place in the graph: provenance, and how the model was trained or is to be run."""
