"""How much may be told of one upload. Lists show many at once, and hold all of it in the memory of the API."""

from app.contracts.problem import Problem, problem
from workers.pipeline.protocol import DatasetInspected, ModelInspected

MAX_INSPECTION_BYTES = 2 << 20
"""As JSON. The 21,000 classes of the largest collection of pictures take a quarter of it."""


def refusal_of_length(found: ModelInspected | DatasetInspected) -> Problem | None:
    """Why it cannot be kept, where names or numbers of them are beyond any real file's."""
    found_bytes = len(found.inspection.model_dump_json())
    if found_bytes <= MAX_INSPECTION_BYTES:
        return None
    if isinstance(found, DatasetInspected):
        detail = f"The names of columns and classes take {found_bytes} bytes; {MAX_INSPECTION_BYTES} is the limit."
        return problem("preparation_invalid", detail)
    detail = (
        f"What the model says of its inputs and outputs takes {found_bytes} bytes; {MAX_INSPECTION_BYTES} is the limit."
    )
    return problem("onnx_invalid", detail, hint="Export it with fewer inputs and outputs, or with shorter names.")
