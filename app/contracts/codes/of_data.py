"""Why an archive or a data set is rejected, and what does not fit a model."""

from app.contracts.codes.known_problem import KnownProblem
from app.contracts.codes.names import ProblemCode

DATA: dict[ProblemCode, KnownProblem] = {
    "archive_path_traversal": KnownProblem(
        422,
        "An entry of the archive lies outside of it",
        "Pack with names relative to one folder: zip -r model.zip folder.",
    ),
    "archive_link_not_allowed": KnownProblem(422, "The archive holds a link", "Pack the files themselves."),
    "archive_nested": KnownProblem(422, "The archive holds another archive", "Unpack the inner one first."),
    "archive_too_many_entries": KnownProblem(
        422,
        "The archive holds more entries than this service accepts",
        "Leave out what is not needed, or split a data set into several.",
    ),
    "archive_duplicate_entry": KnownProblem(
        422,
        "Two entries of the archive have the same name",
        "Give each file a name of its own, whatever the case of its letters.",
    ),
    "archive_corrupt": KnownProblem(422, "The archive contradicts itself or is cut off", "Pack and upload it again."),
    "archive_bad_name": KnownProblem(
        422, "An entry's name is not accepted", "Use letters, digits, '.', '_' and '-', and at most 32 folders deep."
    ),
    "archive_bomb": KnownProblem(
        422,
        "The archive unpacks to far more than it holds",
        "Real weights and pictures hardly shrink: pack only these.",
    ),
    "archive_unsupported": KnownProblem(
        422, "The archive uses a feature that is not supported", "Use deflate, without encryption."
    ),
    "npz_invalid": KnownProblem(
        422, "The file is not a whole npz archive", "Save it with numpy.savez(path, name=array)."
    ),
    "npz_pickle_not_allowed": KnownProblem(
        422,
        "The npz holds Python objects",
        "Convert to a numeric dtype first: object arrays are pickles, which are code.",
    ),
    "npz_fortran_order": KnownProblem(
        422, "An array is stored column by column", "Save numpy.ascontiguousarray(array), so that it can be streamed."
    ),
    "parquet_invalid": KnownProblem(422, "The Parquet file cannot be read", "Write it with pyarrow or pandas."),
    "jsonl_invalid": KnownProblem(
        422, "The file is not JSON lines", "Write one JSON object a line, in UTF-8, with the same keys."
    ),
    "csv_invalid": KnownProblem(
        422, "The file is not a CSV table", "Write UTF-8 with a header line and the same number of fields in each line."
    ),
    "image_invalid": KnownProblem(422, "An image cannot be read", "PNG, JPEG, BMP and WebP are accepted."),
    "preparation_invalid": KnownProblem(
        422,
        "The declared preparation does not fit the data",
        "Create the data set again with a `preparation` that fits; docs/formats.md describes both kinds.",
    ),
    "preparation_missing": KnownProblem(
        422, "The data set does not say how its samples become the model's inputs", "Create it with `preparation`."
    ),
    "tokenizer_missing": KnownProblem(
        422,
        "The data set is text, and the model has no tokenizer",
        "Upload the model as a checkpoint, or as an archive of model.onnx and tokenizer.json.",
    ),
    "calibration_empty": KnownProblem(
        422, "The data set has no samples", "Store at least one sample; 100 to 500 are usual."
    ),
    "calibration_nonfinite": KnownProblem(
        422, "The data holds NaN or infinite values", "Remove or repair these samples."
    ),
    "calibration_input_missing": KnownProblem(
        422,
        "The data set lacks an input of the model",
        "Save an array for each input, under its name: numpy.savez(path, name=array).",
    ),
    "calibration_shape_mismatch": KnownProblem(
        422,
        "The data's shape does not fit the model",
        "The first axis counts samples; the others are the model's, whose inspection shows them: docs/formats.md.",
    ),
    "calibration_dtype_mismatch": KnownProblem(
        422,
        "The data's element type does not fit the model",
        "Convert it before saving: array.astype(dtype), with the dtype of the model's input.",
    ),
    "calibration_index_out_of_range": KnownProblem(
        422,
        "The data indexes rows that the model's table does not have",
        "Use the tokenizer or vocabulary that belongs to the model.",
    ),
    "calibration_too_large": KnownProblem(
        422, "The data set unpacks to more than this service accepts", "Use fewer samples: 100 to 500 are usual."
    ),
    "labels_invalid": KnownProblem(422, "The labels are not class indices", "Store integers from 0 in `labels`."),
    "labels_length_mismatch": KnownProblem(
        422, "The labels do not fit the samples", "Store exactly one label for each sample."
    ),
    "labels_missing": KnownProblem(
        422, "An accuracy goal needs labels", "Add an integer array `labels` to the evaluation data, or drop the goal."
    ),
    "dataset_not_ready": KnownProblem(
        409, "The data set is still being inspected", "Wait for status `ready`.", retryable=True
    ),
    "dataset_rejected": KnownProblem(422, "The data set was rejected", "The data set's `problem` says why."),
}
