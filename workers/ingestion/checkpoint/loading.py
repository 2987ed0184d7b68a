"""A model of transformers, made of checked settings and checked weights: no file is opened by the library.

requires: settings that passed `config_policy`, files that passed `weight_files`
ensures: every weight of the model is the checkpoint's own, in float32; nothing is left as it was initialised

First the model is built without memory, which tells how large its settings make it: the weights must be about as many.
The tensors are handed over in memory, so that the weights are held once, and so that the library's own rules for names
of older versions and for tied weights apply. Peak: the weights in float32, and the largest one twice.
"""

import inspect
import math
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any, cast

import torch
import transformers
from safetensors import safe_open
from transformers import CONFIG_MAPPING, PreTrainedConfig, PreTrainedModel
from transformers.utils.logging import disable_progress_bar

from app.contracts.problem import ProblemFound, quoted, refuse
from workers.ingestion.checkpoint.architectures import CheckpointTask
from workers.ingestion.checkpoint.config_policy import CheckedConfig
from workers.ingestion.checkpoint.config_values import SPELLED_BEFORE
from workers.ingestion.checkpoint.weight_files import FLOATS, StoredWeights
from workers.protocol.reporter import Reporter

_TIED_AT_MOST = 2
"""Times as many weights as are stored: an embedding that is the output layer too is stored once."""
_SPARE_ELEMENTS = 1 << 20
_MOST_BUFFER_ELEMENTS = 1 << 28
_MOST_NAMED = 3
_POOLER = ".pooler."  # left out on purpose


def load_model(checked: CheckedConfig, weights: StoredWeights, reporter: Reporter) -> PreTrainedModel:
    """Raises ProblemFound."""
    disable_progress_bar()  # type: ignore[no-untyped-call]  # the library's
    config = library_config(checked)
    model_class: type[PreTrainedModel] = getattr(transformers, checked.architecture.class_name(checked.task))
    options = _options(model_class, checked.task)
    _check_size(_without_memory(model_class, config, options), weights)
    model, report = _loaded(model_class, config, options, _tensors(weights, reporter))
    _check_complete(report, reporter, has_head=checked.task is not checked.architecture.base_task)
    model.train(mode=False)
    return model


def library_config(checked: CheckedConfig) -> PreTrainedConfig:
    """Raises ProblemFound."""
    config_class = CONFIG_MAPPING[checked.architecture.model_type]
    known = {field.name for field in fields(config_class)} | SPELLED_BEFORE
    values: dict[str, Any] = {name: _spelled(name, value) for name, value in checked.values.items() if name in known}
    if checked.labels is not None:
        values["num_labels"] = checked.labels.count
    try:
        config = config_class(**values)
    except Exception as error:  # a class for each rule of each configuration
        raise _contradictory(error) from error
    config.use_cache = False
    # the other implementations are fused kernels, which no graph has operators for
    config._attn_implementation = "eager"  # noqa: SLF001  the library's own name for it in a finished configuration
    return config


def _spelled(name: str, value: object) -> object:
    """-1 is how some say that there is no such token."""
    return None if name.endswith("_token_id") and value == -1 else value


def _options(model_class: type[PreTrainedModel], task: CheckpointTask) -> dict[str, Any]:
    """The pooler of a base model does not take part in its hidden states, and checkpoints often lack it."""
    is_base = task in {CheckpointTask.FEATURE_EXTRACTION, CheckpointTask.IMAGE_FEATURE_EXTRACTION}
    takes_it = "add_pooling_layer" in inspect.signature(model_class).parameters
    return {"add_pooling_layer": False} if is_base and takes_it else {}


def _without_memory(
    model_class: type[PreTrainedModel], config: PreTrainedConfig, options: Mapping[str, Any]
) -> PreTrainedModel:
    try:
        with torch.device("meta"):
            return model_class(config, **options)
    except Exception as error:  # whatever settings that contradict each other lead to
        raise _contradictory(error) from error


def _check_size(model: PreTrainedModel, weights: StoredWeights) -> None:
    declared = sum(math.prod(parameter.shape) for parameter in model.parameters())
    buffers = sum(math.prod(buffer.shape) for buffer in model.buffers())
    if declared > _TIED_AT_MOST * weights.elements + _SPARE_ELEMENTS or buffers > _MOST_BUFFER_ELEMENTS:
        detail = f"config.json describes a model of {declared} weights, and the files hold {weights.elements}."
        raise refuse("config_value_out_of_range", detail, entry="config.json")


def _tensors(weights: StoredWeights, reporter: Reporter) -> dict[str, torch.Tensor]:
    """All tensors in memory, floats as float32. Raises ProblemFound for NaN and infinite values."""
    total = sum(len(tensors) for tensors in weights.files.values())
    found: dict[str, torch.Tensor] = {}
    for path, tensors in weights.files.items():
        with safe_open(path, framework="pt") as file:
            for tensor in tensors:
                value = file.get_tensor(tensor.name)
                found[tensor.name] = _float32(tensor.name, value) if tensor.dtype in FLOATS else value
                reporter.progress(len(found), total, "tensors")
    return found


def _float32(name: str, value: torch.Tensor) -> torch.Tensor:
    if not torch.isfinite(value).all():
        detail = f"The weights {quoted(name)} hold NaN or infinite values."
        raise refuse("nonfinite_weights", detail, entry=name)
    converted = value.to(torch.float32)
    if not torch.isfinite(converted).all():  # float64 holds more than float32
        detail = f"The weights {quoted(name)} hold values that float32 cannot hold."
        raise refuse("nonfinite_weights", detail, entry=name)
    return converted


def _loaded(
    model_class: type[PreTrainedModel],
    config: PreTrainedConfig,
    options: Mapping[str, Any],
    tensors: dict[str, torch.Tensor],
) -> tuple[PreTrainedModel, Mapping[str, Any]]:
    try:
        return cast(
            "tuple[PreTrainedModel, Mapping[str, Any]]",
            model_class.from_pretrained(
                None,
                config=config,
                state_dict=tensors,
                output_loading_info=True,
                local_files_only=True,
                trust_remote_code=False,
                dtype=torch.float32,
                attn_implementation="eager",
                **options,
            ),
        )
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # the library's ways to say that weights do not fit are many
        detail = "The weights do not have the shapes that config.json describes."
        raise refuse("checkpoint_invalid", detail) from error


def _check_complete(report: Mapping[str, Any], reporter: Reporter, *, has_head: bool) -> None:
    missing = sorted(report["missing_keys"]) + sorted(str(key) for key in report["mismatched_keys"])
    if missing:
        why = " A head that was never trained answers at random." if has_head else ""
        detail = f"The files lack {len(missing)} of the model's weights: {_some(missing)}.{why}"
        raise refuse("checkpoint_invalid", quoted(detail), entry=missing[0])
    unused = sorted(key for key in report["unexpected_keys"] if _POOLER not in f".{key}")
    if unused:
        detail = quoted(f"{len(unused)} stored tensors are no part of the exported model: {_some(unused)}.")
        reporter.warn("weights_unused", detail)


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:_MOST_NAMED]) + (", ..." if len(listed) > _MOST_NAMED else "")


def _contradictory(error: Exception) -> ProblemFound:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
    return refuse(
        "checkpoint_invalid", f"config.json describes no working model: {quoted(reason)}", entry="config.json"
    )
