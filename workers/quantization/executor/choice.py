"""Which executor runs a model on a device, and why, in a sentence that goes into the result.

On a CPU it is ONNX Runtime whenever it can load the model: it was as fast as torch on transformers and four times as
fast on convolutions. On CUDA it is torch if the operator table and the function bodies cover the graph.
"""

from dataclasses import dataclass
from typing import Literal

import onnx_ir as ir

from workers.quantization.executor.executor import Executor, OperatorNotSupported, RuntimeRefused
from workers.quantization.executor.onnxruntime_executor import OnnxRuntimeExecutor

Device = Literal["cpu", "cuda"]


@dataclass(frozen=True)
class Choice:
    executor: Executor
    reason: str


def choose_executor(model: ir.Model, device: Device, *, threads: int = 0) -> Choice:
    """Raises OperatorNotSupported or RuntimeRefused when neither can run the model: the second one's reason."""
    return _on_cpu(model, threads) if device == "cpu" else _on_cuda(model, threads)


def _on_cpu(model: ir.Model, threads: int) -> Choice:
    try:
        executor = OnnxRuntimeExecutor(model, threads=threads)
    except RuntimeRefused as refusal:
        return Choice(_torch(model, "cpu"), f"torch, since ONNX Runtime cannot load the model: {refusal.reason}")
    return Choice(executor, "ONNX Runtime, since on a CPU it is at least as fast as torch")


def _on_cuda(model: ir.Model, threads: int) -> Choice:
    missing = unsupported_operators(model)
    if not missing:
        return Choice(_torch(model, "cuda"), "torch, since its operators cover the graph")
    providers = ("CUDAExecutionProvider", "CPUExecutionProvider")
    executor = OnnxRuntimeExecutor(model, threads=threads, providers=providers)
    return Choice(executor, f"ONNX Runtime, since torch cannot run {_listed(missing)}")


def unsupported_operators(model: ir.Model) -> tuple[OperatorNotSupported, ...]:
    """The nodes that neither the operator table nor a function body covers, each with its reason."""
    from workers.quantization.executor import listing  # noqa: PLC0415  # torch takes seconds to import

    return listing.unsupported_operators(model)


def _torch(model: ir.Model, device: Device) -> Executor:
    from workers.quantization.executor.torch_executor import TorchExecutor  # noqa: PLC0415  # likewise

    return TorchExecutor(model, device=device)


def _listed(missing: tuple[OperatorNotSupported, ...]) -> str:
    names = sorted({refusal.operator for refusal in missing})
    return f"{', '.join(names)} ({missing[0].node}: {missing[0].reason})"
