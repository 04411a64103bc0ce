"""WARC files written by warcio, which has nothing in common with the reader."""

from __future__ import annotations

import io
from typing import Any

from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter


class _Writer(WARCWriter):  # type: ignore[misc]  # it has no types
    @staticmethod
    def _create_temp_file() -> io.BytesIO:
        return io.BytesIO()  # its own would stay open, which is a warning and so an error


class WarcFile:
    """A WARC file in memory; with ``compressed`` each record is a gzip member of its own."""

    def __init__(self, *, compressed: bool = False) -> None:
        self._file = io.BytesIO()
        self._writer: Any = _Writer(self._file, gzip=compressed)

    @property
    def data(self) -> bytes:
        return self._file.getvalue()

    def info(self) -> None:
        """What a crawler begins its files with."""
        self._write(self._writer.create_warcinfo_record("a.warc", {"software": "warcio"}))

    def response(
        self,
        uri: str,
        body: bytes,
        *,
        content_type: str = "text/html; charset=utf-8",
        status: str = "200 OK",
        headers: tuple[tuple[str, str], ...] = (),
        kind: str = "response",
    ) -> None:
        """An HTTP exchange's answer, or with ``kind`` another record with such headers."""
        http = StatusAndHeaders(
            status, [("Content-Type", content_type), *headers], protocol="HTTP/1.1"
        )
        self._write(
            self._writer.create_warc_record(uri, kind, payload=io.BytesIO(body), http_headers=http)
        )

    def conversion(self, uri: str, text: bytes) -> None:
        """A text of a WET file."""
        self._write(
            self._writer.create_warc_record(
                uri, "conversion", payload=io.BytesIO(text), warc_content_type="text/plain"
            )
        )

    def _write(self, record: Any) -> None:
        self._writer.write_record(record)
