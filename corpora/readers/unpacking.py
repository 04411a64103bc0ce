"""From stored bytes to records: compressions and archives opened, each content by its format.

What something is, its first bytes say: compressions and archives first, Parquet, WARC and HTML
next. Where they say nothing, the ending of its name tells the formats of text apart.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final, Literal, cast

from core.corpus_options import CorpusOptions
from core.errors import BadData
from corpora.readers.children import Children
from corpora.readers.compression import compression_of, decompress
from corpora.readers.csv import read_csv
from corpora.readers.decoding import (
    SNIFFED_BYTES,
    as_utf8,
    is_text,
    may_be_another_encoding,
    with_head,
)
from corpora.readers.html import is_html, read_html
from corpora.readers.jsonl import read_jsonl
from corpora.readers.members import Member
from corpora.readers.origin import MAX_ARCHIVES_DEEP, MAX_COMPRESSIONS, Origin
from corpora.readers.parquet import is_parquet, read_parquet
from corpora.readers.plain import read_plain
from corpora.readers.record import (
    WHOLE_FILE,
    BadBytes,
    Dropped,
    DropReason,
    Notice,
    Record,
    excerpt,
    within,
)
from corpora.readers.stored import StoredFile
from corpora.readers.tar import is_tar, tar_members
from corpora.readers.warc import WarcRecordType, is_warc, read_warc
from corpora.readers.zip import is_office_document, is_zip, zip_members

FileFormat = Literal["txt", "md", "jsonl", "csv", "parquet", "html", "warc", "wet"]

_COMPRESSED_ENDINGS = frozenset({".gz", ".zst", ".xz", ".bz2"})
_FORMAT_BY_ENDING: dict[str, FileFormat] = {
    ".txt": "txt",
    ".md": "md",
    ".jsonl": "jsonl",
    ".csv": "csv",
}
_WARC_TYPES: Final[dict[str, frozenset[WarcRecordType]]] = {
    "auto": frozenset({"response", "conversion"}),
    "warc": frozenset({"response"}),
    "wet": frozenset({"conversion"}),
}


def format_of(name: str) -> FileFormat:
    """What a name says of a text; plain text if it says nothing that is known."""
    endings = [ending.lower() for ending in PurePosixPath(name).suffixes]
    while endings and endings[-1] in _COMPRESSED_ENDINGS:
        endings.pop()
    return _FORMAT_BY_ENDING.get(endings[-1], "txt") if endings else "txt"


@dataclass(frozen=True, slots=True)
class _Content:
    """Bytes to be read, and where they come from.

    Attributes:
        pieces: all of them, decompressed so far as is known.
        head: the first ones, which ``pieces`` gives as well.
        stored: the file, where these are its very bytes.
    """

    origin: Origin
    pieces: Iterator[bytes]
    head: bytes
    stored: StoredFile | None = None


class Unpacker:
    """Opens one file and everything in it."""

    def __init__(
        self,
        *,
        options: CorpusOptions,
        notice: Notice,
        children: Children,
        scratch: Path | None,
    ) -> None:
        """``scratch`` is where what needs random access is laid meanwhile, without a name."""
        self._options = options
        self._notice = notice
        self._children = children
        self._scratch = scratch

    def read(self, stored: StoredFile, origin: Origin) -> Iterator[Record | Dropped]:
        """Every record of a file.

        Raises:
            BadData: the file itself cannot be read; not for members of archives in it.
        """
        head, pieces = with_head(stored.pieces())
        return self._read(_Content(origin, pieces, head, stored))

    def _read(self, content: _Content) -> Iterator[Record | Dropped]:
        content = self._decompressed(content)
        if is_office_document(content.head):
            return self._read_nothing(content, "office_document")
        if is_zip(content.head):
            return self._read_members(content, self._zip)
        if is_tar(content.head):
            return self._read_members(content, self._tar)
        return self._read_content(content)

    def _decompressed(self, content: _Content) -> _Content:
        num_compressions = 0
        while compression := compression_of(content.head):
            origin = content.origin
            num_compressions += 1
            if num_compressions > MAX_COMPRESSIONS:
                raise origin.error(
                    f"is compressed more than {MAX_COMPRESSIONS} times", code="nested_too_deep"
                )
            notice = _within_member(self._notice, origin.member)
            head, pieces = with_head(
                decompress(content.pieces, compression, origin=origin, notice=notice)
            )
            content = _Content(origin, pieces, head)
        return content

    def _read_nothing(self, content: _Content, reason: DropReason) -> Iterator[Dropped]:
        num_bytes = sum(map(len, content.pieces))
        yield Dropped(within(content.origin.member, WHOLE_FILE), reason, "", num_bytes)

    def _read_members(
        self, content: _Content, members: Callable[[_Content], Generator[Member]]
    ) -> Iterator[Record | Dropped]:
        if content.origin.num_archives >= MAX_ARCHIVES_DEEP:
            raise content.origin.error(
                f"is an archive, and lies in {MAX_ARCHIVES_DEEP} already; so deep none is opened",
                code="nested_too_deep",
            )
        is_empty = True
        with closing(members(content)) as found:
            for member in found:
                is_empty = False
                yield from self._read_member(member, content.origin)
        if is_empty:
            yield Dropped(within(content.origin.member, WHOLE_FILE), "empty", "")

    def _read_member(self, member: Member, archive: Origin) -> Iterator[Record | Dropped]:
        """The records of a member; what is wrong with it is wrong with nothing else."""
        origin = Origin(
            member.name, num_bytes=member.num_bytes, limits=archive.limits, parent=archive
        )
        place = within(origin.member, WHOLE_FILE)
        if member.refusal:
            yield Dropped(place, member.refusal, "", member.num_bytes)
            return
        try:
            head, pieces = with_head(member.open(origin))
            yield from self._read(_Content(origin, pieces, head))
        except BadData as error:
            if error is not origin.failure:
                raise
            yield Dropped(place, error.error_code, excerpt(error.message), member.num_bytes)

    def _zip(self, content: _Content) -> Generator[Member]:
        with self._random_access(content) as (file, num_bytes):
            read = content.stored.meter.add if content.stored else lambda _: None
            yield from zip_members(file, num_bytes=num_bytes, origin=content.origin, read=read)

    def _tar(self, content: _Content) -> Generator[Member]:
        yield from tar_members(content.pieces, origin=content.origin)

    @contextmanager
    def _random_access(self, content: _Content) -> Iterator[tuple[BinaryIO, int]]:
        """A file of the content and its size: the stored one, or one without a name."""
        if content.stored:
            yield content.stored.file, content.stored.num_bytes
            return
        limit = content.origin.limits.max_scratch_bytes
        with tempfile.TemporaryFile(dir=self._scratch, buffering=0) as file:
            num_bytes = 0
            for piece in content.pieces:
                num_bytes += len(piece)
                if num_bytes > limit:
                    raise content.origin.error(
                        f"is longer than {limit} bytes, and compressed: upload it bare",
                        code="decompression_bomb",
                    )
                file.write(piece)
            yield cast("BinaryIO", file), num_bytes

    def _read_content(self, content: _Content) -> Iterator[Record | Dropped]:
        """The records of what is neither compressed nor an archive; at least one, if a drop."""
        member = content.origin.member
        is_empty = True
        for record in self._records(content, _within_member(self._notice, member)):
            is_empty = False
            yield record if member is None else _placed(record, member)
        if is_empty:
            yield Dropped(within(member, WHOLE_FILE), "empty", "")

    def _records(self, content: _Content, notice: Notice) -> Iterator[Record | Dropped]:
        pieces, origin = content.pieces, content.origin
        match self._format(content):
            case "parquet":
                return self._parquet(content, notice)
            case "warc" | "wet":
                return read_warc(
                    pieces,
                    types=_WARC_TYPES[self._options.format],
                    notice=notice,
                    origin=origin,
                    extractor=self._children.pages,
                )
            case "html":
                return read_html(pieces, notice=notice, extractor=self._children.pages)
            case text_format:
                return self._read_text(content, text_format, notice)

    def _format(self, content: _Content) -> FileFormat:
        if self._options.format != "auto":
            return self._options.format
        if is_parquet(content.head):
            return "parquet"
        if is_warc(content.head):
            return "warc"
        return "html" if is_html(content.head) else format_of(content.origin.name)

    def _parquet(self, content: _Content, notice: Notice) -> Iterator[Record | Dropped]:
        with self._random_access(content) as (file, num_bytes):
            stored = content.stored
            yield from read_parquet(
                file,
                text_field=self._options.text_field,
                notice=notice,
                num_bytes=num_bytes,
                origin=content.origin,
                children=self._children.tables,
                advanced=lambda share: (
                    stored.meter.reach(int(share * num_bytes)) if stored else None
                ),
            )

    def _read_text(
        self, content: _Content, text_format: FileFormat, notice: Notice
    ) -> Iterator[Record | Dropped]:
        """Plain text, Markdown, jsonl and csv; what is no text at all is one dropped record."""
        # what a binary file's bytes mean as text is of no interest: held back until it is known
        held_back: list[BadBytes] = []
        is_known_as_text = False

        def notice_text(bad_bytes: BadBytes) -> None:
            if is_known_as_text:
                notice(bad_bytes)
            else:
                held_back.append(bad_bytes)

        head, pieces = with_head(as_utf8(content.pieces, notice_text))
        sample = head[:SNIFFED_BYTES].decode(errors="replace")
        if not is_text(sample):
            is_legacy = may_be_another_encoding(head[:SNIFFED_BYTES])
            reason: DropReason = "not_utf8" if is_legacy else "not_text"
            yield Dropped(WHOLE_FILE, reason, excerpt(sample), sum(map(len, pieces)))
            return
        is_known_as_text = True
        for bad_bytes in held_back:
            notice(bad_bytes)
        text_field = self._options.text_field
        if text_format == "jsonl":
            yield from read_jsonl(pieces, text_field=text_field, notice=notice)
        elif text_format == "csv":
            yield from read_csv(pieces, text_field=text_field, notice=notice, origin=content.origin)
        else:
            yield from read_plain(pieces, notice=notice)


def _placed(record: Record | Dropped, member: str) -> Record | Dropped:
    return replace(record, place=within(member, record.place))


def _within_member(notice: Notice, member: str | None) -> Notice:
    if member is None:
        return notice
    return lambda bad: notice(replace(bad, place=within(member, bad.place)))
