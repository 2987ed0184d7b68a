"""An ONNX graph as a differentiable torch module.

Float constants become parameters, all others buffers, so that the module can be trained and saved like any other. Who
trains it chooses among `weights`, which go by their ONNX names: torch allows no dots in names.
"""

from collections.abc import Mapping, Sequence

import onnx_ir as ir
import torch
from torch import Tensor, nn

from workers.quantization.executor.binding import HOST, bind
from workers.quantization.executor.element_types import to_torch
from workers.quantization.executor.executor import (
    ConstantIsFixed,
    InputMissing,
    OperatorFailed,
    ValueNotInGraph,
)
from workers.quantization.executor.listing import Listing, list_calls
from workers.quantization.executor.schedule import Argument, Scheduled, Step, schedule
from workers.quantization.executor.shape_memory import ShapeMemory


class GraphModule(nn.Module):
    """`forward` takes tensors by name and returns those asked for by name: outputs, or any value of the graph."""

    def __init__(self, model: ir.Model, *, device: str | torch.device = "cpu") -> None:
        """Reads the model and keeps copies of its weights. Raises OperatorNotSupported."""
        super().__init__()
        self.device = torch.device(device)
        listing = list_calls(model)
        self.inputs, self.outputs = listing.inputs, listing.outputs
        self._aliases = listing.aliases
        self._known = frozenset(listing.known())
        self._steps = bind(listing, self.device)
        self._bound = {a.name for step in self._steps for a in step.arguments if a is not None and a.form == "literal"}
        self._attribute_of: dict[str, str] = {}
        self._keep_constants(listing)
        self._memory = ShapeMemory(self._steps)
        self._schedules: dict[tuple[tuple[str, ...], bool], tuple[Scheduled, ...]] = {}

    @property
    def weights(self) -> Mapping[str, nn.Parameter]:
        """The parameters by their ONNX names."""
        return {name: p for name, a in self._attribute_of.items() if isinstance(p := getattr(self, a), nn.Parameter)}

    def forward(self, feeds: Mapping[str, Tensor], outputs: Sequence[str] | None = None) -> dict[str, Tensor]:
        """Raises InputMissing, ConstantIsFixed, ValueNotInGraph, OperatorFailed."""
        names = tuple(outputs) if outputs is not None else self.outputs
        remembered = self._memory.recall(names, feeds)
        plan = self._plan(names, settled=remembered is not None)
        values = self._given(feeds)
        if remembered is None:
            self._memory.keep(names, feeds, self._run_all(plan, values))
        else:
            values.update(remembered)
            self._run_all(plan, values)
        return {name: values[self._aliases.get(name, name)] for name in names}

    def _plan(self, names: tuple[str, ...], *, settled: bool) -> tuple[Scheduled, ...]:
        """Without the steps that shapes settle, if their values are remembered. Raises ValueNotInGraph."""
        if (names, settled) not in self._schedules:
            unknown = tuple(name for name in names if name not in self._known)
            if unknown:
                raise ValueNotInGraph(unknown)
            steps = [s for s in self._steps if not settled or s not in self._memory.settled]
            self._schedules[names, settled] = schedule(steps, {self._aliases.get(n, n) for n in names})
        return self._schedules[names, settled]

    def _run_all(self, plan: Sequence[Scheduled], values: dict[str, Tensor]) -> dict[str, Tensor]:
        """Returns what the steps gave that shapes settle. Runs with gradients will use it too, and must be able to."""
        settled: dict[str, Tensor] = {}
        for scheduled in plan:
            step = scheduled.step
            if step in self._memory.settled:
                with torch.inference_mode(mode=False), torch.no_grad():
                    self._run(step, values)
                settled.update((name, values[name]) for name in step.outputs if name)
            else:
                self._run(step, values)
            for name in scheduled.forget:
                del values[name]
        return settled

    def _given(self, feeds: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Constants and inputs."""
        values = {name: getattr(self, attribute) for name, attribute in self._attribute_of.items()}
        values.update((name, tensor.to(self.device, non_blocking=True)) for name, tensor in feeds.items())
        missing = tuple(name for name in self.inputs if name not in values)
        if missing:
            raise InputMissing(missing)
        fixed = tuple(name for name in feeds if name in self._bound)
        if fixed:
            raise ConstantIsFixed(fixed)
        return values

    def _run(self, step: Step, values: dict[str, Tensor]) -> None:
        try:
            result = step.function(*(self._arriving(a, values) for a in step.arguments))
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            raise OperatorFailed(step.operator, step.node, str(error)) from error
        results = result if isinstance(result, tuple | list) else (result,)
        values.update((name, value) for name, value in zip(step.outputs, results, strict=False) if name)

    def _arriving(self, argument: Argument | None, values: Mapping[str, Tensor]) -> object:
        if argument is None:
            return None
        match argument.form:
            case "literal":
                return argument.literal
            case "as_it_is":
                return values[argument.name]
            case "on_device":
                return values[argument.name].to(self.device, non_blocking=True)
            case "on_host":
                return values[argument.name].to(HOST)
            case "numbers":
                return values[argument.name].tolist()

    def _keep_constants(self, listing: Listing) -> None:
        """Not to be trained: what only the host reads, being part of a shape, and what defines an operator."""
        read_here = {name for step in self._steps for name in step.reads}
        fixed = (self._bound - read_here) | listing.definitions
        for name, array in listing.constants.items():
            tensor = to_torch(array).to(self.device)
            trainable = tensor.is_floating_point() and name not in fixed
            self._attribute_of[name] = attribute = self._free_attribute(name)
            if trainable:
                self.register_parameter(attribute, nn.Parameter(tensor))
            else:
                self.register_buffer(attribute, tensor)

    def _free_attribute(self, name: str) -> str:
        attribute = name.replace(".", "_") or "_"
        while hasattr(self, attribute):
            attribute += "_"
        return attribute
