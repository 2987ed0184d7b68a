"""What the API says about a data set."""

from typing import Literal

from app.contracts.inspection import ColumnInspection
from app.inspected.schemas import InspectedRead


class DatasetRead(InspectedRead):
    """A data set. The fields that inspection fills in are null until its status is `ready`."""

    object: Literal["dataset"] = "dataset"
    format: Literal["npz"]
    num_samples: int | None = None
    columns: tuple[ColumnInspection, ...] | None = None
    has_labels: bool | None = None
