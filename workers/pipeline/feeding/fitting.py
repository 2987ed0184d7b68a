"""Do samples fit a model, now that both are open? `app.contracts.fit` asked the same of what was known before."""

from app.contracts.fit_axes import Convention
from app.contracts.fit_columns import stored_convention
from app.contracts.inspection import ColumnInspection, DatasetInspection, ModelInspection, TensorSpec
from app.contracts.problem import Problem, ProblemFound, quoted, refuse
from workers.ingestion.data.samples import LABELS, SampleColumn, Samples


def refuse_misfit(model: ModelInspection, samples: Samples) -> Convention:
    """How samples are stored, where every input has a column of its name, element type and extents.

    One that varies fits only a free extent.
    """
    columns = {c.name: c for c in samples.columns}
    for spec in model.inputs:
        if spec.name in columns:
            _refuse_varying(spec, columns[spec.name])
    found = stored_convention(model, _as_inspected(samples))
    if isinstance(found, Problem):
        raise ProblemFound(found)
    return found


def _refuse_varying(spec: TensorSpec, column: SampleColumn) -> None:
    for wanted, given in zip(spec.shape[1:], column.shape[1:], strict=False):
        if isinstance(wanted, int) and isinstance(given, str):
            detail = f"{quoted(spec.name)} varies in its number of {given}; the model takes exactly {wanted}."
            raise refuse("calibration_shape_mismatch", detail, entry=spec.name, hint="Pad all samples to that length.")


def _as_inspected(samples: Samples) -> DatasetInspection:
    """What `stored_convention` looks at. An extent that varies meets one that is free: any number does for it."""
    columns = tuple(
        ColumnInspection(
            name=c.name,
            dtype=c.dtype,
            shape=tuple(extent if isinstance(extent, int) else 1 for extent in c.shape),
            min=None,
            max=None,
            mean=None,
        )
        for c in samples.columns
    )
    has_labels = any(c.name == LABELS for c in samples.columns)
    return DatasetInspection(format="npz", num_samples=samples.num_samples, columns=columns, has_labels=has_labels)
