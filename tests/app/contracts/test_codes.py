from typing import get_args

from app.contracts.codes import CATALOGUE, ProblemCode
from app.contracts.problem import problem

CODES: tuple[ProblemCode, ...] = get_args(ProblemCode)
MAX_HINT = 160
"""Characters: a hint is read in a terminal, below what went wrong."""


def test_whatever_is_refused_it_is_said_what_would_be_right() -> None:
    for code in CODES:
        hint = CATALOGUE[code].hint
        assert hint.strip() == hint, code
        assert 10 <= len(hint) <= MAX_HINT, code
        assert hint[-1] in ".)", f"{code}: a sentence, or a call to copy"
        assert problem(code, "What is wrong.").hint == problem(code, "What is wrong.", hint="").hint == hint


def test_a_closer_hint_takes_the_place_of_the_usual_one() -> None:
    assert problem("onnx_invalid", "What is wrong.", hint="Turn it around.").hint == "Turn it around."


def test_titles_are_no_sentences_and_statuses_are_errors() -> None:
    for code in CODES:
        known = CATALOGUE[code]
        assert known.title, code
        assert not known.title.endswith("."), code
        assert 400 <= known.status <= 599, code
