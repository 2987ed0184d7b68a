"""A transformers checkpoint becomes one float ONNX file: read by our own rules, built by the library, compared."""
