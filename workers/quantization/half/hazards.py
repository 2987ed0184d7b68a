"""What ONNX Runtime cannot load in float16, though every operator of it has a kernel."""

import onnx_ir as ir

from workers.quantization.half.slots import KeptInFloat32

_FUSED_AWAY = KeptInFloat32("ONNX Runtime's fusion of it with the product behind it does not survive float16.")


def hazard_of(node: ir.Node) -> KeptInFloat32 | None:
    """A Transpose that moves the samples' axis, read by a MatMul as its first input: ONNX Runtime 1.31 makes one
    operator of both when it loads the file, and the process dies of it. With the Transpose in float32 it does not."""
    if node.op_type != "Transpose" or node.domain != "":
        return None
    axes = node.attributes.get_ints("perm", ()) or ()
    moves_samples = len(axes) > 2 and axes[0] != 0
    reads_first = any(use.node.op_type == "MatMul" and use.idx == 0 for use in node.outputs[0].uses())
    return _FUSED_AWAY if moves_samples and reads_first else None
