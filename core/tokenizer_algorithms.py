"""The ways in which a vocabulary is learned."""

from __future__ import annotations

from typing import Final, Literal, get_args

TokenizerAlgorithm = Literal["bpe", "unigram", "wordpiece"]
TOKENIZER_ALGORITHMS: Final[tuple[TokenizerAlgorithm, ...]] = get_args(TokenizerAlgorithm)
