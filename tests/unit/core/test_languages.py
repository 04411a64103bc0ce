from __future__ import annotations

from fasttext_pybind import fasttext

from core.languages import LANGUAGES, WITHOUT_SPACES
from corpora.language import model_path


def test_the_languages_are_those_that_the_model_tells_apart() -> None:
    model = fasttext()
    model.loadModel(str(model_path()))
    labels = model.predict("any text\n", 1000, -1.0, "strict")
    assert {label.removeprefix("__label__") for _, label in labels} == LANGUAGES


def test_languages_without_spaces_are_languages() -> None:
    assert WITHOUT_SPACES < LANGUAGES
