"""Any bytes as the graph of a torch.export program, or as one symbolic extent of it: a problem with a code, or plain.

An extent that passes is looked at again, in another way: by its tokens.
"""

import io
import json
import re
import tokenize

from app.contracts.problem import ProblemFound
from workers.ingestion.program.expressions import plain_expression
from workers.ingestion.program.graph import checked_graph

CODES = {"pt2_code_not_allowed", "pt2_invalid", "pt2_version_unsupported"}
_SYMBOL = r"[su]\d+|'[su]\d+'|\"[su]\d+\""
_WORDS = "true|false|oo|True|False|positive|negative|integer|nonnegative|nonzero|real|zero"
HARMLESS = re.compile(f"{_SYMBOL}|{_WORDS}|[A-Z][A-Za-z]+")


def one_input(data: bytes) -> None:
    try:
        if data.startswith(b"{"):
            json.dumps(checked_graph(data))
        else:
            _assert_plain(plain_expression(data.decode("utf-8", "replace")))
    except ProblemFound as found:
        code = found.problem.code
    else:
        return
    assert code in CODES


def _assert_plain(text: str) -> None:
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        assert token.string not in {".", "[", "{", ":", "**", "@", ";", "lambda"}, text
        if token.type in {tokenize.NAME, tokenize.STRING}:
            assert HARMLESS.fullmatch(token.string), text


if __name__ == "__main__":
    from tests.fuzz.fuzzing import fuzz

    fuzz("program", instrument=["workers.ingestion.program"])
