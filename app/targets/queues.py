"""The serving runtimes that a job can name, and the queue whose workers can build for them."""

from app.contracts.status import Queue

QUEUE_OF_TARGET: dict[str, Queue] = {"onnxruntime-cpu": Queue.CPU}
