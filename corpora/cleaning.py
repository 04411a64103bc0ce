"""Cleaning: a record's text in, a document's text out, or the reason why it is none."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from core.cleaning_options import CleaningOptions
from corpora.composition import composed
from corpora.decontamination import Evaluation
from corpora.language import DEFAULT_MIN_CONFIDENCE, LanguageIdentifier
from corpora.quality import Quality
from corpora.readers.decoding import is_text, without_nul
from corpora.readers.record import Dropped, Notice, Record, excerpt
from corpora.redaction import redact

_LINE_ENDINGS = ("\r\n", "\r", "\v", "\f", "\x85")
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ufeff\ufffe\uffff]")
_ASCII_CONTROLS = bytes({*range(0x20), 0x7F} - {0x09, 0x0A})
_FIRST_BYTES_OF_OTHERS = (b"\xc2", b"\xef")
"""In UTF-8, of the controls beyond ASCII, and of some hundred characters that are none."""


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What a record became; the counts are of what was replaced in it and taken out of it."""

    text: str
    language: str | None = None
    redactions: Mapping[str, int] = field(default_factory=dict)
    removed_lines: Mapping[str, int] = field(default_factory=dict)
    """Lines by the filter that took them out."""


class Cleaner:
    """Cleans records one by one, as the options of a corpus say."""

    def __init__(self, options: CleaningOptions, *, evaluation: Evaluation | None = None) -> None:
        """Make ready to do what ``options`` say; ``evaluation`` is what they name, if they do."""
        self._normalises = options.profile != "none"
        self._removals = options.remove
        self._languages = options.languages
        self._identifier = LanguageIdentifier(min_confidence=_min_confidence(options))
        self._quality = Quality(options.filters)
        is_asked_for = bool(options.filters.contaminated)
        assert is_asked_for == (evaluation is not None), "the file named is not at hand"
        self._evaluation = evaluation

    def clean(self, record: Record, *, notice: Notice) -> Cleaned | Dropped:
        """Clean one record.

        Args:
            record: what a reader yielded.
            notice: told of NULs that were removed.
        """
        text = self._text_of(record, notice)
        if isinstance(text, Dropped):
            return text
        language = self._identifier.identify(text)
        if self._languages is not None and language not in self._languages:
            return _dropped(record, "language")
        judged = self._quality.judge(text, language=language)
        if isinstance(judged, str):
            return _dropped(record, judged)
        if self._evaluation is not None and self._evaluation.is_quoted_by(judged.text):
            return _dropped(record, "contaminated")
        text, redactions = redact(judged.text, self._removals)
        return Cleaned(text, language, redactions, judged.removed_lines)

    def _text_of(self, record: Record, notice: Notice) -> str | Dropped:
        """The record's text, normalised, if it is one."""
        if not is_text(record.text):
            return _dropped(record, "not_text")
        text = without_nul(record.text, record.place, notice)
        if self._normalises:
            text = normalise(text)
        if not text or text.isspace():
            return _dropped(record, "empty")
        # what was taken out may have been most of what made it a text
        if len(text) < len(record.text) and not is_text(text):
            return _dropped(record, "not_text")
        return text


def normalise(text: str) -> str:
    """NFC (Unicode annex 15), line feeds for every line ending, no control characters but tabs."""
    for ending in _LINE_ENDINGS:
        text = text.replace(ending, "\n")
    text = _without_controls(text)
    # only now: a control between a letter and its accent would hide that they belong together
    return composed(text)


def _without_controls(text: str) -> str:
    data = text.encode(errors="replace")
    # many times faster than a search by a regular expression, and nearly always the answer
    if len(data.translate(None, _ASCII_CONTROLS)) == len(data) and not any(
        first in data for first in _FIRST_BYTES_OF_OTHERS
    ):
        return text
    return _CONTROLS.sub("", text)


def _dropped(record: Record, reason: str) -> Dropped:
    num_bytes = len(record.text.encode(errors="replace"))
    return Dropped(record.place, reason, excerpt(record.text), num_bytes)


def _min_confidence(options: CleaningOptions) -> float:
    limits = options.filters.language
    return limits.min_confidence if limits else DEFAULT_MIN_CONFIDENCE
