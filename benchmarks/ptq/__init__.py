"""`make bench-ptq`: int8 models of Lowbit and of other tools, judged side by side in ONNX Runtime."""
