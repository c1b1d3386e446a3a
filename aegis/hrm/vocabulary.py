"""GPT-2's byte-level BPE of 50,257 tokens, read from a file of this package, without a network."""

from __future__ import annotations

from functools import cache
from importlib.resources import as_file, files

import tiktoken
from tiktoken.load import load_tiktoken_bpe

VOCABULARY_SIZE = 50257
END_OF_TEXT = "<|endoftext|>"
END_OF_TEXT_ID = 50256

# How GPT-2 cuts text into words before it merges bytes (openai/gpt-2, src/encoder.py).
_PATTERN = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""


@cache
def load_vocabulary() -> tiktoken.Encoding:
    """Return GPT-2's encoding; encode text from outside with `encode_ordinary`, which never yields a special token."""
    with as_file(files("aegis.hrm") / "gpt2.tiktoken") as path:
        ranks = load_tiktoken_bpe(str(path))
    return tiktoken.Encoding(
        "gpt2-aegis",
        pat_str=_PATTERN,
        mergeable_ranks=ranks,
        special_tokens={END_OF_TEXT: END_OF_TEXT_ID},
        explicit_n_vocab=VOCABULARY_SIZE,
    )
