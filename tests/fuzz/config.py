"""Any bytes as a checkpoint's settings: a problem with a code, or values within their bounds and a form of images.

The input is config.json and preprocessor_config.json at once.
"""

import io
import math
import tempfile
from collections.abc import Iterator
from pathlib import Path

from app.contracts.problem import ProblemFound
from app.contracts.strict_json import parse_json
from workers.ingestion.checkpoint.config_policy import check_config, read_settings
from workers.ingestion.checkpoint.config_values import VALUES
from workers.ingestion.checkpoint.image_preparation import image_preparation
from workers.protocol.reporter import Reporter

CODES = {
    "checkpoint_invalid", "config_key_not_allowed", "config_value_out_of_range", "remote_code_not_allowed",
    "architecture_not_supported",
}  # fmt: skip


def one_input(data: bytes) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as scratch:
        for name in ("config.json", "preprocessor_config.json"):
            Path(scratch, name).write_bytes(data)
        try:
            settings = read_settings(Path(scratch), "config.json")
            assert settings == parse_json(data)
            assert not {"auto_map", "trust_remote_code"} & set(_keys(settings))
            prepared = image_preparation(Path(scratch), channels=3, reporter=Reporter(io.StringIO()))
            assert prepared is None or all(map(math.isfinite, (*prepared.mean, *prepared.std, prepared.scale)))
            checked = check_config(settings)
        except ProblemFound as found:
            code = found.problem.code
        else:
            assert all(VALUES[name](value) for name, value in checked.values.items())
            assert checked.labels is None or checked.labels.count > 0
            return
    assert code in CODES


def _keys(found: object) -> Iterator[str]:
    if isinstance(found, dict):
        for key, value in found.items():
            yield key
            yield from _keys(value)
    elif isinstance(found, list):
        for value in found:
            yield from _keys(value)


if __name__ == "__main__":
    from tests.fuzz.fuzzing import fuzz

    fuzz("config", instrument=["workers.ingestion.checkpoint", "app.contracts.strict_json"])
