"""The second pass over what was read: each document to its split, each duplicate to the report."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson

from corpora.clusters import ClusterExamples
from corpora.deduplicate import Duplicates
from corpora.documents import FORMAT, CorpusSplit, DocumentWriter
from corpora.durable import sync_directory
from corpora.fingerprint import Fingerprint, fingerprint
from corpora.progress import Progress, ProgressCallback
from corpora.report import DuplicateCluster
from corpora.scripts import ScriptCounter
from corpora.split import Split, cut_tail
from corpora.split_names import SPLIT_NAMES, SplitName
from corpora.spool import Facts, Spool, document_line
from corpora.tally import Tally

_BYTES_PER_PROGRESS: Final = 2**20


@dataclass(frozen=True)
class Written:
    """What the second pass found out."""

    digest: str
    options_digest: str
    split_digests: dict[SplitName, str]
    splits: dict[SplitName, CorpusSplit]
    tally: Tally
    clusters: tuple[DuplicateCluster, ...]
    num_clusters: int
    num_characters: int
    scripts: dict[str, int]
    parts: tuple[tuple[Fingerprint, SplitName], ...]
    """Of each document that was cut in two, where each part went."""

    @property
    def num_tails(self) -> int:
        """How many documents were cut."""
        return len(self.parts) // len(SPLIT_NAMES)


class DocumentSorter:
    """The second pass: every spooled document goes to its split, or is a duplicate."""

    def __init__(
        self,
        spool: Spool,
        duplicates: Duplicates,
        split: Split,
        *,
        tally: Tally,
        examples: ClusterExamples,
    ) -> None:
        self._spool = spool
        self._duplicates = duplicates
        self._split = split
        self._digest = hashlib.sha256()
        self._split_digests = {name: hashlib.sha256() for name in SPLIT_NAMES}
        self._tally = tally
        self._examples = examples
        self._scripts = ScriptCounter()
        self._parts: list[tuple[Fingerprint, SplitName]] = []
        self._untold_bytes = 0

    def run(
        self, directory: Path, *, options: Mapping[str, Any], progress: ProgressCallback
    ) -> Written:
        """Write every document of the spool that is kept to ``directory``; once.

        ``options`` are those that the digest tells apart.
        """
        self._digest.update(_canonical({"format": FORMAT, "options": options}))
        writers = {name: DocumentWriter(directory, name) for name in SPLIT_NAMES}
        lines = self._spool.lines()
        for piece, start, facts in self._spool.facts_by_piece():
            self._tally.count(piece, facts, self._duplicates, start)
            self._write_chunk(start, facts, lines, writers, progress)
        splits = {name: writer.close() for name, writer in writers.items()}
        sync_directory(directory)
        return Written(
            digest=self._digest.hexdigest(),
            options_digest=hashlib.sha256(_canonical(options)).hexdigest(),
            split_digests={
                name: digest.hexdigest() for name, digest in self._split_digests.items()
            },
            splits=splits,
            tally=self._tally,
            clusters=self._examples.reports(),
            num_clusters=self._examples.num_clusters,
            num_characters=self._scripts.num_characters,
            scripts=self._scripts.scripts,
            parts=tuple(self._parts),
        )

    def _write_chunk(
        self,
        start: int,
        facts: Facts,
        lines: Iterator[bytes],
        writers: Mapping[SplitName, DocumentWriter],
        progress: ProgressCallback,
    ) -> None:
        end = start + len(facts)
        is_held_out = self._duplicates.hash[start:end] < np.uint64(self._split.threshold)
        digests = np.ascontiguousarray(facts["sha256"]).tobytes()
        rows = zip(
            self._duplicates.is_removed[start:end].tolist(), is_held_out.tolist(),
            facts["num_bytes"].tolist(), facts["high"].tolist(), facts["low"].tolist(),
            strict=True,
        )  # fmt: skip
        for number, (is_removed, held_out, num_bytes, high, low) in enumerate(rows):
            line = next(lines)
            self._untold_bytes += num_bytes
            if self._untold_bytes >= _BYTES_PER_PROGRESS:
                self._tell(start + number, progress)
            self._examples.show(start + number, line)
            if is_removed:
                continue
            self._scripts.add(orjson.loads(line)["text"])
            if tail := self._split.tails.get((high, low)):
                self._write_in_two(line, tail, writers)
                continue
            name: SplitName = "validation" if held_out else "train"
            self._hash(name, digests[32 * number : 32 * number + 32])
            writers[name].write(line, num_bytes=num_bytes)

    def _hash(self, name: SplitName, digest: bytes) -> None:
        self._digest.update(name.encode())
        self._digest.update(digest)
        self._split_digests[name].update(digest)

    def _write_in_two(
        self, line: bytes, tail_bytes: int, writers: Mapping[SplitName, DocumentWriter]
    ) -> None:
        fields = orjson.loads(line)
        text = fields.pop("text")
        cut = cut_tail(text, num_bytes=tail_bytes)
        parts: tuple[tuple[SplitName, str], ...] = (
            ("train", text[:cut]),
            ("validation", text[cut:]),
        )
        for name, part in parts:
            data = part.encode()
            self._parts.append((fingerprint(part), name))
            self._hash(name, hashlib.sha256(data).digest())
            writers[name].write(document_line(part, **fields), num_bytes=len(data))

    def _tell(self, ordinal: int, progress: ProgressCallback) -> None:
        self._untold_bytes = 0
        fraction = ordinal / self._spool.num_documents
        progress(Progress("writing", fraction, records=ordinal))


def _canonical(value: Any) -> bytes:  # noqa: ANN401  whatever JSON can write
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
