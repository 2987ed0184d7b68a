"""ONNX models as people have them, brought into the one form that jobs read."""
