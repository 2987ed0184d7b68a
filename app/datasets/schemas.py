"""What a client says of a data set when it makes one, and what the API says about it."""

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, ValidatorFunctionWrapHandler, WrapValidator
from pydantic_core import InitErrorDetails

from app.contracts.formats import DatasetFormat
from app.contracts.inspection import ColumnInspection, PreviewValue
from app.contracts.preparation import Preparation
from app.datasets.declared import refuse_unsuited
from app.inspected.schemas import InspectedCreate, InspectedRead


def _located_in_the_body(value: object, validate: ValidatorFunctionWrapHandler) -> object:
    """Errors of a union name the member that was tried, which is no part of the body: without it they are pointers."""
    try:
        return validate(value)
    except ValidationError as error:
        details = error.errors(include_url=False)
        raise ValidationError.from_exception_data(error.title, [_without_member(e) for e in details]) from error


def _without_member(error: Any) -> InitErrorDetails:  # noqa: ANN401  pydantic's own dictionary
    found = InitErrorDetails(type=error["type"], loc=error["loc"][1:], input=error["input"])
    if "ctx" in error:
        found["ctx"] = error["ctx"]
    return found


DeclaredPreparation = Annotated[Preparation, WrapValidator(_located_in_the_body)]


class DatasetCreate(InspectedCreate):
    preparation: DeclaredPreparation | None = Field(
        default=None,
        description="How rows become a model's inputs: `text` for jsonl, csv and parquet, `image` for images. Left "
        "out, it is inferred where columns have their usual names, or columns are the model's inputs already.",
    )

    def declared(self, file_format: str) -> dict[str, Any]:
        if self.preparation is None:
            return {}
        refuse_unsuited(self.preparation, file_format)
        return {"preparation": self.preparation.model_dump(mode="json")}


class DatasetRead(InspectedRead):
    """A data set. The fields that inspection fills in are null until its status is `ready`."""

    object: Literal["dataset"] = "dataset"
    format: DatasetFormat
    num_samples: int | None = None
    columns: tuple[ColumnInspection, ...] | None = None
    has_labels: bool | None = None
    preparation: Preparation | None = None
    """As declared; once `ready`, the one that holds, which may have been inferred."""
    preview: tuple[dict[str, PreviewValue], ...] | None = None
    """The first samples, shortened."""
