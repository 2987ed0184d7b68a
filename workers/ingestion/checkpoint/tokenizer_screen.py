"""What of a tokenizer.json is kept, once each of its parts is of a known kind and of a size that real ones have.

Kept is what turns text into numbers. Truncation and padding are the data's business; a decoder is never used; dropout
of merges would give the same text different tokens each time.
"""

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from app.contracts.problem import ProblemFound, quoted, refuse

MAX_BYTES = 64 << 20
MAX_DEPTH = 32

_ENTRY = "tokenizer.json"
_MAX_TOKENS = 1 << 21
_MAX_ADDED = 1 << 17
_MAX_ID = 1 << 24
_MAX_TOKEN_CHARACTERS = 4096
_MAX_PATTERN_CHARACTERS = 4096
_MAX_CHARSMAP_CHARACTERS = 4 << 20
_MAX_PARTS = 10_000
_MAX_GROWTH = 4096  # of a text, by what normalizers put in the place of a character
_MAX_WORD_CHARACTERS = 1000  # WordPiece tries every part of a word: quadratic

_KINDS: Mapping[str, frozenset[str]] = {
    "normalizer": frozenset(
        {
            "BertNormalizer", "ByteLevel", "Lowercase", "NFC", "NFD", "NFKC", "NFKD", "Nmt", "Precompiled", "Prepend",
            "Replace", "Sequence", "Strip", "StripAccents",
        }
    ),
    "pre_tokenizer": frozenset(
        {
            "BertPreTokenizer", "ByteLevel", "CharDelimiterSplit", "Delimiter", "Digits", "FixedLength", "Metaspace",
            "Punctuation", "Sequence", "Split", "UnicodeScripts", "Whitespace", "WhitespaceSplit",
        }
    ),
    "post_processor": frozenset({"BertProcessing", "ByteLevel", "RobertaProcessing", "Sequence", "TemplateProcessing"}),
}  # fmt: skip
_MODELS = frozenset({"BPE", "Unigram", "WordLevel", "WordPiece"})


class ScreenedTokenizer(NamedTuple):
    content: dict[str, object]
    """Of the tokenizer.json to write."""
    vocabulary: Mapping[str, int]
    """Every token's number, added ones included."""
    patterns: tuple[str, ...]
    """The regular expressions in it."""


def screen(found: object) -> ScreenedTokenizer:
    """Raises ProblemFound."""
    if not isinstance(found, dict):
        raise invalid("holds no tokenizer")
    sections = {name: _section(name, found.get(name)) for name in _KINDS}
    model, vocabulary = _model(found.get("model"))
    added = _added(found.get("added_tokens"))
    content = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        **sections,
        "decoder": None,
        "model": model,
    }
    numbers = vocabulary | {str(token["content"]): _id(token["id"]) for token in added}
    return ScreenedTokenizer(content, numbers, tuple(_patterns(sections)))


def invalid(what: str) -> ProblemFound:
    return refuse("tokenizer_invalid", f"{_ENTRY} {what}.", entry=_ENTRY)


def too_complex(what: str) -> ProblemFound:
    return refuse("tokenizer_too_complex", f"{_ENTRY} {what}.", entry=_ENTRY)


def _section(name: str, found: object) -> object:
    """A component, with those within it."""
    if found is None:
        return None
    growth = 1
    for part in _parts(found):
        kind = part.get("type")
        # within components lie settings and tokens too, some of which have types of their own
        if part is found and not _is_one_of(kind, _KINDS[name]):
            raise invalid(f"has a {name} of an unknown kind: {quoted(str(kind))}")
        growth *= _growth(part)
    if growth > _MAX_GROWTH:
        raise too_complex("replaces a character by thousands")
    _check_nested(name, found)
    return found


def _check_nested(name: str, found: object) -> None:
    for part in _parts(found):
        for inner in _components(part):
            kind = inner.get("type") if isinstance(inner, dict) else None
            if not _is_one_of(kind, _KINDS[name]):
                raise invalid(f"has a {name} of an unknown kind: {quoted(str(kind))}")


def _is_one_of(kind: object, known: frozenset[str]) -> bool:
    return isinstance(kind, str) and kind in known


def _components(part: Mapping[str, object]) -> list[object]:
    """Of a sequence."""
    for name in ("normalizers", "pretokenizers", "processors"):
        inner = part.get(name)
        if isinstance(inner, list):
            return inner
    return []


def _parts(found: object) -> Iterator[dict[str, object]]:
    """Every object of a component, and itself. Raises ProblemFound for too many, or for long texts."""
    pending, count = [found], 0
    while pending:
        one = pending.pop()
        count += 1
        if count > _MAX_PARTS:
            raise too_complex("has a component of thousands of parts")
        if isinstance(one, dict):
            yield one
            pending.extend(value for key, value in one.items() if not _is_charsmap(key, value))
        elif isinstance(one, list):
            pending.extend(one)
        elif isinstance(one, str) and len(one) > _MAX_PATTERN_CHARACTERS:
            raise too_complex("has a component with a text of thousands of characters")


def _is_charsmap(key: str, value: object) -> bool:
    return key == "precompiled_charsmap" and isinstance(value, str) and len(value) <= _MAX_CHARSMAP_CHARACTERS


def _growth(part: Mapping[str, object]) -> int:
    content = part.get("content") if part.get("type") == "Replace" else part.get("prepend")
    return max(1, len(content)) if isinstance(content, str) else 1


def _patterns(sections: Mapping[str, object]) -> Iterator[str]:
    for section in sections.values():
        for part in _parts(section):
            pattern = part.get("Regex")
            if isinstance(pattern, str):
                yield pattern


def _added(found: object) -> list[dict[str, object]]:
    if found is None:
        return []
    if not isinstance(found, list) or not all(isinstance(token, dict) for token in found):
        raise invalid("does not list its added tokens")
    if len(found) > _MAX_ADDED:
        raise too_complex(f"adds {len(found)} tokens")
    for token in found:
        content = token.get("content")
        if not isinstance(content, str) or not content or len(content) > _MAX_TOKEN_CHARACTERS:
            raise invalid("adds a token without content")
        _id(token.get("id"))
    return found


def _model(found: object) -> tuple[dict[str, object], dict[str, int]]:
    if not isinstance(found, dict):
        raise invalid("has no model")
    kind = found.get("type", _kind_by_members(found))
    if not _is_one_of(kind, _MODELS):
        raise invalid(f"has a model of an unknown kind: {quoted(str(kind))}")
    vocabulary = _scored(found.get("vocab")) if kind == "Unigram" else _numbered(found.get("vocab"))
    _check_merges(found.get("merges"))
    longest_word = found.get("max_input_chars_per_word", 1)
    if type(longest_word) is not int or not 1 <= longest_word <= _MAX_WORD_CHARACTERS:
        raise too_complex(f"takes words of more than {_MAX_WORD_CHARACTERS} characters apart")
    without_dropout = {"dropout": None} if "dropout" in found else {}
    return {"type": kind, **found, **without_dropout}, vocabulary


def _kind_by_members(model: Mapping[str, object]) -> str:
    """Files of older versions do not say it."""
    if "merges" in model:
        return "BPE"
    if isinstance(model.get("vocab"), list):
        return "Unigram"
    return "WordPiece" if "continuing_subword_prefix" in model else "WordLevel"


def _numbered(vocabulary: object) -> dict[str, int]:
    if not isinstance(vocabulary, dict) or not vocabulary:
        raise invalid("has no vocabulary")
    _check_tokens(vocabulary)
    return {token: _id(number) for token, number in vocabulary.items()}


def _scored(vocabulary: object) -> dict[str, int]:
    """The number of a token is its place in the list."""
    if not isinstance(vocabulary, list) or not vocabulary:
        raise invalid("has no vocabulary")
    if not all(isinstance(entry, list) and len(entry) == 2 and _is_score(entry[1]) for entry in vocabulary):
        raise invalid("has a vocabulary without scores")
    tokens = [entry[0] for entry in vocabulary]
    _check_tokens(tokens)
    return {token: number for number, token in enumerate(tokens)}


def _is_score(found: object) -> bool:
    return type(found) in {int, float} and math.isfinite(float(str(found)))


def _check_tokens(tokens: object) -> None:
    assert isinstance(tokens, list | dict)
    if len(tokens) > _MAX_TOKENS:
        raise too_complex(f"has {len(tokens)} tokens")
    if not all(isinstance(token, str) and len(token) <= _MAX_TOKEN_CHARACTERS for token in tokens):
        raise invalid("has a token that is no text, or thousands of characters long")


def _check_merges(found: object) -> None:
    if found is None:
        return
    if not isinstance(found, list):
        raise invalid("does not list its merges")
    if len(found) > _MAX_TOKENS:
        raise too_complex(f"has {len(found)} merges")


def _id(found: object) -> int:
    if type(found) is not int or not 0 <= found <= _MAX_ID:
        raise invalid("numbers a token with something else than a small integer")
    return found
