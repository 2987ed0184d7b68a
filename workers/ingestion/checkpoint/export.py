"""The heavy half of a conversion: a model of transformers in memory, then its graph in a file, then the comparison.

Peak memory is while the graph is written: twice the weights in float32 where they lie in a file of their own, and up to
four times where they are part of one message. The model is gone before the runtime loads the file.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import PreTrainedModel

from app.contracts.problem import refuse
from workers.ingestion.checkpoint.architectures import CheckpointTask
from workers.ingestion.checkpoint.comparison import Expected, compare
from workers.ingestion.checkpoint.config_policy import CheckedConfig
from workers.ingestion.checkpoint.interface import Interface, interface_of, longest_text, made_up, trials
from workers.ingestion.checkpoint.loading import load_model
from workers.ingestion.checkpoint.tracing import answers, write_onnx
from workers.ingestion.checkpoint.weight_files import StoredWeights
from workers.protocol.canonical_files import MODEL_FILE
from workers.protocol.reporter import Reporter

_STEPS = 3


@dataclass(frozen=True)
class Exported:
    files: tuple[str, ...]
    inputs: tuple[str, ...]
    longest_text: int | None
    """In tokens."""
    vocabulary: int | None
    """Rows of the table of tokens."""
    pad_token_id: int | None


def export(checked: CheckedConfig, weights: StoredWeights, output: Path, reporter: Reporter) -> Exported:
    """Write the model's graph into the folder. Raises ProblemFound."""
    model = load_model(checked, weights, reporter)
    _check_padding(checked, model)
    interface = interface_of(checked, model)
    traced, *compared = (made_up(interface, model, trial) for trial in trials(checked, model))
    expected = [_expected(model, interface, batch) for batch in compared]
    reporter.progress(1, _STEPS, "steps")
    files = write_onnx(model, interface, traced, output)
    reporter.progress(2, _STEPS, "steps")
    exported = _facts(checked, model, interface, files)
    del model  # no circle of references holds it: its memory is free before the runtime takes its own
    compare(output / MODEL_FILE, interface, expected)
    reporter.progress(_STEPS, _STEPS, "steps")
    return exported


def _check_padding(checked: CheckedConfig, model: PreTrainedModel) -> None:
    """A decoder classifies by its last token, and finds that by where padding begins."""
    is_classifier = checked.task is CheckpointTask.TEXT_CLASSIFICATION and checked.architecture.family == "decoder"
    if is_classifier and model.config.pad_token_id is None:
        hint = "Set config.pad_token_id to the token that the model was trained with, and save again."
        raise refuse("checkpoint_invalid", "The model classifies texts and names no padding token.", hint=hint)


def _expected(model: PreTrainedModel, interface: Interface, batch: Mapping[str, torch.Tensor]) -> Expected:
    found = answers(model, interface, batch)
    return Expected(
        {name: tensor.numpy() for name, tensor in batch.items()},
        {name: answer.numpy() for name, answer in zip(interface.outputs, found, strict=True)},
    )


def _facts(checked: CheckedConfig, model: PreTrainedModel, interface: Interface, files: tuple[str, ...]) -> Exported:
    return Exported(
        files=files,
        inputs=interface.inputs,
        longest_text=longest_text(checked, model),
        vocabulary=getattr(model.config, "vocab_size", None),
        pad_token_id=getattr(model.config, "pad_token_id", None),
    )
