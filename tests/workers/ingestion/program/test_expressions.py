import ast
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.contracts.problem import ProblemFound
from workers.ingestion.program.expressions import check_symbol, plain_expression

_SYMBOLS = st.sampled_from(
    ["s0", "s77", "u1", "Symbol('s0', positive=True, integer=True)", "Symbol('u0', integer=True)"]
)
_NUMBERS = st.integers(-1000, 1000).map(str) | st.integers(0, 9).map("Integer({})".format)
_PLAIN = st.recursive(
    _SYMBOLS | _NUMBERS,
    lambda inner: (
        st.tuples(inner, st.sampled_from(["+", "-", "*", "//", "%"]), inner).map("({0[0]} {0[1]} {0[2]})".format)
        | st.tuples(st.sampled_from(["Add", "Mul", "Max", "FloorDiv"]), inner, inner).map(
            "{0[0]}({0[1]}, {0[2]})".format
        )
    ),
    max_leaves=12,
)


@given(_PLAIN)
def test_plain_arithmetic_passes_and_means_the_same(text: str) -> None:
    assert ast.dump(ast.parse(plain_expression(text))) == ast.dump(ast.parse(text))


def test_what_only_python_understands_is_written_as_everybody_does() -> None:
    assert plain_expression("Symbol('s' '0', integer=True)") == "Symbol('s0', integer=True)"


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "s0.__class__",
        "().__class__.__bases__[0]",
        "Symbol('__import__')",
        "Symbol('s0', cls=print)",
        "Symbol(s0)",
        "print(s0)",
        "Add(s0, exec)",
        "Add(*[1])",
        "Add(s0, evaluate=False)",
        "10 ** 10 ** 10",
        "Pow(10, 10)",
        "9" * 30,
        "[s0]",
        "s0 if s0 else 1",
        "lambda: 0",
        "(s0 := 1)",
        "f'{s0}'",
        "'s0'",
        "s0; s1",
        "1.5",
        "(" * 500 + ")" * 500,
        "-" * 3000 + "1",
        "u99999",
        "",
        None,
        3,
    ],
)
def test_everything_else_is_refused(text: object) -> None:
    with pytest.raises(ProblemFound) as found:
        plain_expression(text)
    assert found.value.problem.code == "pt2_code_not_allowed"


@given(st.text(max_size=60))
def test_any_text_is_answered(text: str) -> None:
    with suppress(ProblemFound):
        check_symbol(text)
