"""The catalogue of problem codes. Codes are stable: clients branch on them. `docs/problems.md` explains each one."""

from typing import Literal, NamedTuple

ProblemCode = Literal[
    # the request
    "bad_request",
    "malformed_json",
    "validation_error",
    "missing_credentials",
    "invalid_credentials",
    "host_not_allowed",
    "forbidden",
    "rate_limited",
    "concurrency_limit",
    "quota_exceeded",
    "idempotency_key_invalid",
    "idempotency_key_reused",
    "idempotency_in_progress",
    "not_found",
    "method_not_allowed",
    "body_too_large",
    "length_required",
    "unsupported_media_type",
    "invalid_cursor",
    "range_not_satisfiable",
    "precondition_failed",
    "invalid_state_transition",
    "resource_in_use",
    "name_taken",
    "internal",
    "service_unavailable",
    # webhooks
    "url_not_allowed",
    "webhooks_disabled",
    # files
    "upload_too_large",
    "file_empty",
    "file_purpose_mismatch",
    "model_format_not_supported",
    "dataset_format_not_supported",
    "checksum_mismatch",
    "upload_parts_missing",
    "upload_part_invalid",
    "upload_complete",
    "upload_expired",
    "upload_stalled",
    # models
    "onnx_parse_error",
    "onnx_invalid",
    "onnx_external_data_missing",
    "onnx_external_data_escape",
    "onnx_external_data_bad_key",
    "onnx_checksum_mismatch",
    "onnx_operator_not_allowed",
    "onnx_opset_unsupported",
    "onnx_type_unsupported",
    "onnx_tensor_too_large",
    "model_not_ready",
    "model_rejected",
    "model_already_quantized",
    "model_not_runnable",
    "nonfinite_weights",
    "model_archive_invalid",
    "checkpoint_invalid",
    "checkpoint_index_invalid",
    "safetensors_invalid",
    "safetensors_duplicate_key",
    "remote_code_not_allowed",
    "architecture_not_supported",
    "config_key_not_allowed",
    "config_value_out_of_range",
    "tokenizer_invalid",
    "tokenizer_too_complex",
    "export_failed",
    "pt2_not_allowed",
    "pt2_code_not_allowed",
    "pt2_native_code_not_allowed",
    "pt2_invalid",
    "pt2_version_unsupported",
    "sandbox_unavailable",
    # archives
    "archive_path_traversal",
    "archive_link_not_allowed",
    "archive_nested",
    "archive_too_many_entries",
    "archive_duplicate_entry",
    "archive_corrupt",
    "archive_bad_name",
    # data sets
    "npz_invalid",
    "npz_pickle_not_allowed",
    "npz_fortran_order",
    "archive_bomb",
    "archive_unsupported",
    "parquet_invalid",
    "jsonl_invalid",
    "csv_invalid",
    "image_invalid",
    "preparation_invalid",
    "preparation_missing",
    "tokenizer_missing",
    "calibration_empty",
    "calibration_nonfinite",
    "calibration_input_missing",
    "calibration_shape_mismatch",
    "calibration_dtype_mismatch",
    "calibration_index_out_of_range",
    "calibration_too_large",
    "labels_invalid",
    "labels_length_mismatch",
    "labels_missing",
    "dataset_not_ready",
    "dataset_rejected",
    # jobs
    "target_unavailable",
    "recipe_node_not_found",
    "nothing_to_quantize",
    "inspection_crashed",
    "job_quarantined",
    "worker_lost",
    "deadline_exceeded",
    "out_of_memory",
    "insufficient_scratch",
    "artifact_store_unavailable",
]


class KnownProblem(NamedTuple):
    status: int
    title: str
    hint: str
    """What to do, or what would be accepted, where the place that finds the problem says nothing closer."""
    retryable: bool = False


CATALOGUE: dict[ProblemCode, KnownProblem] = {
    "bad_request": KnownProblem(400, "The request is not well formed", "Follow what `detail` says, and send it again."),
    "malformed_json": KnownProblem(
        400,
        "The body is not valid JSON",
        "Send one JSON value in UTF-8: no name twice in an object, no NaN, no infinity.",
    ),
    "validation_error": KnownProblem(422, "The request does not fit the schema", "See /openapi.json for the fields."),
    "missing_credentials": KnownProblem(
        401,
        "A key is required",
        "Send the header 'Authorization: Bearer <key>'; `lowbit serve` names the file it is in.",
    ),
    "invalid_credentials": KnownProblem(
        401, "The key is not valid", "Check for a truncated, revoked or expired key, or a key of another service."
    ),
    "host_not_allowed": KnownProblem(
        400, "The Host header names a host that this service does not answer for", "Start it with --allowed-hosts NAME."
    ),
    "forbidden": KnownProblem(403, "The key may not do this", "Use a key with the scope that `detail` names."),
    "rate_limited": KnownProblem(
        429, "Too many requests", "Wait as long as the Retry-After header says.", retryable=True
    ),
    "concurrency_limit": KnownProblem(
        429, "Too much is under way already", "Wait until some of it has ended.", retryable=True
    ),
    "quota_exceeded": KnownProblem(507, "The tenant's storage is used up", "Delete what is no longer needed."),
    "idempotency_key_invalid": KnownProblem(
        400, "The Idempotency-Key header is not valid", "Send 1 to 255 printable ASCII characters."
    ),
    "idempotency_key_reused": KnownProblem(
        422, "The Idempotency-Key was used for another request", "Use a new key for each new request."
    ),
    "idempotency_in_progress": KnownProblem(
        409, "The first request with this Idempotency-Key is still under way", "Try again shortly.", retryable=True
    ),
    "not_found": KnownProblem(
        404, "There is nothing at this address", "Ids are case sensitive; lists show what exists."
    ),
    "method_not_allowed": KnownProblem(405, "The method is not allowed here", "The Allow header lists what is."),
    "body_too_large": KnownProblem(
        413, "The JSON body is too large", "Send less: files go to /v1/files or /v1/uploads, not into JSON."
    ),
    "length_required": KnownProblem(
        411, "Content-Length is required", "Send Content-Length, and no Transfer-Encoding."
    ),
    "unsupported_media_type": KnownProblem(
        415, "The Content-Type is not supported here", "/openapi.json lists the types that an operation takes."
    ),
    "invalid_cursor": KnownProblem(400, "The cursor is not one of this list", "Use `last_id` of the previous page."),
    "range_not_satisfiable": KnownProblem(
        416, "The range lies outside the content", "The Content-Range header says how long the content is."
    ),
    "precondition_failed": KnownProblem(412, "The resource has changed", "Fetch it again and use its current ETag."),
    "invalid_state_transition": KnownProblem(
        409, "The job's status does not allow this", "Fetch the resource again: its `status` says what is possible."
    ),
    "resource_in_use": KnownProblem(
        409,
        "Something else still refers to this resource",
        "Delete what refers to it first, or wait until that has ended.",
    ),
    "name_taken": KnownProblem(409, "Another one has this name", "Choose another name."),
    "internal": KnownProblem(
        500, "The service failed", "Report the request id to whoever runs the service.", retryable=True
    ),
    "service_unavailable": KnownProblem(
        503, "A part of the service is not reachable", "Try again shortly.", retryable=True
    ),
    "url_not_allowed": KnownProblem(
        422, "The URL is not one that this service sends requests to", "Use https:// with a public host name."
    ),
    "webhooks_disabled": KnownProblem(
        403, "Webhooks are switched off", "Whoever runs the service can set LOWBIT_WEBHOOKS_ENABLED."
    ),
    "upload_too_large": KnownProblem(
        413, "The file is larger than this service accepts", "Whoever runs the service can raise the limit."
    ),
    "file_empty": KnownProblem(422, "The file is empty", "Check that the path names the right file."),
    "file_purpose_mismatch": KnownProblem(
        422, "The file was uploaded for another purpose", "Upload it again with the other `purpose`."
    ),
    "model_format_not_supported": KnownProblem(
        415, "The model's format is not supported", "Export it to ONNX; docs/formats.md lists what else is accepted."
    ),
    "dataset_format_not_supported": KnownProblem(
        415, "The data set's format is not supported", "Save the arrays with numpy.savez(path, name=array)."
    ),
    "checksum_mismatch": KnownProblem(
        400, "The bytes received are not the bytes announced", "Send the file again.", retryable=True
    ),
    "upload_parts_missing": KnownProblem(
        409, "Parts of the upload have not arrived", "Send them, then complete the upload again."
    ),
    "upload_part_invalid": KnownProblem(
        422,
        "The part is not one of the upload",
        "Number parts from 1; `part_bytes` and `part_count` of the upload say their sizes.",
    ),
    "upload_complete": KnownProblem(409, "The upload takes no more parts", "Begin a new upload for another file."),
    "upload_expired": KnownProblem(410, "The upload was not completed in time", "Begin a new one."),
    "upload_stalled": KnownProblem(408, "The part stopped arriving", "Send the part again.", retryable=True),
    "onnx_parse_error": KnownProblem(
        422,
        "The file is not a whole ONNX model",
        "Check that it is an .onnx file, and not cut off: compare its size with the original's.",
    ),
    "onnx_invalid": KnownProblem(
        422, "The ONNX model breaks a rule of the format", "onnx.checker.check_model shows it too."
    ),
    "onnx_external_data_missing": KnownProblem(
        422,
        "The ONNX model keeps weights in another file",
        "Pack that file beside the model, or save all in one: onnx.save_model(onnx.load(path), out).",
    ),
    "onnx_external_data_escape": KnownProblem(
        422,
        "The ONNX model names a file outside of its archive",
        "Name files beside the model, without links: onnx.save_model(model, path, save_as_external_data=True).",
    ),
    "onnx_external_data_bad_key": KnownProblem(
        422,
        "The ONNX model describes external data with words that the format does not have",
        "Only location, offset, length and checksum are known.",
    ),
    "onnx_checksum_mismatch": KnownProblem(
        422, "External data is not what its checksum says", "Upload the file that was saved with the model."
    ),
    "onnx_operator_not_allowed": KnownProblem(
        422, "The ONNX model uses an operator outside the standard", "Export with standard operators only."
    ),
    "onnx_opset_unsupported": KnownProblem(
        422,
        "The ONNX model's version is not supported",
        "onnx.version_converter.convert_version moves a model to another opset.",
    ),
    "onnx_type_unsupported": KnownProblem(
        422,
        "An input or output of the ONNX model is of a kind that is not supported",
        "Inputs take tensors of numbers; outputs give tensors, or sequences of them.",
    ),
    "onnx_tensor_too_large": KnownProblem(
        422,
        "A tensor declares a size that no real model has",
        "Extents are 0 or more, and a tensor has fewer than 2^40 elements.",
    ),
    "model_not_ready": KnownProblem(
        409, "The model is still being inspected", "Wait until its status is `ready`.", retryable=True
    ),
    "model_rejected": KnownProblem(422, "The model was rejected", "The model's `problem` says why."),
    "model_already_quantized": KnownProblem(422, "The model is quantized already", "Upload the float original."),
    "model_not_runnable": KnownProblem(
        422,
        "ONNX Runtime cannot run the model",
        "onnxruntime.InferenceSession(path) shows it too: mend the model until that opens it.",
    ),
    "nonfinite_weights": KnownProblem(
        422, "The model holds NaN or infinite weights", "Repair or retrain the float model."
    ),
    "model_archive_invalid": KnownProblem(
        422,
        "The archive does not hold one model",
        "Pack one .onnx file with its external data, or config.json with its .safetensors and tokenizer files.",
    ),
    "checkpoint_invalid": KnownProblem(
        422,
        "The checkpoint cannot be loaded",
        "Save it with model.save_pretrained(folder, safe_serialization=True) and tokenizer.save_pretrained(folder).",
    ),
    "checkpoint_index_invalid": KnownProblem(
        422, "The checkpoint's index does not fit its files", "Save the checkpoint again with save_pretrained."
    ),
    "safetensors_invalid": KnownProblem(
        422, "The file is not a sound safetensors file", "Write it with safetensors.torch.save_file."
    ),
    "safetensors_duplicate_key": KnownProblem(
        422,
        "The safetensors header names something twice",
        "Write it with safetensors.torch.save_file, which names each tensor once.",
    ),
    "remote_code_not_allowed": KnownProblem(
        422,
        "The checkpoint brings code of its own",
        "Remove the code: architectures that transformers itself has are accepted.",
    ),
    "architecture_not_supported": KnownProblem(422, "The architecture is not supported", "docs/formats.md lists them."),
    "config_key_not_allowed": KnownProblem(
        422,
        "The configuration holds a setting that could load something else",
        "Remove the setting: only what describes the network is accepted.",
    ),
    "config_value_out_of_range": KnownProblem(
        422,
        "The configuration holds a value that no real model has",
        "Use the config.json that save_pretrained wrote with these weights.",
    ),
    "tokenizer_invalid": KnownProblem(
        422, "The tokenizer cannot be loaded", "Save it with tokenizer.save_pretrained: it writes tokenizer.json."
    ),
    "tokenizer_too_complex": KnownProblem(
        422,
        "The tokenizer takes longer or more room than any real one",
        "Use the tokenizer.json that tokenizer.save_pretrained writes; docs/formats.md has the limits.",
    ),
    "export_failed": KnownProblem(
        422, "The model could not be exported to ONNX", "Export it yourself and upload ONNX."
    ),
    "pt2_not_allowed": KnownProblem(
        415, "torch.export programs are switched off", "Upload ONNX, or ask the operator for LOWBIT_ALLOW_TORCH_EXPORT."
    ),
    "pt2_code_not_allowed": KnownProblem(
        422, "The program holds what would be run as code when it is loaded", "Export it to ONNX and upload that."
    ),
    "pt2_native_code_not_allowed": KnownProblem(
        422, "The program holds native code", "Save it with torch.export.save, without compiling it."
    ),
    "pt2_invalid": KnownProblem(
        422,
        "The file is not a sound torch.export program",
        "Save it with torch.export.save(program, path), or export it to ONNX and upload that.",
    ),
    "pt2_version_unsupported": KnownProblem(
        422, "The program was written by a version of torch that is not supported", "Export it to ONNX and upload that."
    ),
    "sandbox_unavailable": KnownProblem(
        503,
        "This format is only opened in a sandbox, and the worker has none",
        "Ask the operator to run `lowbit doctor` on the worker.",
    ),
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
    "archive_bomb": KnownProblem(
        422,
        "The archive unpacks to far more than it holds",
        "Real weights and pictures hardly shrink: pack only these.",
    ),
    "archive_unsupported": KnownProblem(
        422, "The archive uses a feature that is not supported", "Use deflate, without encryption."
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
        "The first axis counts samples; the others are the model's, whose inspection shows them.",
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
    "target_unavailable": KnownProblem(
        422, "No such target", "Choose one that a worker here serves, such as onnxruntime-cpu."
    ),
    "recipe_node_not_found": KnownProblem(
        422,
        "The recipe names a node that the model does not have",
        "Names are those of the ONNX graph's nodes; leave out those that are not in it.",
    ),
    "nothing_to_quantize": KnownProblem(
        422, "Nothing in the model can be quantized", "Exclude less, or choose a preset that takes what the model has."
    ),
    "inspection_crashed": KnownProblem(
        422, "Inspecting the file ended abnormally", "The file is likely damaged; open it with its own library first."
    ),
    "job_quarantined": KnownProblem(
        500,
        "The job's process died repeatedly; it will not be tried again",
        "The model or the data may exceed what one job may use; the job's log says more.",
    ),
    "worker_lost": KnownProblem(500, "The worker vanished during the job", "Send it again.", retryable=True),
    "deadline_exceeded": KnownProblem(504, "The job took longer than it may", "Use less data or a cheaper recipe."),
    "out_of_memory": KnownProblem(
        507,
        "The job needed more memory than it may use",
        "Use smaller batches, shorter samples or a worker with more memory.",
    ),
    "insufficient_scratch": KnownProblem(
        507,
        "The worker's disk is full",
        "Try again later, or ask whoever runs the service to free its disk.",
        retryable=True,
    ),
    "artifact_store_unavailable": KnownProblem(
        503, "The artifact store cannot be reached", "Try again shortly.", retryable=True
    ),
}
