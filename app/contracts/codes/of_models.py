"""Why a model is rejected."""

from app.contracts.codes.known_problem import KnownProblem
from app.contracts.codes.names import ProblemCode

MODELS: dict[ProblemCode, KnownProblem] = {
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
}
