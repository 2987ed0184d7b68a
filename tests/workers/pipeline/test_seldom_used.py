"""In a process of its own: here, sympy has long been loaded by others."""

import json
import subprocess
import sys
from typing import Any

from tests.workers.pipeline.test_process import ROOT

SCRIPT = """
import json, sys
from workers.pipeline.seldom_used import load_when_used
load_when_used()
import workers.pipeline.inspection.model, workers.pipeline.quantize
import onnx_ir
before = "sympy.core" in sys.modules
print(json.dumps([before, str(onnx_ir.SymbolicDim("n") + 1), "sympy.core" in sys.modules]))
"""


def _said_by(script: str) -> Any:
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_sympy_is_loaded_when_a_dimension_is_calculated_and_not_before() -> None:
    assert _said_by(SCRIPT) == [False, "n + 1", True]


def test_onnx_ir_would_load_it_at_once() -> None:
    assert _said_by("import onnx_ir, sys; print(str('sympy.core' in sys.modules).lower())") is True
