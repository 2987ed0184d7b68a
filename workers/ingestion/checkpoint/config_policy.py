"""What of a checkpoint's config.json may reach the library: known settings within bounds, and nothing that loads code.

Refused are code of the checkpoint's own (`auto_map`), anything that names another place to load from, private settings
(`_...`), which have switched off checks before, and quantized weights. What no rule knows is left out, with a warning.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.contracts.problem import ProblemFound, quoted, refuse
from app.contracts.strict_json import NamedTwice, NotStrictJson, UnboundedNumber, read_json
from workers.ingestion.checkpoint.architectures import (
    WITH_CLASSES,
    Architecture,
    CheckpointTask,
    architecture_of,
    task_of,
)
from workers.ingestion.checkpoint.config_values import IRRELEVANT, REQUIRED, TRAINING_ONLY, VALUES
from workers.ingestion.checkpoint.labels import Labels, labels_of

CONFIG_FILE = "config.json"

_MAX_BYTES = 8 << 20
_HARMLESS_PRIVATE = frozenset(
    {
        "__type", "_attn_implementation_autoset", "_commit_hash", "_from_model_config", "_name_or_path", "_num_labels",
        "_processor_class", "_remove_final_layer_norm", "_valid_processor_keys",
    }
)  # fmt: skip
"""What versions of the library have written by themselves."""
_LOADING = frozenset({"trust_remote_code", "_attn_implementation_internal", "_attn_implementation"})
_USERS_OWN_NAMES = frozenset({"label2id", "id2label"})
_MOST_NAMED = 5


@dataclass(frozen=True)
class CheckedConfig:
    architecture: Architecture
    task: CheckpointTask
    values: Mapping[str, Any]
    """Settings that the graph depends on, each within its bounds."""
    labels: Labels | None
    unknown: tuple[str, ...]
    """Settings that were left out because no rule knows them."""


def read_settings(folder: Path, name: str) -> dict[str, Any] | None:
    """A JSON file of settings that brings no code along; None where there is none. Raises ProblemFound."""
    try:
        found = read_json(folder / name, max_bytes=_MAX_BYTES)
    except FileNotFoundError:
        return None
    except NamedTwice as twice:
        raise refuse("checkpoint_invalid", f"{name} names {quoted(twice.name)} twice.", entry=name) from twice
    except UnboundedNumber as error:
        raise refuse("config_value_out_of_range", f"{name} cannot be used: {error}.", entry=name) from error
    except NotStrictJson as error:
        raise refuse("checkpoint_invalid", f"{name} cannot be read: {error}.", entry=name) from error
    if not isinstance(found, dict):
        raise refuse("checkpoint_invalid", f"{name} holds no settings.", entry=name)
    refuse_loading_settings(found, name)
    return found


def check_config(config: Mapping[str, Any], *, only_base: bool = False) -> CheckedConfig:
    """`only_base`: the model without a head is meant, whatever class is named. Raises ProblemFound."""
    architecture = architecture_of(config.get("model_type"))
    task = architecture.base_task if only_base else _task(architecture, config)
    _check_required(config)
    values = {name: _checked(name, value) for name, value in config.items() if name in VALUES}
    _check_together(values)
    return CheckedConfig(
        architecture=architecture,
        task=task,
        values=values,
        labels=labels_of(config) if task in WITH_CLASSES else None,
        unknown=tuple(name for name, value in config.items() if _is_unknown(name, value)),
    )


def refuse_loading_settings(settings: object, entry: str) -> None:
    """Raises ProblemFound for what could load something else, however deep it lies."""
    for name, value in _members(settings):
        if name == "auto_map":
            raise refuse("remote_code_not_allowed", f"{entry} names code of its own in `auto_map`.", entry=entry)
        if name in {"custom_pipelines", "custom_pipeline"}:
            raise refuse("architecture_not_supported", f"{entry} has pipelines of its own.", entry=entry)
        if name == "quantization_config" and value is not None:
            raise _already_quantized(value, entry)
        if name in _LOADING or (name.startswith("_") and name not in _HARMLESS_PRIVATE):
            raise _not_allowed(name, entry)
        if name == "attn_implementation" and "/" in str(value):
            raise _not_allowed(name, entry)


def _members(settings: object) -> Iterator[tuple[str, object]]:
    """Every setting, outermost first. Names that users gave to classes are none."""
    pending = [settings]
    while pending:
        found = pending.pop()
        if isinstance(found, dict):
            yield from found.items()
            pending.extend(value for name, value in found.items() if name not in _USERS_OWN_NAMES)
        elif isinstance(found, list):
            pending.extend(found)


def _already_quantized(value: object, entry: str) -> ProblemFound:
    method = value.get("quant_method", "another library") if isinstance(value, dict) else "another library"
    return refuse(
        "architecture_not_supported",
        f"The weights were quantized by {quoted(str(method))} already.",
        entry=entry,
        hint="Upload the checkpoint that it was made from, with weights in float.",
    )


def _not_allowed(name: str, entry: str) -> ProblemFound:
    detail = f"{entry} holds the setting {quoted(name)}, which can change where code or weights are loaded from."
    return refuse("config_key_not_allowed", detail, entry=entry)


def _task(architecture: Architecture, config: Mapping[str, Any]) -> CheckpointTask:
    classes = config.get("architectures")
    if classes is None:
        return architecture.base_task
    if not isinstance(classes, list) or len(classes) != 1 or not isinstance(classes[0], str):
        raise refuse("architecture_not_supported", "`architectures` does not name one class.", entry=CONFIG_FILE)
    return task_of(architecture, classes[0])


def _check_required(config: Mapping[str, Any]) -> None:
    for name, is_supported in REQUIRED.items():
        if name in config and not is_supported(config[name]):
            detail = f"{quoted(name)} = {quoted(str(config[name]))} makes a network that is not supported."
            raise refuse("architecture_not_supported", detail, entry=CONFIG_FILE)


def _checked(name: str, value: object) -> object:
    if not VALUES[name](value):
        detail = f"{quoted(name)} = {quoted(str(value))} in {CONFIG_FILE} is not what a model can have there."
        raise refuse("config_value_out_of_range", detail, entry=CONFIG_FILE)
    return value


def _check_together(values: Mapping[str, Any]) -> None:
    padding, vocabulary = values.get("pad_token_id"), values.get("vocab_size")
    if padding is not None and vocabulary is not None and padding >= vocabulary:
        detail = f"`pad_token_id` is {padding}, and the vocabulary has {vocabulary} entries."
        raise refuse("config_value_out_of_range", detail, entry=CONFIG_FILE)


def _is_unknown(name: str, value: object) -> bool:
    """A setting that is off, or empty, does nothing wherever it belongs."""
    is_known = name in VALUES or name in REQUIRED or name in IRRELEVANT or name in _HARMLESS_PRIVATE
    return not is_known and bool(value) and not any(part in name for part in TRAINING_ONLY)


def unknown_settings(unknown: tuple[str, ...]) -> str:
    """A sentence for the user."""
    named = ", ".join(quoted(name) for name in unknown[:_MOST_NAMED])
    more = f" and {len(unknown) - _MOST_NAMED} more" if len(unknown) > _MOST_NAMED else ""
    return quoted(f"Settings of config.json that are not known were left out: {named}{more}.")
