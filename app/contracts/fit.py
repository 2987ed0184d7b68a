"""Does a data set fit a model? Answered from the two inspections alone, so that no job is queued in vain."""

from app.contracts.fit_columns import check_columns
from app.contracts.fit_images import check_images, without_preparation
from app.contracts.fit_text import check_text
from app.contracts.inspection import DatasetInspection, ModelInspection
from app.contracts.preparation import Preparation
from app.contracts.problem import Problem


def check_fit(model: ModelInspection, dataset: DatasetInspection) -> Problem | None:
    """The first reason why the data cannot be fed to the model, or None."""
    preparation = effective_preparation(model, dataset)
    if preparation is None:
        return without_preparation(model) if dataset.format == "images" else check_columns(model, dataset)
    if preparation.kind == "text":
        return check_text(model, preparation)
    return check_images(model, preparation)


def effective_preparation(model: ModelInspection, dataset: DatasetInspection) -> Preparation | None:
    """The data set's own, or for images what the model asks for."""
    if dataset.preparation is None and dataset.format == "images":
        return model.image_preparation
    return dataset.preparation
