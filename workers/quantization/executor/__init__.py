"""Running an ONNX graph: differentiably in torch, or as it will be served in ONNX Runtime, behind one protocol."""
