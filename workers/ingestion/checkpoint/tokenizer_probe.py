"""Does this tokenizer open, and does it come to an end?

    python -I -m workers.ingestion.checkpoint.tokenizer_probe FILE

A process of its own, because a regular expression can take for ever, a vocabulary all memory, and the library's native
code ends the whole process where it gives up. It tries texts of the usual kinds, and texts made for the expressions in
the file: long runs of the characters they name, with something else at the end, which is where backtracking explodes.

Answers one line of JSON on stdout: {"highest_id": 30521} or {"code": ..., "reason": ...}.
"""

import itertools
import json
import re
import resource
import signal
import string
import sys
from collections.abc import Iterator

CPU_SECONDS = 10
MEMORY_BYTES = 6 << 30

_RUN = 48  # doubles the time per character where backtracking explodes
_MOST_CHARACTERS = 24
_GAVE_UP = "retry-limit"  # the words of the regular expression engine
_USUAL = (
    "The quick brown fox jumps over the lazy dog, 1234567.89 times!",
    "Fu\u00dfg\u00e4nger \u4f60\u597d\u4e16\u754c \u043f\u0440\u0438\u0432\u0435\u0442 \U0001f600",
    "\U0001f680\u200d\u0301\u0e33\u1100\u1161" * 50,
    "a" * 2000,
    " " * 2000 + "\n\t" * 200 + "x",
    "." * 2000 + "-_/" * 300,
    "0123456789" * 200,
    "don't we'll I'M " * 100,
    "",
)


def texts(patterns: list[str]) -> Iterator[str]:
    """What is tried."""
    yield from _USUAL
    named = list(dict.fromkeys(c for pattern in patterns for c in pattern if c in _PLAIN))[:_MOST_CHARACTERS]
    for character in named:
        yield from (character * _RUN + end for end in ("!", "\x01", "\n"))
    for first, second in itertools.islice(itertools.permutations(named, 2), 200):
        yield (first + second) * (_RUN // 2) + "\x01"


_PLAIN = frozenset(string.ascii_letters + string.digits + " .,-_/@#:;=~'\"")


def _highest_id(path: str) -> int:
    from tokenizers import Tokenizer  # noqa: PLC0415  under the limits that are set before

    with open(path, encoding="utf-8") as file:  # noqa: PTH123  pathlib is one more import of each probe
        content = file.read()
    patterns = [json.loads(f'"{found}"') for found in re.findall(r'"Regex":\s*"((?:[^"\\]|\\.)*)"', content)]
    tokenizer = Tokenizer.from_str(content)
    highest = 0
    for text in texts(patterns):
        highest = max(highest, *tokenizer.encode(text, "and more").ids, *tokenizer.encode(text).ids)
    return highest


def main(path: str) -> dict[str, object]:
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 1))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGXCPU, signal.SIG_DFL)
    try:
        return {"highest_id": _highest_id(path)}
    except MemoryError:
        return {"code": "tokenizer_too_complex", "reason": "it takes too much memory"}
    except BaseException as error:  # noqa: BLE001  the library's panics are no Exception
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        if _GAVE_UP in reason:
            return {"code": "tokenizer_too_complex", "reason": "a regular expression in it takes too long"}
        return {"code": "tokenizer_invalid", "reason": reason}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))  # noqa: T201  the answer
