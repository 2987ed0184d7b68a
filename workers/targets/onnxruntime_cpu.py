"""ONNX Runtime on the CPU: builds QDQ models for its integer kernels, and runs models in it."""

import onnx_ir as ir
import onnxruntime as ort

from workers.quantization.passes.fuse_integer_matmul import fuse_integer_matmul

NAME = "onnxruntime-cpu"


def runtime_form(portable: ir.Model) -> ir.Model | None:
    """The same integers in the operators that ONNX Runtime runs fastest; None where nothing is gained."""
    fused = portable.clone()
    return fused if fuse_integer_matmul(fused) else None


def runtime_version() -> str:
    return str(ort.__version__)
