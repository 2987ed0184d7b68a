"""ONNX Runtime's errors as ours: every failure has a class of its own there, and none of them is exported."""

from workers.quantization.executor.executor import RuntimeRefused

_SIGNS_OF_NO_MEMORY = ("failed to allocate memory", "bad allocation", "bad_alloc", "out of memory")


def refusal(error: Exception) -> MemoryError | RuntimeRefused:
    """The first line of its reason. That it ran out of memory shows in the message only."""
    message = (str(error).splitlines() or [type(error).__name__])[0]
    if any(sign in message.lower() for sign in _SIGNS_OF_NO_MEMORY):
        return MemoryError(message)
    return RuntimeRefused(message)
