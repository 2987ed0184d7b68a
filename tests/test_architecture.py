"""What the layout promises, checked in fresh interpreters: lazy imports escape a static check."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
HEAVY = ("torch", "transformers", "onnx", "onnxruntime", "numpy", "workers")


def _modules_after(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(result.stdout.split())


def test_the_api_imports_no_numerics() -> None:
    settings = "dict(database_url='postgresql://h/d', broker_url='redis://h', storage_url='file:///tmp')"
    loaded = _modules_after(
        f"import app.serve.api\nfrom app.main import create_app\nfrom app.settings import Settings\n"
        f"create_app(Settings(**{settings})).openapi()"
    )
    assert "fastapi" in loaded
    assert loaded.isdisjoint(HEAVY)


def test_the_celery_side_imports_no_numerics() -> None:
    loaded = _modules_after("import os; os.environ['LOWBIT_BROKER_URL'] = 'redis://h'\nimport workers.tasks")
    assert "celery" in loaded
    assert loaded.isdisjoint(set(HEAVY) - {"workers"})


def test_the_process_of_a_job_is_held_to_its_bounds_without_a_database() -> None:
    loaded = _modules_after("import workers.supervision.process.confinement, workers.supervision.process.job_process")
    assert loaded.isdisjoint({*HEAVY, "sqlalchemy", "celery"} - {"workers"})


def test_a_job_loads_a_format_s_library_only_where_its_data_has_that_format() -> None:
    loaded = _modules_after("import workers.pipeline.inspection.dataset, workers.pipeline.quantize")
    assert {"numpy", "onnxruntime"} <= loaded
    assert loaded.isdisjoint({"pyarrow", "PIL", "torch", "transformers"})


def test_the_contracts_import_nothing_heavy() -> None:
    loaded = _modules_after("import app.contracts.result, app.contracts.problem, app.contracts.fit")
    assert loaded.isdisjoint({*HEAVY, "fastapi", "sqlalchemy", "celery"})


def test_every_part_of_the_pipeline_stands_on_a_layer() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = (contract["layers"] for contract in contracts if contract["type"] == "layers")
    named = set(re.findall(r"pipeline\.(\w+)", " ".join(layers)))
    pipeline = ROOT / "workers" / "pipeline"
    files, rooms = pipeline.glob("[!_]*.py"), pipeline.glob("*/__init__.py")
    assert {path.stem for path in files} | {path.parent.name for path in rooms} <= named
