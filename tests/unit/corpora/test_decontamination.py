from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.cleaning_options import CleaningOptions
from core.corpus_options import CorpusOptions
from core.errors import BadData
from core.filters.decontamination import Contaminated
from corpora.decontamination import (
    MAX_EVALUATION_CHARACTERS,
    Evaluation,
    read_evaluation,
    words_of,
)
from corpora.readers.source import SourceFile

QUESTION = (
    "Which of these three rivers, the Rhine, the Danube or the Elbe, flows into the Black Sea?"
)
SHORT = "Name the largest lake of northern Italy, please."


def evaluation(*texts: str, **limits: int) -> Evaluation:
    return Evaluation(texts, limits=Contaminated(**limits), sha256="0" * 64)


def words(count: int, start: int = 0) -> str:
    return " ".join(f"w{number}" for number in range(start, start + count))


@pytest.mark.parametrize(
    "text",
    [
        QUESTION,
        f"On page three we read: {QUESTION} And so on.",
        "which of these\nthree RIVERS - the Rhine the Danube or the Elbe - flows",
    ],
)
def test_a_document_that_quotes_the_evaluation_is_found(text: str) -> None:
    assert evaluation("Something else.", QUESTION).is_quoted_by(text)


@pytest.mark.parametrize(("num_words", "quotes"), [(12, "no"), (13, "yes"), (14, "yes")])
def test_thirteen_common_words_are_a_quotation(num_words: int, quotes: str) -> None:
    known = evaluation(words(30))
    text = f"before it {words(num_words, start=7)} behind it"
    assert known.is_quoted_by(text) == (quotes == "yes")


def test_the_same_words_in_another_order_are_none() -> None:
    known = evaluation(words(30))
    assert not known.is_quoted_by(" ".join(reversed(words(30).split())))
    assert not known.is_quoted_by(f"{words(12)} {words(12, start=15)}")


def test_a_short_text_of_the_evaluation_counts_as_a_whole() -> None:
    known = evaluation(SHORT, QUESTION)
    assert known.is_quoted_by("name the largest lake of northern italy please")
    assert known.is_quoted_by(f"He said: {SHORT}")
    assert not known.is_quoted_by("Name the largest lake of northern Italy.")


def test_texts_of_fewer_words_than_count_are_passed_over() -> None:
    known = evaluation("Yes it is.", QUESTION)
    assert not known.is_quoted_by("Yes it is.")


def test_more_than_one_common_run_can_be_asked_for() -> None:
    known = evaluation(words(30), min_ngrams=3)
    assert not known.is_quoted_by(words(14))
    assert known.is_quoted_by(words(15))


def test_the_length_of_runs_can_be_changed() -> None:
    known = evaluation(words(30), ngram_words=5)
    assert known.is_quoted_by(f"so {words(5, start=3)} so")
    assert not known.is_quoted_by(f"so {words(4, start=3)} so")


def test_a_document_without_words_quotes_nothing() -> None:
    assert not evaluation(QUESTION).is_quoted_by("?! --")


@given(st.text(st.characters(codec="ascii")))
def test_plain_text_has_the_words_that_any_text_would_have(text: str) -> None:
    assert words_of(text) == words_of(f"{text} \N{BULLET}")


def source_file(path: Path) -> SourceFile:
    return SourceFile(path=path, filename=path.name, sha256="0" * 64, id="file_1")


def options(text_field: str) -> CorpusOptions:
    return CorpusOptions(text_field=text_field, clean=CleaningOptions(decontaminate="file_1"))


def test_the_evaluation_is_read_as_a_file_of_a_corpus_would_be(tmp_path: Path) -> None:
    path = tmp_path / "questions.jsonl"
    path.write_text("\n".join(json.dumps({"question": text}) for text in (QUESTION, SHORT)))
    known = read_evaluation(source_file(path), options=options("question"))
    assert known.is_quoted_by(QUESTION)
    assert known.is_quoted_by(SHORT)


def test_an_evaluation_without_a_usable_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "questions.jsonl"
    path.write_text(json.dumps({"question": QUESTION}))
    with pytest.raises(BadData, match="8 words or more") as caught:
        read_evaluation(source_file(path), options=options("text"))
    assert (caught.value.error_code, caught.value.param) == (
        "evaluation_empty",
        "clean.decontaminate",
    )


def test_an_evaluation_that_memory_could_not_hold_is_refused() -> None:
    with pytest.raises(BadData, match="33,554,432 characters") as caught:
        evaluation(QUESTION, " " * MAX_EVALUATION_CHARACTERS)
    assert caught.value.error_code == "evaluation_too_large"
