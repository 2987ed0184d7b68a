"""What a program's archive may hold, by name. Layout: torch/csrc/export/pt2_archive_constants.h of torch 2.13."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from app.contracts.problem import ProblemFound, quoted, refuse

FORMAT_FILE, VERSION_FILE, BYTE_ORDER_FILE = "archive_format", "archive_version", "byteorder"
ARCHIVE_VERSION = b"0"
_OLD_GRAPH = "serialized_exported_program.json"

_MODEL = re.compile(r"models/([A-Za-z0-9_]{1,64})\.json")
_WEIGHT = re.compile(r"data/weights/weight_\d{1,7}")
_TENSOR = re.compile(r"data/constants/tensor_\d{1,7}")
_PICKLED = re.compile(r"data/(weights|constants)/[^/]*\.pt|data/constants/(custom_obj|opaque_obj)_.*|.*\.(pkl|pickle)")
_NATIVE = re.compile(r"data/(aotinductor|executorch|mtia)/.*|.*\.(so|dylib|dll|cpp|cubin|o|a)")
_IGNORED = re.compile(r"\.data/.*|extra/.*|data/sample_inputs/[^/]*\.pt|\.format_version|\.storage_alignment")
"""Not read, and not copied: the inputs of an export are made anew from what the graph says of them."""


@dataclass(frozen=True)
class ProgramLayout:
    root: str
    """The folder that all entries lie in, with its slash."""
    model: str
    """The name of the one program in it."""
    weights: tuple[str, ...]
    constants: tuple[str, ...]

    def path(self, name: str) -> str:
        """An entry's name in the archive."""
        return self.root + name

    @property
    def graph(self) -> str:
        return f"models/{self.model}.json"

    @property
    def weights_config(self) -> str:
        return f"data/weights/{self.model}_weights_config.json"

    @property
    def constants_config(self) -> str:
        return f"data/constants/{self.model}_constants_config.json"


def layout_of(names: Sequence[str]) -> ProgramLayout:
    """Raises ProblemFound when the archive is no program, or one that holds more than a graph and numbers."""
    root = _root(names)
    inner = [name.removeprefix(root) for name in names]
    if _OLD_GRAPH in inner:
        raise _old()
    models = [found[1] for name in inner if (found := _MODEL.fullmatch(name))]
    for name in inner:
        _refuse_code(name)
    if len(models) != 1:
        detail = f"The archive holds {len(models)} programs where one is expected."
        raise refuse("pt2_invalid", detail, hint="Save a single program: torch.export.save(program, path).")
    layout = ProgramLayout(
        root,
        models[0],
        weights=tuple(name for name in inner if _WEIGHT.fullmatch(name)),
        constants=tuple(name for name in inner if _TENSOR.fullmatch(name)),
    )
    known = {layout.graph, layout.weights_config, layout.constants_config, FORMAT_FILE, VERSION_FILE, BYTE_ORDER_FILE}
    for name in inner:
        if name not in known and not any(p.fullmatch(name) for p in (_WEIGHT, _TENSOR, _IGNORED)):
            raise refuse("pt2_invalid", f"The archive holds {quoted(name)}, which no program has.", entry=name)
    for name in (layout.weights_config, layout.constants_config, VERSION_FILE):
        if name not in inner:
            raise refuse("pt2_version_unsupported", f"The archive lacks {quoted(name)}.", entry=name)
    return layout


def _root(names: Sequence[str]) -> str:
    roots = {name.partition("/")[0] for name in names}
    if len(roots) != 1 or any("/" not in name for name in names):
        raise _old()
    return roots.pop() + "/"


def _old() -> ProblemFound:
    return refuse("pt2_version_unsupported", "The archive has not the layout that torch 2.9 and newer write.")


def _refuse_code(name: str) -> None:
    if _NATIVE.fullmatch(name):
        raise refuse("pt2_native_code_not_allowed", f"The archive holds {quoted(name)}.", entry=name)
    if _PICKLED.fullmatch(name) and not _IGNORED.fullmatch(name):
        raise refuse("pt2_code_not_allowed", f"The archive holds {quoted(name)}, a Python pickle.", entry=name)
