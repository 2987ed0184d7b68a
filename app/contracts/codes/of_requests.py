"""What is wrong with a request, or with an upload at the door."""

from app.contracts.codes.known_problem import KnownProblem
from app.contracts.codes.names import ProblemCode

REQUESTS: dict[ProblemCode, KnownProblem] = {
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
}
