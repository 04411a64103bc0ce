"""The second pass over what was read: each document to its split, each duplicate to the report."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from core.corpus_options import CorpusOptions
from corpora.documents import FORMAT, CorpusSplit, DocumentWriter
from corpora.durable import sync_directory
from corpora.progress import Progress, ProgressCallback
from corpora.readers.record import excerpt
from corpora.report import Example, Findings
from corpora.split import Split, cut_tail
from corpora.split_names import SPLIT_NAMES, SplitName
from corpora.spool import Facts, Spool, document_line

_DOCUMENTS_PER_PROGRESS: Final = 2**10


@dataclass(frozen=True)
class Written:
    """What the second pass found out."""

    digest: str
    splits: dict[SplitName, CorpusSplit]
    num_documents: int
    lengths: NDArray[np.int64]
    """Documents by the number of bits of their length in bytes."""
    num_tails: int


class DocumentSorter:
    """The second pass: every spooled document goes to its split, or is a duplicate."""

    def __init__(
        self, spool: Spool, is_duplicate: NDArray[np.bool_], split: Split, findings: Findings
    ) -> None:
        self._spool = spool
        self._is_duplicate = is_duplicate
        self._split = split
        self._findings = findings
        self._digest = hashlib.sha256()
        self._lengths = np.zeros(33, dtype=np.int64)
        self._num_documents = 0
        self._num_tails = 0

    def run(
        self, directory: Path, *, options: CorpusOptions, progress: ProgressCallback
    ) -> Written:
        """Write every document of the spool that is kept to ``directory``; once."""
        self._digest.update(_canonical({"format": FORMAT, "options": options.model_dump()}))
        writers = {name: DocumentWriter(directory, name) for name in SPLIT_NAMES}
        lines = self._spool.lines()
        for start, facts in self._spool.facts():
            self._write_chunk(start, facts, lines, writers, progress)
        splits = {name: writer.close() for name, writer in writers.items()}
        sync_directory(directory)
        return Written(
            digest=self._digest.hexdigest(),
            splits=splits,
            num_documents=self._num_documents,
            lengths=self._lengths,
            num_tails=self._num_tails,
        )

    def _write_chunk(
        self,
        start: int,
        facts: Facts,
        lines: Iterator[bytes],
        writers: Mapping[SplitName, DocumentWriter],
        progress: ProgressCallback,
    ) -> None:
        is_duplicate = self._is_duplicate[start : start + len(facts)]
        self._count_lengths(facts["num_bytes"][~is_duplicate])
        is_held_out = facts["low"] < np.uint64(self._split.threshold)
        digests = np.ascontiguousarray(facts["sha256"]).tobytes()
        rows = zip(
            is_duplicate.tolist(), is_held_out.tolist(), facts["num_bytes"].tolist(),
            facts["high"].tolist(), facts["low"].tolist(), strict=True,
        )  # fmt: skip
        for number, (repeats, held_out, num_bytes, high, low) in enumerate(rows):
            line = next(lines)
            if number % _DOCUMENTS_PER_PROGRESS == 0:
                self._tell(start + number, progress)
            if repeats:
                self._note_duplicate(line)
                continue
            self._num_documents += 1
            if tail := self._split.tails.get((high, low)):
                self._write_in_two(line, tail, writers)
                continue
            name: SplitName = "validation" if held_out else "train"
            self._digest.update(name.encode())
            self._digest.update(digests[32 * number : 32 * number + 32])
            writers[name].write(line, num_bytes=num_bytes)

    def _write_in_two(
        self, line: bytes, tail_bytes: int, writers: Mapping[SplitName, DocumentWriter]
    ) -> None:
        fields = orjson.loads(line)
        text = fields.pop("text")
        cut = cut_tail(text, num_bytes=tail_bytes)
        self._num_tails += 1
        parts: tuple[tuple[SplitName, str], ...] = (
            ("train", text[:cut]),
            ("validation", text[cut:]),
        )
        for name, part in parts:
            data = part.encode()
            self._digest.update(name.encode())
            self._digest.update(hashlib.sha256(data).digest())
            writers[name].write(document_line(part, **fields), num_bytes=len(data))

    def _note_duplicate(self, line: bytes) -> None:
        example = None
        if self._findings.wants_duplicates:
            fields = orjson.loads(line)
            example = Example(
                file=fields["file"], place=fields["place"], excerpt=excerpt(fields["text"])
            )
        self._findings.duplicate(example)

    def _count_lengths(self, num_bytes: NDArray[np.uint32]) -> None:
        bits = np.frexp(num_bytes.astype(np.float64))[1]
        self._lengths += np.bincount(bits, minlength=len(self._lengths))

    def _tell(self, ordinal: int, progress: ProgressCallback) -> None:
        fraction = ordinal / self._spool.num_documents
        progress(Progress("writing", fraction, records=ordinal))


def _canonical(value: Any) -> bytes:  # noqa: ANN401  whatever JSON can write
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
