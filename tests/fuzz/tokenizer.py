"""Any bytes as tokenizer.json: a problem with a code, or what the library loads, or refuses itself.

What passes the screen is tried in a process of its own, for the library has panics; here it is only loaded, so that a
target stays one process.
"""

import json

from tokenizers import Tokenizer

from app.contracts.problem import ProblemFound
from app.contracts.strict_json import NotStrictJson, parse_json
from workers.ingestion.checkpoint.tokenizer_screen import MAX_DEPTH, screen

CODES = {"tokenizer_invalid", "tokenizer_too_complex"}


def one_input(data: bytes) -> None:
    try:
        screened = screen(parse_json(data, max_depth=MAX_DEPTH))
    except NotStrictJson:
        return
    except ProblemFound as found:
        assert found.problem.code in CODES  # noqa: PT017 - any problem is fine that has one of these
        return
    assert not screened.content.keys() & {"padding", "truncation", "decoder"} or not any(
        screened.content.get(name) for name in ("padding", "truncation", "decoder")
    )
    assert all(type(number) is int and number >= 0 for number in screened.vocabulary.values())
    try:
        loaded = Tokenizer.from_str(json.dumps(screened.content))
    except Exception:  # noqa: BLE001  the library raises just that
        return
    except BaseException as panic:
        if type(panic).__name__ != "PanicException":  # it can be imported from nowhere
            raise
        return
    assert loaded.get_vocab_size(with_added_tokens=True) <= len(screened.vocabulary)


if __name__ == "__main__":
    from tests.fuzz.fuzzing import fuzz

    fuzz("tokenizer", instrument=["workers.ingestion.checkpoint", "app.contracts.strict_json"])
