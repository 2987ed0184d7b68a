"""The architectures of transformers that are exported, and what each of their classes does."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from app.contracts.problem import ProblemFound, quoted, refuse

PIXELS = "pixel_values"
"""The input of vision models."""

Family = Literal["encoder", "decoder", "vision"]


class CheckpointTask(StrEnum):
    """In the words of the Hub."""

    TEXT_CLASSIFICATION = "text-classification"
    TOKEN_CLASSIFICATION = "token-classification"  # noqa: S105  no secret: a word that names what the model does
    QUESTION_ANSWERING = "question-answering"
    FILL_MASK = "fill-mask"
    TEXT_GENERATION = "text-generation"
    IMAGE_CLASSIFICATION = "image-classification"
    FEATURE_EXTRACTION = "feature-extraction"
    IMAGE_FEATURE_EXTRACTION = "image-feature-extraction"


_SUFFIXES = {
    CheckpointTask.TEXT_CLASSIFICATION: "ForSequenceClassification",
    CheckpointTask.TOKEN_CLASSIFICATION: "ForTokenClassification",
    CheckpointTask.QUESTION_ANSWERING: "ForQuestionAnswering",
    CheckpointTask.FILL_MASK: "ForMaskedLM",
    CheckpointTask.TEXT_GENERATION: "ForCausalLM",
    CheckpointTask.IMAGE_CLASSIFICATION: "ForImageClassification",
    CheckpointTask.FEATURE_EXTRACTION: "Model",
    CheckpointTask.IMAGE_FEATURE_EXTRACTION: "Model",
}

_FAMILY_TASKS: dict[Family, tuple[CheckpointTask, ...]] = {
    "encoder": (
        CheckpointTask.TEXT_CLASSIFICATION,
        CheckpointTask.TOKEN_CLASSIFICATION,
        CheckpointTask.QUESTION_ANSWERING,
        CheckpointTask.FILL_MASK,
        CheckpointTask.FEATURE_EXTRACTION,
    ),
    "decoder": (
        CheckpointTask.TEXT_CLASSIFICATION,
        CheckpointTask.TEXT_GENERATION,
        CheckpointTask.FEATURE_EXTRACTION,
    ),
    "vision": (CheckpointTask.IMAGE_CLASSIFICATION, CheckpointTask.IMAGE_FEATURE_EXTRACTION),
}

WITH_CLASSES = frozenset(
    {CheckpointTask.TEXT_CLASSIFICATION, CheckpointTask.TOKEN_CLASSIFICATION, CheckpointTask.IMAGE_CLASSIFICATION}
)


@dataclass(frozen=True)
class Architecture:
    model_type: str
    prefix: str
    """Of its classes' names."""
    family: Family
    positions: str | None = None
    """The setting that bounds a text's length, where the model has a table of positions."""
    positions_after_padding: bool = False
    """Positions are counted from behind the padding token's id, as RoBERTa does."""
    any_image_size: bool = False
    """A convolutional network, which takes images of other sizes than it was trained on."""

    @property
    def tasks(self) -> tuple[CheckpointTask, ...]:
        return _FAMILY_TASKS[self.family]

    def class_name(self, task: CheckpointTask) -> str:
        if task is CheckpointTask.TEXT_GENERATION and self.model_type == "gpt2":
            return "GPT2LMHeadModel"
        return self.prefix + _SUFFIXES[task]

    @property
    def base_task(self) -> CheckpointTask:
        """Of the model without a head."""
        return self.tasks[-1]


def _encoder(model_type: str, prefix: str, *, after_padding: bool = False) -> Architecture:
    return Architecture(model_type, prefix, "encoder", "max_position_embeddings", positions_after_padding=after_padding)


def _decoder(model_type: str, prefix: str, positions: str = "max_position_embeddings") -> Architecture:
    return Architecture(model_type, prefix, "decoder", positions)


def _vision(model_type: str, prefix: str, *, any_size: bool = False) -> Architecture:
    return Architecture(model_type, prefix, "vision", any_image_size=any_size)


ARCHITECTURES = {
    found.model_type: found
    for found in (
        _encoder("albert", "Albert"),
        _encoder("bert", "Bert"),
        _encoder("camembert", "Camembert", after_padding=True),
        _encoder("deberta", "Deberta"),
        _encoder("deberta-v2", "DebertaV2"),
        _encoder("distilbert", "DistilBert"),
        _encoder("electra", "Electra"),
        _encoder("mobilebert", "MobileBert"),
        _encoder("modernbert", "ModernBert"),
        _encoder("mpnet", "MPNet", after_padding=True),
        _encoder("roberta", "Roberta", after_padding=True),
        _encoder("xlm-roberta", "XLMRoberta", after_padding=True),
        _decoder("gemma", "Gemma"),
        _decoder("gpt2", "GPT2", "n_positions"),
        _decoder("gpt_neox", "GPTNeoX"),
        _decoder("llama", "Llama"),
        _decoder("mistral", "Mistral"),
        _decoder("opt", "OPT"),
        _decoder("qwen2", "Qwen2"),
        _decoder("qwen3", "Qwen3"),
        _vision("convnext", "ConvNext", any_size=True),
        _vision("deit", "DeiT"),
        _vision("dinov2", "Dinov2"),
        _vision("resnet", "ResNet", any_size=True),
        _vision("swin", "Swin"),
        _vision("vit", "ViT"),
    )
}

_TRAINED_WITH_MORE = {
    "BertForPreTraining": CheckpointTask.FILL_MASK,
    "AlbertForPreTraining": CheckpointTask.FILL_MASK,
    "MobileBertForPreTraining": CheckpointTask.FILL_MASK,
}
"""Classes with a second head, which only training uses."""


def architecture_of(model_type: object) -> Architecture:
    """Raises ProblemFound."""
    known = ARCHITECTURES.get(model_type) if isinstance(model_type, str) else None
    if known is None:
        raise _unsupported(f"`model_type` {quoted(str(model_type))} is not supported")
    return known


def task_of(architecture: Architecture, class_name: str) -> CheckpointTask:
    """What a class of the architecture does. Raises ProblemFound."""
    if class_name.startswith(architecture.prefix) and class_name in _TRAINED_WITH_MORE:
        return _TRAINED_WITH_MORE[class_name]
    for task in architecture.tasks:
        if architecture.class_name(task) == class_name:
            return task
    known = ", ".join(architecture.class_name(task) for task in architecture.tasks)
    raise _unsupported(f"The class {quoted(class_name)} is not supported; of this model_type are: {known}")


def _unsupported(what: str) -> ProblemFound:
    hint = f"Supported model types: {', '.join(ARCHITECTURES)}. Export others to ONNX yourself and upload that."
    return refuse("architecture_not_supported", f"{what}.", entry="config.json", hint=hint)
