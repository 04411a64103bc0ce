"""The `tokenizer.json` files that can be used here, by their schema.

The accepted ones write bytes as letters, so that any text comes back as it was, and cut it with
split patterns that are known: a pattern of a stranger can take forever.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import Field, Strict

from core.frozen import Frozen
from corpora.tokenizer import MAX_WORD_CHARACTERS, SHORT_PATTERN, SPLIT_PATTERN

MAX_TOKEN_LETTERS: Final = 1024
MAX_PRE_TOKENIZERS: Final = 8

_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_WORD = r"[^\r\n\p{L}\p{N}]?\p{L}+"
_SIGNS = r" ?[^\s\p{L}\p{N}]+[\r\n]*"
_SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_GPT_2_REST = r" ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_UPPER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
_LOWER = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_QWEN_3_5 = (
    rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}\p{{M}}]+|\p{{N}}"
    rf"| ?[^\s\p{{L}}\p{{M}}\p{{N}}]+[\r\n]*|{_SPACES}"
)
_O200K = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+{_CONTRACTIONS}?"
    rf"|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*{_CONTRACTIONS}?"
    rf"|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_SPACES}"
)
KNOWN_PATTERNS: Final[dict[str, tuple[str, ...]]] = {
    "GPT-2": (rf"'(?:[sdmt]|ll|ve|re)|{_GPT_2_REST}", rf"'s|'t|'re|'ve|'m|'ll|'d|{_GPT_2_REST}"),
    "cl100k": (rf"{_CONTRACTIONS}|{_WORD}|\p{{N}}{{1,3}}|{_SIGNS}|\s*[\r\n]|\s+(?!\S)|\s+",),
    "Llama 3": (rf"{_CONTRACTIONS}|{_WORD}|\p{{N}}{{1,3}}|{_SIGNS}|{_SPACES}",),
    "Qwen2": (SPLIT_PATTERN,),
    "Qwen3.5": (_QWEN_3_5,),
    "o200k": (_O200K,),
    "digits": (r"\p{N}", r"\p{N}{1,3}"),
    "short words": (SHORT_PATTERN,),
}
"""Published split patterns, by whose they are."""

Finite = Annotated[float, Strict(strict=False), Field(allow_inf_nan=False)]


class ByteLevel(Frozen):
    """Bytes as letters; with ``use_regex`` it also splits as GPT-2 does."""

    type: Literal["ByteLevel"]
    add_prefix_space: Literal[False]
    trim_offsets: bool = True
    use_regex: bool = True


class Pattern(Frozen):
    """A regular expression by its text."""

    regex: str = Field(alias="Regex")


class Split(Frozen):
    """Cuts text at the matches of a pattern, which stay."""

    type: Literal["Split"]
    pattern: Pattern
    behavior: Literal["Isolated"]
    invert: Literal[False]


class Digits(Frozen):
    """Cuts digits off."""

    type: Literal["Digits"]
    individual_digits: bool


class PreTokenizers(Frozen):
    """One after the other."""

    type: Literal["Sequence"]
    pretokenizers: Annotated[
        list[Annotated[ByteLevel | Split | Digits, Field(discriminator="type")]],
        Field(min_length=1, max_length=MAX_PRE_TOKENIZERS),
    ]


PreTokenizer = Annotated[ByteLevel | PreTokenizers, Field(discriminator="type")]


class Nfc(Frozen):
    """Unicode's composition, which cleaning has done before."""

    type: Literal["NFC"]


class Normalizers(Frozen):
    """One after the other."""

    type: Literal["Sequence"]
    normalizers: Annotated[list[Nfc], Field(max_length=1)]


class AddedToken(Frozen):
    """A token that is found before anything else; none of them is kept."""

    id: Annotated[int, Field(ge=0)]
    content: str
    single_word: bool = False
    lstrip: bool = False
    rstrip: bool = False
    normalized: bool = False
    special: bool = False


class BpeModel(Frozen):
    """Byte-pair encoding; merges as pairs, or as older versions wrote them."""

    type: Literal["BPE"]
    dropout: None = None
    unk_token: str | None = None
    continuing_subword_prefix: Literal[""] | None = None
    end_of_word_suffix: Literal[""] | None = None
    fuse_unk: bool = False
    byte_fallback: Literal[False] = False
    ignore_merges: bool = False
    vocab: dict[str, int]
    merges: list[str] | list[tuple[str, str]]


class UnigramModel(Frozen):
    """Pieces with the logarithms of their probabilities."""

    type: Literal["Unigram"]
    unk_id: int | None = None
    byte_fallback: Literal[False] = False
    vocab: list[tuple[str, Finite]]


class WordPieceModel(Frozen):
    """The longest match first, as trained here: without a mark of what continues a word."""

    type: Literal["WordPiece"]
    unk_token: str
    continuing_subword_prefix: Literal[""]
    max_input_chars_per_word: Annotated[
        int, Field(ge=4 * MAX_WORD_CHARACTERS, le=4 * MAX_WORD_CHARACTERS)
    ]
    vocab: dict[str, int]


Model = Annotated[BpeModel | UnigramModel | WordPieceModel, Field(discriminator="type")]


class TokenizerFile(Frozen):
    """A `tokenizer.json`; what is typed ``Any`` is never loaded."""

    version: str = "1.0"
    truncation: Any = None
    padding: Any = None
    added_tokens: tuple[AddedToken, ...] = ()
    normalizer: Annotated[Nfc | Normalizers, Field(discriminator="type")] | None = None
    pre_tokenizer: PreTokenizer
    post_processor: Any = None
    decoder: Any = None
    model: Model
