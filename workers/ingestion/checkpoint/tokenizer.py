"""The tokenizer of a checkpoint, screened, tried and written in the one form that jobs read.

Only tokenizers of the `tokenizers` library are taken: they are data. A chat template is a program; it is left behind.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from app.contracts.inspection import TokenizerInspection
from app.contracts.problem import refuse
from app.contracts.strict_json import NotStrictJson, TooMuchJson, read_json
from workers.ingestion.checkpoint.config_policy import read_settings
from workers.ingestion.checkpoint.slow_tokenizer import from_slow_files
from workers.ingestion.checkpoint.tokenizer_screen import (
    MAX_BYTES,
    MAX_DEPTH,
    ScreenedTokenizer,
    invalid,
    screen,
    too_complex,
)
from workers.ingestion.checkpoint.tokenizer_trial import try_tokenizer
from workers.ingestion.tokenizer_facts import TEXT_INPUTS, TokenizerFacts
from workers.protocol.canonical_files import TOKENIZER_FACTS_FILE, TOKENIZER_FILE

_SETTINGS = "tokenizer_config.json"
_SPECIAL = "special_tokens_map.json"
_LONGEST = 1 << 24  # some say "no limit" with 10^30


def take_tokenizer(
    folder: Path,
    output: Path,
    *,
    positions: int | None,
    inputs: tuple[str, ...] | None,
    vocabulary: int | None = None,
    pad_token_id: int | None = None,
) -> TokenizerInspection | None:
    """Write tokenizer.json and its facts into `output`; None where the folder has no tokenizer. Raises ProblemFound.

    positions: the longest text that the model takes, in tokens. inputs: the model's, where they are known.
    vocabulary: the rows of the model's table of tokens. pad_token_id: as the model's configuration has it.
    """
    settings = read_settings(folder, _SETTINGS) or {}
    content = _content(folder, settings)
    if content is None:
        return None
    tokenizer = screen(content)
    written = output / TOKENIZER_FILE
    written.write_text(json.dumps(tokenizer.content, ensure_ascii=False), encoding="utf-8")
    highest = max(try_tokenizer(written), *tokenizer.vocabulary.values())
    if vocabulary is not None and highest >= vocabulary:
        detail = f"The tokenizer numbers tokens up to {highest}, and the model's table has {vocabulary} rows."
        raise refuse("tokenizer_invalid", detail, entry=TOKENIZER_FILE, hint="Upload the tokenizer of this model.")
    facts = TokenizerFacts(
        vocabulary=highest + 1,
        max_length=_max_length(settings, positions),
        pad_token_id=_padding(folder, settings, content, tokenizer, pad_token_id),
        inputs=TEXT_INPUTS if inputs is None else tuple(name for name in TEXT_INPUTS if name in inputs),
    )
    (output / TOKENIZER_FACTS_FILE).write_text(facts.model_dump_json(), encoding="utf-8")
    return TokenizerInspection(
        vocabulary=facts.vocabulary, max_length=facts.max_length, pads=facts.pad_token_id is not None
    )


def _content(folder: Path, settings: Mapping[str, object]) -> dict[str, object] | None:
    try:
        found = read_json(folder / TOKENIZER_FILE, max_bytes=MAX_BYTES, max_depth=MAX_DEPTH)
    except FileNotFoundError:
        return from_slow_files(folder, settings)
    except TooMuchJson as error:
        raise too_complex(f"is refused: {error}") from error
    except NotStrictJson as error:
        raise invalid(f"cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise invalid("holds no tokenizer")
    return found


def _max_length(settings: Mapping[str, object], positions: int | None) -> int | None:
    found = settings.get("model_max_length")
    limits = [limit for limit in (found, positions) if isinstance(limit, int | float) and 1 <= limit <= _LONGEST]
    return int(min(limits)) if limits else None


def _padding(
    folder: Path,
    settings: Mapping[str, object],
    content: Mapping[str, object],
    tokenizer: ScreenedTokenizer,
    pad_token_id: int | None,
) -> int | None:
    """The number of the padding token, from the first place that names one the tokenizer knows."""
    padding = content.get("padding")
    special = read_settings(folder, _SPECIAL) or {}
    for found in (settings.get("pad_token"), special.get("pad_token"), padding):
        token = found.get("content", found.get("pad_token")) if isinstance(found, dict) else found
        if isinstance(token, str) and token in tokenizer.vocabulary:
            return tokenizer.vocabulary[token]
    return pad_token_id if pad_token_id is not None and pad_token_id >= 0 else None
