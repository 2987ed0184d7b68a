"""Rows of tokens against those that the library cuts and lays out itself."""

from itertools import permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer
from tokenizers.models import BPE, WordLevel, WordPiece
from tokenizers.pre_tokenizers import ByteLevel, Split, Whitespace
from tokenizers.processors import BertProcessing, RobertaProcessing, TemplateProcessing

from app.contracts.problem import ProblemFound
from workers.ingestion.data.token_layout import token_layout, understood

WORDS = {"[UNK]": 0, "a": 1, "b": 2, "c": 3, "<s>": 4, "</s>": 5}
TEMPLATES = {
    "bert": ("<s> $A </s>", "<s> $A </s> $B:1 </s>:1"),
    "roberta": ("<s> $A </s>", "<s> $A </s> </s> $B </s>"),
    "t5": ("$A </s>", "$A </s> $B </s>"),
    "llama": ("<s> $A", "<s> $A <s>:1 $B:1"),
    "turned": ("$A </s>", "$B:1 </s>:1 $A </s>"),
    "gpt2": None,
}


def tokenizer_of(name: str) -> Tokenizer:
    tokenizer = Tokenizer(WordLevel(WORDS, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    template = TEMPLATES[name]
    if template:
        single, pair = template
        tokenizer.post_processor = TemplateProcessing(
            single=single, pair=pair, special_tokens=[("<s>", WORDS["<s>"]), ("</s>", WORDS["</s>"])]
        )
    return tokenizer


SHORT = st.lists(st.sampled_from("abc"), max_size=9).map(" ".join)


@settings(max_examples=300, deadline=None)
@given(
    name=st.sampled_from(sorted(TEMPLATES)), text=SHORT, pair=st.none() | SHORT, room=st.integers(1, 12),
    direction=st.sampled_from(["left", "right"]),
)  # fmt: skip
def test_rows_are_those_of_the_library(name: str, text: str, pair: str | None, room: int, direction: Any) -> None:
    tokenizer = tokenizer_of(name)
    length = room + tokenizer.num_special_tokens_to_add(pair is not None)
    tokenizer.enable_truncation(length, direction=direction)
    expected = tokenizer.encode(text) if pair is None else tokenizer.encode(text, pair)
    layout = token_layout(tokenizer, pairs=pair is not None)
    texts = [tokenizer.encode(t, add_special_tokens=False).ids for t in (text, pair) if t is not None]
    found = layout.row(texts, length)
    assert (found.tokens, found.types) == (expected.ids, expected.type_ids)


SPECIALS_FIRST = ("<s>", "<pad>", "</s>", "<unk>")
"""As RoBERTa, XLM-R and MPNet number them."""


def byte_bpe(specials: tuple[str, ...]) -> Tokenizer:
    words = {word: number for number, word in enumerate((*specials, *sorted(ByteLevel.alphabet())))}
    tokenizer = Tokenizer(BPE(words, []))
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = RobertaProcessing(("</s>", words["</s>"]), ("<s>", words["<s>"]))
    return tokenizer


def wordpiece(specials: tuple[str, ...]) -> Tokenizer:
    words = {word: number for number, word in enumerate((*specials, "a", "b", "c"))}
    tokenizer = Tokenizer(WordPiece(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = BertProcessing(("</s>", words["</s>"]), ("<s>", words["<s>"]))
    return tokenizer


@pytest.mark.parametrize("pair", [None, "b a"])
@pytest.mark.parametrize("order", list(permutations(SPECIALS_FIRST[:3])), ids=" ".join)
@pytest.mark.parametrize("build", [byte_bpe, wordpiece])
def test_special_tokens_may_have_the_lowest_numbers_in_any_order(build: Any, order: Any, pair: str | None) -> None:
    tokenizer = build((*order, "<unk>"))
    texts = [t for t in ("a b c", pair) if t is not None]
    expected = tokenizer.encode(*texts)
    found = token_layout(tokenizer, pairs=pair is not None).row(
        [tokenizer.encode(t, add_special_tokens=False).ids for t in texts], 64
    )
    assert (found.tokens, found.types) == (expected.ids, expected.type_ids)


@pytest.mark.parametrize("model", [WordLevel({"b": 0}, unk_token="[UNK]"), WordPiece({"b": 0}, unk_token="[UNK]")])
def test_a_tokenizer_that_fails_on_a_letter_is_refused(model: Any) -> None:
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = Whitespace()
    with pytest.raises(ProblemFound) as found:
        token_layout(tokenizer, pairs=False)
    assert found.value.problem.code == "tokenizer_invalid"


def test_a_tokenizer_that_makes_nothing_of_a_letter_is_refused() -> None:
    tokenizer = Tokenizer(BPE({"b": 0}, []))
    with pytest.raises(ProblemFound, match="no token"):
        token_layout(tokenizer, pairs=True)


def test_a_panic_of_the_tokenizers_library_is_a_problem_and_no_crash() -> None:
    tokenizer = Tokenizer(WordLevel({"a": 0}, unk_token="a"))
    tokenizer.pre_tokenizer = Split(Regex("(a+)+$"), "isolated")
    with pytest.raises(ProblemFound) as found, understood():
        tokenizer.encode_batch_fast(["a" * 40 + "b"])
    assert found.value.problem.code == "tokenizer_invalid"
