"""From a folder of a stranger's files to a float ONNX model that computes what the checkpoint does.

screen      no code, known settings within bounds, sound files of weights     (plain Python, milliseconds)
load        transformers builds the model from what passed
export      traced, written, and compared with torch on two batches of other sizes
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from app.contracts.inspection import TokenizerInspection
from app.contracts.preparation import ImagePreparation
from app.contracts.problem import refuse
from app.contracts.status import Stage
from workers.ingestion.checkpoint.config_policy import (
    CONFIG_FILE,
    CheckedConfig,
    check_config,
    read_settings,
    unknown_settings,
)
from workers.ingestion.checkpoint.image_preparation import PREPROCESSOR_FILE, image_preparation
from workers.ingestion.checkpoint.tokenizer import take_tokenizer
from workers.ingestion.checkpoint.weight_files import StoredWeights, refuse_code, stored_weights
from workers.protocol.canonical_files import TOKENIZER_FACTS_FILE, TOKENIZER_FILE
from workers.protocol.reporter import Reporter

if TYPE_CHECKING:
    from workers.ingestion.checkpoint.export import Exported

_SENTENCE_TRANSFORMERS = "modules.json"
_OTHER_SETTINGS = (PREPROCESSOR_FILE, "processor_config.json", "tokenizer_config.json", "generation_config.json")


@dataclass(frozen=True)
class ExportedCheckpoint:
    task: str
    """In the words of the Hub: text-classification, feature-extraction, ..."""
    classes: tuple[str, ...] | None
    """In the order of the outputs, where they have names."""
    tokenizer: TokenizerInspection | None
    image_preparation: ImagePreparation | None
    files: tuple[str, ...]
    """Names of what was written."""


def export_checkpoint(folder: Path, output: Path, reporter: Reporter) -> ExportedCheckpoint:
    """Write `model.onnx` and the tokenizer's files into the empty folder `output`. Raises ProblemFound.

    folder: regular files only, with sound names; folders in it are left alone.
    """
    checked, weights = _screened(folder, reporter)
    pictures = _image_preparation(folder, checked, reporter)
    reporter.enter(Stage.EXPORT)
    # torch and transformers take seconds to import: what is refused by then never waits for them
    from workers.ingestion.checkpoint.export import export  # noqa: PLC0415

    exported = export(checked, weights, output, reporter)
    tokenizer = _tokenizer(folder, output, checked, exported)
    return ExportedCheckpoint(
        task=str(checked.task),
        classes=checked.labels.names if checked.labels is not None else None,
        tokenizer=tokenizer,
        image_preparation=pictures,
        files=(*exported.files, *((TOKENIZER_FILE, TOKENIZER_FACTS_FILE) if tokenizer is not None else ())),
    )


def _screened(folder: Path, reporter: Reporter) -> tuple[CheckedConfig, StoredWeights]:
    refuse_code(folder)
    config = read_settings(folder, CONFIG_FILE)
    if config is None:
        raise refuse("checkpoint_invalid", f"The folder has no {CONFIG_FILE}.")
    for name in _OTHER_SETTINGS:
        read_settings(folder, name)  # for what it refuses
    checked = check_config(config, only_base=(folder / _SENTENCE_TRANSFORMERS).is_file())
    weights = stored_weights(folder)
    _warn(config, checked, reporter)
    return checked, weights


def _warn(config: dict[str, object], checked: CheckedConfig, reporter: Reporter) -> None:
    if checked.unknown:
        reporter.warn("config_settings_ignored", unknown_settings(checked.unknown))
    if config.get("architectures") is None:
        reporter.warn("task_guessed", "config.json names no class in `architectures`: the model has no head then.")
    if config.get("problem_type") == "multi_label_classification":
        detail = "The model gives several classes to one text; accuracy is judged by the most likely one alone."
        reporter.warn("multi_label", detail)
    if checked.labels is not None and checked.labels.names is None and "id2label" in config:
        reporter.warn("classes_unnamed", "The names in `id2label` are missing, or not unique: classes are numbered.")


def _image_preparation(folder: Path, checked: CheckedConfig, reporter: Reporter) -> ImagePreparation | None:
    if checked.architecture.family != "vision":
        return None
    channels = checked.values.get("num_channels", 3)
    return image_preparation(folder, channels=channels, reporter=reporter)


def _tokenizer(folder: Path, output: Path, checked: CheckedConfig, exported: "Exported") -> TokenizerInspection | None:
    if checked.architecture.family == "vision":
        return None
    return take_tokenizer(
        folder,
        output,
        positions=exported.longest_text,
        inputs=exported.inputs,
        vocabulary=exported.vocabulary,
        pad_token_id=exported.pad_token_id,
    )
