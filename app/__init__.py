"""The Lowbit service: HTTP, state and storage. Never imports torch, onnx or worker code."""
