"""The vocabulary against another implementation: the tokenizers library, with merges derived from the ranks."""

from __future__ import annotations

import itertools
import unicodedata
from functools import cache

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from aegis.hrm import END_OF_TEXT_ID, VOCABULARY_SIZE, load_vocabulary

TEXTS = [
    "Hello world, it's 2026; they'll SHOUT'S and we'd 've.",
    "Привет, мир! Ещё раз: ёжик.",
    "你好，世界。こんにちは、カタカナ、한국어 텍스트",
    "مرحبا بالعالم، שלום עולם, नमस्ते दुनिया, สวัสดี",
    "Ελληνικά, Türkçe İIıi, naïve café, Straße, e\u0301",
    "😀 👩‍👩‍👧‍👦 🏳️‍🌈 🇩🇪 ❤️ 1️⃣",
    "tabs\t\tand\nnew\r\nlines \n \n  end   ",
    "\x00\x01\x1b[31mred\x1b[0m\x7f\x85\u200b\u202e\ufeff\u2028",
    "def f(x):\n    return x**2  # comment\n\n\n",
    "x" * 300 + " " * 300 + "!" * 50,
    "½ ² ٣ Ⅷ ㊿ 12345678901234567890",
    "<|endoftext|> is only text",
    "",
]


@cache
def reference() -> Tokenizer:
    """Return GPT-2's tokenizer, made with the tokenizers library."""
    ranks = {
        token: rank for rank in range(END_OF_TEXT_ID) if (token := load_vocabulary().decode_single_token_bytes(rank))
    }
    printable = byte_letters()

    def spell(token: bytes) -> str:
        return "".join(printable[byte] for byte in token)

    merges = [split_as_merged(token, ranks) for token in sorted(ranks, key=ranks.__getitem__) if len(token) > 1]
    vocabulary = {spell(token): rank for token, rank in ranks.items()}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[(spell(left), spell(right)) for left, right in merges]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def split_as_merged(token: bytes, ranks: dict[bytes, int]) -> tuple[bytes, bytes]:
    """Return the two parts that a token was merged from: its bytes after all earlier merges."""
    parts = [token[at : at + 1] for at in range(len(token))]
    while len(parts) > 2:
        joined = [ranks.get(left + right, ranks[token]) for left, right in itertools.pairwise(parts)]
        place = joined.index(min(joined))
        parts[place : place + 2] = [parts[place] + parts[place + 1]]
    return parts[0], parts[1]


def byte_letters() -> list[str]:
    """Return the printable letter of each byte in GPT-2's files (openai/gpt-2, src/encoder.py)."""
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    return [chr(byte) if byte in kept else chr(next(others)) for byte in range(256)]


def test_the_vocabulary_has_gpt2s_50257_tokens():
    vocabulary = load_vocabulary()
    assert vocabulary.n_vocab == VOCABULARY_SIZE == 50257
    assert vocabulary.encode_single_token("<|endoftext|>") == END_OF_TEXT_ID == 50256
    assert len({vocabulary.decode_single_token_bytes(token) for token in range(50257)}) == 50257


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("Hello world", [15496, 995]),
        ("Hello, world!", [15496, 11, 995, 0]),
        (" the", [262]),
        ("The quick brown fox jumps over the lazy dog", [464, 2068, 7586, 21831, 18045, 625, 262, 16931, 3290]),
        ("I don't", [40, 836, 470]),
        ("\n\n", [628]),
        ("\x00", [188]),
        ("こんにちは", [46036, 22174, 28618, 2515, 94, 31676]),
        ("😀", [47249, 222]),
    ],
)
def test_well_known_texts_have_gpt2s_ids(text, ids):
    assert load_vocabulary().encode_ordinary(text) == ids


def test_end_of_text_written_in_a_text_is_not_the_special_token():
    ids = load_vocabulary().encode_ordinary("a <|endoftext|> b")
    assert END_OF_TEXT_ID not in ids
    assert load_vocabulary().encode_ordinary("<|endoftext|>") == [27, 91, 437, 1659, 5239, 91, 29]


def test_the_reference_has_a_merge_for_every_token_that_is_not_a_byte():
    assert reference().get_vocab_size() == 50256
    assert reference().encode("Hello world").ids == [15496, 995]


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_texts_in_several_scripts_have_the_ids_of_the_reference(text):
    assert load_vocabulary().encode_ordinary(text) == reference().encode(text).ids


# A character that this Python does not know may be a letter for one of the libraries only.
known_characters = st.characters(exclude_categories=["Cs"]).filter(lambda c: unicodedata.category(c) != "Cn")


@settings(derandomize=True)
@given(st.text(known_characters, max_size=200))
def test_any_text_has_the_ids_of_the_reference(text):
    assert load_vocabulary().encode_ordinary(text) == reference().encode(text).ids


@given(st.text(max_size=300))
@example("<|endoftext|>")
@example("\r\n \t \u2028\x00")
def test_any_text_comes_back_from_its_ids(text):
    ids = load_vocabulary().encode_ordinary(text)
    assert load_vocabulary().decode(ids) == text
    assert all(0 <= token < END_OF_TEXT_ID for token in ids)
