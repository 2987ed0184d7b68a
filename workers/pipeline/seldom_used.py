"""Modules that a job's process has to import and almost never uses: they are loaded when something of them is used.

onnx_ir imports sympy to calculate with the names of dimensions, which nothing of ours asks for. Loading it would take
a third of the time that a process needs before it begins its work.
"""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType

SELDOM_USED = frozenset({"sympy", "onnx_ir._symbolic_shapes"})
"""The second takes functions of the first as soon as it is loaded."""


def load_when_used() -> None:
    """To be called before anything imports them."""
    sys.meta_path.insert(0, _WhenUsed())


class _WhenUsed(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in SELDOM_USED:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec
