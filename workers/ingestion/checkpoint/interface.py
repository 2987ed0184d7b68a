"""The inputs and outputs of an exported model: their names, which axes stay open, and arrays to try it with."""

from collections.abc import Mapping
from dataclasses import dataclass
from inspect import signature
from typing import NamedTuple

import torch
from transformers import PreTrainedModel

from workers.ingestion.checkpoint.architectures import PIXELS, CheckpointTask
from workers.ingestion.checkpoint.config_policy import CheckedConfig

_OUTPUTS = {
    CheckpointTask.QUESTION_ANSWERING: ("start_logits", "end_logits"),
    CheckpointTask.FEATURE_EXTRACTION: ("last_hidden_state",),
    CheckpointTask.IMAGE_FEATURE_EXTRACTION: ("last_hidden_state",),
}
_OF_WHOLE_TEXTS = frozenset({CheckpointTask.TEXT_CLASSIFICATION, CheckpointTask.IMAGE_CLASSIFICATION})
_SEGMENTS = 2  # with fewer, all tokens belong to the only one, and the model needs not be told
_TRIED_EXTENT = 96  # of images, where any is right: three times what the deepest of these networks shrinks them by

Axes = Mapping[str, Mapping[int, str]]


@dataclass(frozen=True)
class Interface:
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    axes: Axes
    """The names of the axes that are not fixed."""


class Trial(NamedTuple):
    """The extents of one batch: of texts, or of images."""

    rows: int
    length: int
    height: int
    width: int


def interface_of(checked: CheckedConfig, model: PreTrainedModel) -> Interface:
    inputs = _inputs(checked, model)
    outputs = _OUTPUTS.get(checked.task, ("logits",))
    axes = {name: _input_axes(checked) for name in inputs} | {name: _output_axes(checked) for name in outputs}
    return Interface(inputs, outputs, axes)


def _inputs(checked: CheckedConfig, model: PreTrainedModel) -> tuple[str, ...]:
    if checked.architecture.family == "vision":
        return (PIXELS,)
    takes_segments = (
        checked.architecture.family == "encoder" and "token_type_ids" in signature(model.forward).parameters
    )
    has_segments = takes_segments and getattr(model.config, "type_vocab_size", 0) >= _SEGMENTS
    return ("input_ids", "attention_mask", *(("token_type_ids",) if has_segments else ()))


def _input_axes(checked: CheckedConfig) -> Mapping[int, str]:
    if checked.architecture.family != "vision":
        return {0: "batch", 1: "sequence"}
    return {0: "batch", 2: "height", 3: "width"} if checked.architecture.any_image_size else {0: "batch"}


def _output_axes(checked: CheckedConfig) -> Mapping[int, str]:
    if checked.task in _OF_WHOLE_TEXTS:
        return {0: "batch"}
    if checked.architecture.family != "vision":
        return {0: "batch", 1: "sequence"}
    return {0: "batch", 2: "rows", 3: "columns"} if checked.architecture.any_image_size else {0: "batch"}


def longest_text(checked: CheckedConfig, model: PreTrainedModel) -> int | None:
    """In tokens; None where the model has no table of positions."""
    name = checked.architecture.positions
    found = getattr(model.config, name, None) if name is not None else None
    if not isinstance(found, int) or not checked.architecture.positions_after_padding:
        return found if isinstance(found, int) else None
    padding = model.config.pad_token_id
    return max(1, found - (padding or 0) - 1)


def trials(checked: CheckedConfig, model: PreTrainedModel) -> tuple[Trial, Trial, Trial]:
    """The batch to trace with, and two of other extents to compare on.

    The long one goes beyond the windows of local attention that are usual.
    """
    longest = longest_text(checked, model) or 512
    if checked.architecture.any_image_size:
        high = wide = _TRIED_EXTENT
        other = (_TRIED_EXTENT * 2 // 3, _TRIED_EXTENT * 4 // 3)
    else:
        high, wide = _image_size(model)
        other = (high, wide)
    return (
        Trial(2, min(8, longest), high, wide),
        Trial(1, min(5, longest), high, wide),
        Trial(3, min(150, longest), *other),
    )


def _image_size(model: PreTrainedModel) -> tuple[int, int]:
    size = getattr(model.config, "image_size", _TRIED_EXTENT)
    return (size, size) if isinstance(size, int) else (size[0], size[-1])


def made_up(interface: Interface, model: PreTrainedModel, trial: Trial) -> dict[str, torch.Tensor]:
    """A batch of random tokens or pixels, the same each time. All texts but the first end in padding."""
    random = torch.Generator().manual_seed(trial.rows)
    if interface.inputs == (PIXELS,):
        pixels = (trial.rows, model.config.num_channels, trial.height, trial.width)
        return {PIXELS: torch.randn(pixels, generator=random)}
    shape = (trial.rows, trial.length)
    mask = torch.ones(shape, dtype=torch.int64)
    for row in range(1, trial.rows):
        mask[row, trial.length - row * trial.length // 4 :] = 0
    tokens = torch.randint(0, model.config.vocab_size, shape, generator=random)
    padding = getattr(model.config, "pad_token_id", None) or 0
    found = {
        "input_ids": torch.where(mask == 1, tokens, padding),
        "attention_mask": mask,
        "token_type_ids": torch.randint(0, _SEGMENTS, shape, generator=random),
    }
    return {name: found[name] for name in interface.inputs}
