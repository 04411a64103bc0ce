"""Cleaning: a record's text in, a document's text out, or the reason why it is none."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field

from core.cleaning_options import CleaningOptions
from corpora.readers.decoding import is_text, without_nul
from corpora.readers.record import Dropped, Notice, Record, excerpt
from corpora.readers.source import SourceFile

_LINE_ENDINGS = re.compile("\r\n?|[\v\f\x85]")
_CONTROLS = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ufeff\ufffe\uffff]")
_ASCII_TO_CLEAN = bytes({*range(0x20), 0x7F} - {0x09, 0x0A})
"""The ASCII characters that :func:`normalise` changes."""


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What a record became; the counts are of what was replaced in it and taken out of it."""

    text: str
    language: str | None = None
    redactions: Mapping[str, int] = field(default_factory=dict)


class Cleaner:
    """Cleans records one by one, as the options of a corpus say."""

    def __init__(
        self, options: CleaningOptions, *, evaluation_file: SourceFile | None = None
    ) -> None:
        """Make ready; ``evaluation_file`` is the one that ``options.decontaminate`` names."""
        self._options = options
        self._evaluation_file = evaluation_file

    def clean(self, record: Record, *, notice: Notice) -> Cleaned | Dropped:
        """Clean one record.

        Args:
            record: what a reader yielded.
            notice: told of NULs that were removed.
        """
        if not is_text(record.text):
            return Dropped(record.place, "not_text", excerpt(record.text))
        text = without_nul(record.text, record.place, notice)
        if self._options.profile != "none":
            text = normalise(text)
        if not text or text.isspace():
            return Dropped(record.place, "empty", "")
        return Cleaned(text)


def normalise(text: str) -> str:
    """NFC (Unicode annex 15), line feeds for every line ending, no control characters but tabs."""
    if text.isascii():
        data = text.encode()
        # several times faster than a search by a regular expression, and nearly always the answer
        if len(data.translate(None, _ASCII_TO_CLEAN)) == len(data):
            return text
    else:
        text = unicodedata.normalize("NFC", text)
    return _CONTROLS.sub("", _LINE_ENDINGS.sub("\n", text))
