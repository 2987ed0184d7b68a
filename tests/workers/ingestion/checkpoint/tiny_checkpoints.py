"""Checkpoints of every supported architecture, small and random, saved as the library saves them."""

import json
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import CONFIG_MAPPING

from workers.ingestion.checkpoint.architectures import ARCHITECTURES, CheckpointTask

VOCABULARY = 99
POSITIONS = 40

_TEXT: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 37,
    "max_position_embeddings": POSITIONS,
    "type_vocab_size": 2,
    "pad_token_id": 0,
}
_DECODER = {name: value for name, value in _TEXT.items() if name != "type_vocab_size"} | {
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_GROUPED = _DECODER | {"num_key_value_heads": 2, "head_dim": 8}
_IMAGES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 37,
    "image_size": 32,
    "patch_size": 8,
}
_DISENTANGLED = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_biased_input": False}
# one segment, as it is usual: the model then has no input for segments; padding is not token 0
_LIKE_ROBERTA = _TEXT | {"pad_token_id": 1, "type_vocab_size": 1, "max_position_embeddings": POSITIONS + 2}

SETTINGS: dict[str, dict[str, Any]] = {
    "albert": _TEXT | {"embedding_size": 16, "num_hidden_groups": 2},
    "bert": _TEXT,
    "camembert": _LIKE_ROBERTA,
    "deberta": _TEXT | _DISENTANGLED | {"type_vocab_size": 0},
    "deberta-v2": _TEXT
    | _DISENTANGLED
    | {"type_vocab_size": 0, "position_buckets": 8, "share_att_key": True, "norm_rel_ebd": "layer_norm"},
    "distilbert": {
        "vocab_size": VOCABULARY, "dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 37,
        "max_position_embeddings": POSITIONS,
    },
    "electra": _TEXT | {"embedding_size": 16},
    "mobilebert": _TEXT | {"embedding_size": 32, "intra_bottleneck_size": 32, "true_hidden_size": 32},
    # the window is 8 // 2 tokens to each side: texts of 40 go beyond it
    "modernbert": _TEXT | {"local_attention": 8, "cls_token_id": 1, "sep_token_id": 2},
    "mpnet": _LIKE_ROBERTA,
    "roberta": _LIKE_ROBERTA,
    "xlm-roberta": _LIKE_ROBERTA,
    "gemma": _GROUPED,
    "gpt2": {
        "vocab_size": VOCABULARY, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": POSITIONS, "pad_token_id": 0,
        "bos_token_id": 1, "eos_token_id": 2,
    },
    "gpt_neox": _DECODER,
    "llama": _GROUPED,
    "mistral": _GROUPED | {"sliding_window": 8},
    "opt": _DECODER | {"ffn_dim": 37, "word_embed_proj_dim": 32},
    "qwen2": _GROUPED | {"use_sliding_window": False},
    "qwen3": _GROUPED,
    "convnext": {"num_stages": 2, "hidden_sizes": [8, 16], "depths": [1, 1]},
    "deit": _IMAGES,
    "dinov2": _IMAGES | {"patch_size": 16},
    "resnet": {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"},
    "swin": {
        "image_size": 32, "patch_size": 4, "embed_dim": 8, "depths": [1, 1], "num_heads": [2, 2], "window_size": 4,
    },
    "vit": _IMAGES,
}  # fmt: skip


def tiny(model_type: str, task: CheckpointTask, **settings: Any) -> Any:
    """A model of transformers with random weights, three classes where it has any."""
    torch.manual_seed(0)
    labels = {} if task is CheckpointTask.QUESTION_ANSWERING else {"num_labels": 3}
    known = {name: value for name, value in SETTINGS[model_type].items() if name != "true_hidden_size"}
    config = CONFIG_MAPPING[model_type](**(known | labels | settings))
    model = getattr(transformers, ARCHITECTURES[model_type].class_name(task))(config)
    # initial weights are so small that outputs hardly depend on the inputs
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(4.0)
    return model.eval()


def save(
    folder: Path, model_type: str, task: CheckpointTask = CheckpointTask.TEXT_CLASSIFICATION, **settings: Any
) -> Any:
    """The model, and its checkpoint in the folder."""
    model = tiny(model_type, task, **settings)
    model.save_pretrained(folder)
    return model


def edit(path: Path, **changes: Any) -> None:
    """Change settings of a JSON file; `None` is JSON's null."""
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
