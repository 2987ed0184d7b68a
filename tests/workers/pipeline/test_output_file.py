import pytest
from pydantic import ValidationError

from app.contracts.result import OutputFile


def test_an_output_is_never_served_as_something_that_a_browser_runs() -> None:
    with pytest.raises(ValidationError, match="media_type"):
        OutputFile.model_validate({"path": "report.json", "kind": "report", "media_type": "text/html"})


@pytest.mark.parametrize("media_type", ["application/octet-stream", "application/json"])
def test_the_two_types_that_are_delivered_pass(media_type: str) -> None:
    assert OutputFile.model_validate({"path": "m", "kind": "model", "media_type": media_type}).media_type == media_type
