"""Calls that run, or write, what an uploaded file says: none of ours is made, wherever a file of others may arrive.

Each has been a hole in somebody's service: pickles behind torch.load and numpy.load, archives unpacked by their own
names, models fetched by a hub, plugins loaded by a path in a graph, code of a checkpoint's own.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

FORBIDDEN = {
    "pickle.load", "pickle.loads", "pickle.Unpickler", "dill.load", "dill.loads", "cloudpickle.load", "joblib.load",
    "torch.load", "torch.jit.load", "torch.hub.load", "torch.package.PackageImporter", "np.load", "numpy.load",
    "marshal.loads", "shelve.open", "yaml.load", "yaml.unsafe_load", "eval", "exec", "os.system", "__import__",
    "tarfile.open", "shutil.unpack_archive", "onnx.hub.load", "hub.load", "onnx.load_external_data_for_model",
    "pq.read_table", "Trainer",
}  # fmt: skip
FORBIDDEN_METHODS = {"extractall", "register_custom_ops_library", "deserialize_cuda_engine", "sympify"}
ONLY_HERE = {"torch.export.load": "workers/ingestion/program/exporting.py"}  # of a file that was written anew


def calls(source: str) -> Iterator[tuple[ast.Call, str]]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            yield node, ast.unparse(node.func)


def is_allowed(call: ast.Call, name: str, file: str) -> bool:
    if name in FORBIDDEN or name.rpartition(".")[2] in FORBIDDEN_METHODS or ONLY_HERE.get(name, file) != file:
        return False
    asked = [k.value for k in call.keywords if k.arg in {"trust_remote_code", "allow_pickle"}]
    return all(isinstance(value, ast.Constant) and value.value is False for value in asked)


def test_nothing_runs_what_a_file_says() -> None:
    sources = {
        str(path.relative_to(ROOT)): path for folder in ("app", "workers") for path in (ROOT / folder).rglob("*.py")
    }
    assert len(sources) > 300
    found = [
        f"{file}:{call.lineno} calls {name}"
        for file, path in sources.items()
        for call, name in calls(path.read_text())
        if not is_allowed(call, name, file)
    ]
    assert found == []


@pytest.mark.parametrize(
    "line",
    [
        "torch.load(path)", "pickle.loads(data)", "archive.extractall(folder)", "onnx.hub.load(name)", "eval(text)",
        "torch.export.load(upload)", "np.load(path, allow_pickle=True)", "read(path, allow_pickle=True)",
        "model.from_pretrained(path, trust_remote_code=wanted)",
        "options.register_custom_ops_library(path)",
    ],
)  # fmt: skip
def test_each_of_them_would_be_noticed(line: str) -> None:
    ((call, name),) = calls(line)
    assert not is_allowed(call, name, "workers/somewhere.py")
