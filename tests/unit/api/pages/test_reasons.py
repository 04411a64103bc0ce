from __future__ import annotations

from typing import get_args

import pytest

from api.pages.reasons import meaning_of, name_of
from core.quality_filters import FilterFacts, list_filters
from corpora.readers.record import DropReason


@pytest.mark.parametrize("code", get_args(DropReason))
def test_every_reason_of_the_readers_has_a_sentence_of_its_own(code: str) -> None:
    assert meaning_of(code) != meaning_of("a reason that nobody gives")


@pytest.mark.parametrize("rule", list_filters(), ids=lambda rule: rule.name)
def test_every_filter_is_explained_with_its_source(rule: FilterFacts) -> None:
    said = meaning_of(rule.name)
    assert rule.source in said
    assert rule.description in said


def test_codes_become_words() -> None:
    assert name_of("gopher_word_count") == "Gopher word count"
