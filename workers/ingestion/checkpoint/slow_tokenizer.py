"""A tokenizer.json from the files of the time before it: WordPiece of BERT, byte-level BPE of GPT-2 and RoBERTa.

Others (SentencePiece) are not converted here: the library that reads them does it where the model was trained.
"""

from collections.abc import Mapping
from pathlib import Path

from app.contracts.problem import refuse
from app.contracts.strict_json import NotStrictJson, read_json
from workers.ingestion.checkpoint.tokenizer_screen import MAX_BYTES

_WORD_PIECES = "vocab.txt"
_PAIRS, _MERGES = "vocab.json", "merges.txt"
_UNREADABLE = ("spiece.model", "sentencepiece.bpe.model", "tokenizer.model", "spm.model", "bpe.codes", "tekken.json")
_OF_BERT: tuple[str, ...] = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_MASK = "<mask>"
_SAVE_FAST = "Save it with AutoTokenizer.from_pretrained(folder).save_pretrained(folder): that writes tokenizer.json."

Settings = Mapping[str, object]


def from_slow_files(folder: Path, settings: Settings) -> dict[str, object] | None:
    """The content of a tokenizer.json; None where the folder has no tokenizer at all. Raises ProblemFound.

    settings: of tokenizer_config.json.
    """
    if (folder / _WORD_PIECES).is_file():
        return _word_pieces(_lines(folder / _WORD_PIECES), settings)
    if (folder / _PAIRS).is_file() and (folder / _MERGES).is_file():
        return _byte_pairs(folder, settings)
    left = next((name for name in _UNREADABLE if (folder / name).is_file()), None)
    if left is not None:
        raise refuse("tokenizer_invalid", f"The tokenizer is only in {left}.", entry=left, hint=_SAVE_FAST)
    return None


def _word_pieces(tokens: list[str], settings: Settings) -> dict[str, object]:
    vocabulary = {token: number for number, token in enumerate(tokens)}
    special = {token: vocabulary[token] for token in _OF_BERT if token in vocabulary}
    if not {"[UNK]", "[CLS]", "[SEP]"} <= special.keys():
        detail = f"{_WORD_PIECES} lacks [UNK], [CLS] or [SEP]: it is not BERT's."
        raise refuse("tokenizer_invalid", detail, entry=_WORD_PIECES, hint=_SAVE_FAST)
    return {
        "added_tokens": _added(special),
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": settings.get("tokenize_chinese_chars") is not False,
            "strip_accents": settings.get("strip_accents"),
            "lowercase": settings.get("do_lower_case") is not False,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "BertProcessing",
            "sep": ["[SEP]", special["[SEP]"]],
            "cls": ["[CLS]", special["[CLS]"]],
        },
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": vocabulary,
        },
    }


def _byte_pairs(folder: Path, settings: Settings) -> dict[str, object]:
    vocabulary = _vocabulary(folder)
    merges = [line for line in _lines(folder / _MERGES) if line and not line.startswith("#version")]
    adds_space = settings.get("add_prefix_space") is True
    names = ("<s>", "<pad>", "</s>", "<unk>", "<mask>", "<|endoftext|>")
    special = {token: vocabulary[token] for token in names if token in vocabulary}
    processor: dict[str, object] = {
        "type": "ByteLevel",
        "add_prefix_space": True,
        "trim_offsets": False,
        "use_regex": True,
    }
    if {"<s>", "</s>", "<mask>"} <= special.keys():
        processor = {
            "type": "RobertaProcessing",
            "sep": ["</s>", special["</s>"]],
            "cls": ["<s>", special["<s>"]],
            "trim_offsets": True,
            "add_prefix_space": adds_space,
        }
    return {
        "added_tokens": _added(special),
        "normalizer": None,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": adds_space, "trim_offsets": True, "use_regex": True},
        "post_processor": processor,
        "model": {"type": "BPE", "vocab": vocabulary, "merges": merges},
    }


def _vocabulary(folder: Path) -> dict[str, int]:
    try:
        found = read_json(folder / _PAIRS, max_bytes=MAX_BYTES)
    except NotStrictJson as error:
        raise refuse("tokenizer_invalid", f"{_PAIRS} cannot be read: {error}.", entry=_PAIRS) from error
    if not isinstance(found, dict) or not all(type(number) is int for number in found.values()):
        raise refuse("tokenizer_invalid", f"{_PAIRS} does not number tokens.", entry=_PAIRS)
    return found


def _lines(path: Path) -> list[str]:
    if path.stat().st_size > MAX_BYTES:
        raise refuse("tokenizer_too_complex", f"{path.name} has more than {MAX_BYTES} bytes.", entry=path.name)
    try:
        return path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except UnicodeDecodeError as error:
        raise refuse("tokenizer_invalid", f"{path.name} is not UTF-8.", entry=path.name) from error


def _added(special: Mapping[str, int]) -> list[dict[str, object]]:
    switches = {"single_word": False, "rstrip": False, "normalized": False, "special": True}
    return [
        # a mask takes the space before it, as the word that it stands for does
        {"id": number, "content": token, "lstrip": token == _MASK, **switches}
        for token, number in sorted(special.items(), key=lambda item: item[1])
    ]
