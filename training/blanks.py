"""Sentences with gaps, as users write them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from corpora.vocabulary import MASK, SPECIAL_TOKENS

GAP: Final = "____"

_GAP_PATTERN: Final = re.compile(rf"( ?)(?:_{{4,}}|{re.escape(SPECIAL_TOKENS[MASK])})")


@dataclass(frozen=True, slots=True)
class Blank:
    """A sentence whose gaps are four or more underscores each, or the mask token."""

    parts: Sequence[str]
    """The text before, between and behind the gaps: one more than there are gaps."""
    after_space: Sequence[bool]
    """Whether a gap follows a space, which is then in no part: it belongs to the word, as it
    belongs to the word's first token."""

    @classmethod
    def of(cls, sentence: str) -> Self:
        """Find the gaps of a sentence."""
        gaps = _GAP_PATTERN.finditer(sentence)
        return cls(_GAP_PATTERN.split(sentence)[::2], [bool(gap[1]) for gap in gaps])

    @property
    def text(self) -> str:
        """The sentence, each gap as ``____``."""
        return self.filled([GAP] * len(self.after_space))

    def filled(self, words: Sequence[str]) -> str:
        """The sentence with a word in each gap; of fewer words, up to the first open gap."""
        text = self.parts[0]
        for word, after_space, part in zip(words, self.after_space, self.parts[1:], strict=False):
            text += (" " if after_space else "") + word + part
        return text
