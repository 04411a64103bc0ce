"""A multipart body, taken apart as it arrives: files go straight where they belong.

The framework's own parser writes every byte to a temporary file before anybody sees the first one.
RFC 7578 says what such a body looks like.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from streaming_form_data import (  # type: ignore[import-untyped]
    ParseFailedException,
    StreamingFormDataParser,
)
from streaming_form_data.targets import BaseTarget  # type: ignore[import-untyped]

from api.json_body import check_text
from api.schemas.files import MAX_FORM_PARTS
from core.errors import InvalidRequest, MalformedRequest, TooLarge

_MAX_SILENT_BYTES: Final = 1 << 16
"""Bytes of headers and boundaries between two pieces of content; more is no honest client."""
_PIECE: Final = 1 << 18


class Sink(Protocol):
    """Where the bytes of one file go."""

    def write(self, data: bytes) -> None:
        """Take the next bytes."""
        ...


class MultipartForm:
    """Reads a form piece by piece; call `feed` with each, then `close`.

    A part that has a filename, or a field named in ``file_fields``, is a file. Everything else is
    text. Parts come in any order.
    """

    def __init__(
        self,
        content_type: str,
        *,
        open_file: Callable[[str, str], Sink],
        file_fields: frozenset[str] = frozenset({"file"}),
        max_text_bytes: int,
    ) -> None:
        """Prepare to read.

        Args:
            content_type: The request's header, with the boundary.
            open_file: Called with the field and the filename of each file, as it begins.
            file_fields: Fields that are files even without a filename.
            max_text_bytes: The most that all text fields together may have.

        Raises:
            MalformedRequest: the header is not that of a multipart form.
        """
        try:
            self._parser = StreamingFormDataParser({"content-type": content_type})
        except (ParseFailedException, ValueError, LookupError) as error:
            raise MalformedRequest(
                f"The body must be multipart/form-data with a boundary: {error}."
            ) from None
        self._parts = _Parts(
            open_file=open_file, file_fields=file_fields, max_text_bytes=max_text_bytes
        )
        self._parser.register("any", self._parts, lambda _, name: self._parts.named(name))

    @property
    def fields(self) -> dict[str, str]:
        """The text fields so far."""
        return self._parts.fields

    def feed(self, data: bytes) -> None:
        """Read the next bytes of the body.

        Raises:
            MalformedRequest: this is no multipart form.
            TooLarge: more parts or more text than the limit.
        """
        for start in range(0, len(data), _PIECE):
            piece = data[start : start + _PIECE]
            self._parts.silent_bytes += len(piece)
            try:
                self._parser.data_received(piece)
            except (ParseFailedException, ValueError, LookupError, TypeError):
                raise MalformedRequest(
                    "The multipart body cannot be read: its boundary is not the one in "
                    "Content-Type, or the headers of a part are no headers."
                ) from None
            if self._parts.silent_bytes > _MAX_SILENT_BYTES + _PIECE:
                raise MalformedRequest("The multipart body has headers without an end.")

    def close(self) -> None:
        """The body is over.

        Raises:
            MalformedRequest: it ended within a part, or had none.
        """
        if not self._parts.num_parts:
            raise MalformedRequest("The multipart body has no part with a name.")
        if self._parts.is_open:
            raise MalformedRequest("The multipart body ends before its last boundary.")


class _Parts(BaseTarget):  # type: ignore[misc] # the library has no types
    """Every part, one after the other."""

    def __init__(
        self,
        *,
        open_file: Callable[[str, str], Sink],
        file_fields: frozenset[str],
        max_text_bytes: int,
    ) -> None:
        super().__init__()
        self.fields: dict[str, str] = {}
        self.silent_bytes = 0
        self.num_parts = 0
        self.is_open = False
        self._open_file = open_file
        self._file_fields = file_fields
        self._text_bytes_left = max_text_bytes
        self._name = ""
        self._text = bytearray()
        self._file: Sink | None = None

    def named(self, name: str) -> bool:
        """The parser asks whose part ``name`` is: ours, whatever it is."""
        self._name = name
        self.set_multipart_filename(None)
        return True

    def on_start(self) -> None:
        """A part begins."""
        self.silent_bytes = 0
        self.num_parts += 1
        if self.num_parts > MAX_FORM_PARTS:
            raise TooLarge(f"A form has at most {MAX_FORM_PARTS} parts.")
        check_text(self._name, param=None)
        self.is_open = True
        self._text = bytearray()
        filename: str | None = self.multipart_filename
        is_file = filename is not None or self._name in self._file_fields
        check_text(filename or "", param=self._name)
        self._file = self._open_file(self._name, filename or "") if is_file else None

    def on_data_received(self, chunk: bytes) -> None:
        """More of the part's content."""
        self.silent_bytes = 0
        if self._file is not None:
            self._file.write(chunk)
            return
        self._text_bytes_left -= len(chunk)
        if self._text_bytes_left < 0:
            raise TooLarge("The text fields of the form are too large.", param=self._name)
        self._text += chunk

    def on_finish(self) -> None:
        """The part is whole."""
        self.is_open = False
        if self._file is not None:
            self._file = None
            return
        if self._name in self.fields:
            raise InvalidRequest(f"The field {self._name!r} is given twice.", param=self._name)
        try:
            text = self._text.decode()
        except UnicodeDecodeError:
            raise MalformedRequest(
                f"The field {self._name!r} is not UTF-8.", param=self._name
            ) from None
        check_text(text, param=self._name)
        self.fields[self._name] = text
