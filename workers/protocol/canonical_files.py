"""The files of a canonical model, by name: what the inspection writes, the store keeps and jobs read."""

MODEL_FILE = "model.onnx"

DATA_FILE = "model.onnx.data"
"""Weights of a model whose tensors do not fit into one file."""

TOKENIZER_FILE = "tokenizer.json"
"""In the format of the `tokenizers` library, screened."""

TOKENIZER_FACTS_FILE = "tokenizer_facts.json"

CANONICAL_FILES = frozenset({MODEL_FILE, DATA_FILE, TOKENIZER_FILE, TOKENIZER_FACTS_FILE})
"""All that jobs read. What else the process names has no business in the store."""
