"""Why a job is not made, and how jobs fail."""

from app.contracts.codes.known_problem import KnownProblem
from app.contracts.codes.names import ProblemCode

JOBS: dict[ProblemCode, KnownProblem] = {
    "target_unavailable": KnownProblem(
        422, "No such target", "Choose one that a worker here serves, such as onnxruntime-cpu."
    ),
    "recipe_node_not_found": KnownProblem(
        422,
        "The recipe names a node that the model does not have",
        "Names are those of the ONNX graph's nodes; leave out those that are not in it.",
    ),
    "recipe_op_type_unknown": KnownProblem(
        422,
        "The recipe excludes an operator type that does not exist",
        "Types are spelled as ONNX spells them, such as Conv; the model's inspection counts those that it has.",
    ),
    "nothing_to_quantize": KnownProblem(
        422, "Nothing in the model can be quantized", "Exclude less, or choose a preset that takes what the model has."
    ),
    "answers_not_finite": KnownProblem(
        422,
        "The float model answers nothing but NaN or infinity",
        "Run it on the same data with onnxruntime: there is nothing to compare a quantized model with.",
    ),
    "candidate_unsound": KnownProblem(
        500,
        "What was made of the model is not the model",
        "Leave out the operator that is named, with `nodes_to_exclude`, or choose another preset; please report it.",
    ),
    "unexpected_error": KnownProblem(
        500,
        "The job met a fault of the service",
        "The same job would meet it again; another preset may not. Please report it with the stage and the class.",
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
