"""How much one upload may cost: the memory of its inspection, and what is told of it afterwards.

Lists show many inspections at once, and hold all of them in the memory of the API.
"""

from app.contracts.problem import Problem, problem
from workers.protocol.outcome import DatasetInspected, ModelInspected

MAX_INSPECTION_BYTES = 2 << 20
"""As JSON. The 21,000 classes of the largest collection of pictures take a quarter of it."""

_ROOM_BYTES = 2 << 30
_ROOM_FOR_EACH_BYTE = 24


def inspection_room_bytes(uploaded_bytes: int) -> int:
    """Memory that no honest upload needs: of each byte in float16 become two, which an export holds four times at most,
    and an archive packs weights to a third at best. A graph of a kilobyte can make a runtime take all there is."""
    return _ROOM_BYTES + _ROOM_FOR_EACH_BYTE * uploaded_bytes


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
