"""The OpenAPI document is one that clients can be generated from."""

import httpx2
from openapi_spec_validator import validate


def test_the_document_is_valid_and_every_operation_is_named(http: httpx2.Client) -> None:
    document = http.get("/openapi.json").json()
    validate(document)
    operations = [op for path in document["paths"].values() for op in path.values()]
    names = [op["operationId"] for op in operations]
    assert len(set(names)) == len(names)
    assert all("HTTPValidationError" not in str(op) for op in operations)


def test_every_error_of_every_operation_is_a_problem(http: httpx2.Client) -> None:
    document = http.get("/openapi.json").json()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            for status, response in operation["responses"].items():
                if status.startswith(("4", "5")) and path != "/readyz":
                    assert list(response["content"]) == ["application/problem+json"], (method, path, status)


def test_every_locked_operation_names_the_key(http: httpx2.Client) -> None:
    document = http.get("/openapi.json").json()
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    locked = [path for path, ops in document["paths"].items() if all("security" in op for op in ops.values())]
    assert set(locked) == {path for path in document["paths"] if path.startswith("/v1/") or path == "/metrics"}
