"""Symbolic extents, as text. torch hands them to `sympy.sympify`, which evaluates them: only plain arithmetic may pass.

Grammar: integers, symbols (`s0`, `u0`, or `Symbol('s0', positive=True, integer=True)`), + - * / // % and the functions
below, as `sympy.srepr` writes them. No attributes, no subscripts, no powers; strings and keywords in `Symbol` alone.
"""

import ast
import re

from app.contracts.problem import quoted, refuse

_MAX_LENGTH = 2000
_MAX_NODES = 400
_MAX_INTEGER = 2**63
_SYMBOL = re.compile(r"s\d{1,9}|u\d{1,4}")  # torch counts up to the number of an unbacked one
_ARITHMETIC = {"Add", "Mul", "Max", "Min", "Mod", "Rational", "Integer"}
_COMPARISONS = {"Eq", "Ne", "Ge", "Le", "Gt", "Lt", "Equality", "Unequality"} | {
    f"{strict}{side}Than" for strict in ("", "Strict") for side in ("Greater", "Less")
}
_LOGIC = {"And", "Or", "Not", "Where"}
_INTEGERS = {"FloorDiv", "CeilDiv", "CleanDiv", "IntTrueDiv", "PythonMod", "ModularIndexing", "Identity", "ToFloat"} | {
    f"{way}ToInt" for way in ("Ceil", "Floor", "Trunc", "Round")
}
_FUNCTIONS = frozenset(_ARITHMETIC | _COMPARISONS | _LOGIC | _INTEGERS)
_WORDS = frozenset({"true", "false", "oo"})
_ASSUMPTIONS = frozenset({"positive", "integer", "nonnegative", "nonzero", "real", "zero", "negative"})
_OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.FloorDiv, ast.Mod, ast.Div)


def plain_expression(text: object) -> str:
    """The same arithmetic, written anew: what torch evaluates is what was understood here.

    Raises ProblemFound for whatever is not plain arithmetic over symbols.
    """
    if not isinstance(text, str) or len(text) > _MAX_LENGTH:
        raise _refused(str(text))
    try:
        tree = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise _refused(text) from error
    if sum(1 for _ in ast.walk(tree)) > _MAX_NODES or not _is_plain(tree.body):
        raise _refused(text)
    return ast.unparse(tree)


def check_symbol(name: object) -> None:
    """The name of a symbol, or arithmetic with some, as keys of range constraints are: these cannot be written anew."""
    if isinstance(name, str) and _SYMBOL.fullmatch(name):
        return
    if plain_expression(name) != name:
        raise _refused(str(name))


def _is_plain(node: ast.expr) -> bool:
    match node:
        case ast.Constant(value=int() as number):  # True and False are integers too
            plain = abs(number) < _MAX_INTEGER
        case ast.Name(id=name):
            plain = bool(_SYMBOL.fullmatch(name)) or name in _WORDS
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            plain = _is_plain(operand)
        case ast.BinOp(left=left, op=operator, right=right):
            plain = isinstance(operator, _OPERATORS) and _is_plain(left) and _is_plain(right)
        case ast.Call(func=ast.Name(id="Symbol"), args=[ast.Constant(value=str() as name)], keywords=keywords):
            plain = bool(_SYMBOL.fullmatch(name)) and all(map(_is_assumption, keywords))
        case ast.Call(func=ast.Name(id=function), args=arguments, keywords=[]):
            plain = function in _FUNCTIONS and all(map(_is_plain, arguments))
        case _:
            plain = False
    return plain


def _is_assumption(keyword: ast.keyword) -> bool:
    return (
        keyword.arg in _ASSUMPTIONS
        and isinstance(keyword.value, ast.Constant)
        and isinstance(keyword.value.value, bool)
    )


def _refused(text: str) -> Exception:
    return refuse("pt2_code_not_allowed", f"An extent is {quoted(text)}, which is not plain arithmetic.")
