"""The largest clusters of documents that repeat each other, for the report."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import orjson

from corpora.deduplicate import Duplicates, new_table, ranges
from corpora.readers.record import excerpt
from corpora.report import NUM_EXAMPLES, DuplicateCluster, Example
from corpora.spool import Spool

NUM_CLUSTERS: Final = 10


@dataclass
class _Cluster:
    num_members: int = 0
    num_bytes: int = 0
    kept: int = -1
    removed: list[int] = field(default_factory=list)
    """The ordinals of those that are shown."""


class ClusterExamples:
    """Chooses the documents that the report shows as repeating each other, then quotes them."""

    def __init__(self, spool: Spool, duplicates: Duplicates, *, scratch: Path) -> None:
        self.num_clusters = 0
        self._clusters = {first: _Cluster() for first in self._largest(duplicates, scratch)}
        self._find_members(spool, duplicates)
        self._shown = {
            ordinal
            for cluster in self._clusters.values()
            for ordinal in (cluster.kept, *cluster.removed)
        }
        self._examples: dict[int, Example] = {}

    def show(self, ordinal: int, line: bytes) -> None:
        """Quote this document if it is one of those that were chosen."""
        if ordinal in self._shown:
            fields = orjson.loads(line)
            self._examples[ordinal] = Example(
                file=fields["file"], place=fields["place"], excerpt=excerpt(fields["text"])
            )

    def reports(self) -> tuple[DuplicateCluster, ...]:
        """The clusters, largest first, once every document was shown."""
        return tuple(
            DuplicateCluster(
                num_members=cluster.num_members,
                num_bytes=cluster.num_bytes,
                kept=self._examples[cluster.kept],
                removed=tuple(self._examples[ordinal] for ordinal in cluster.removed),
            )
            for cluster in self._clusters.values()
        )

    def _largest(self, duplicates: Duplicates, scratch: Path) -> list[int]:
        """The first members of the clusters with most that was removed."""
        num_documents = len(duplicates.first)
        num_removed = new_table(scratch / "num-removed.bin", np.int64, num_documents)
        for start, end in ranges(num_documents):
            first = duplicates.first[start:end][duplicates.is_removed[start:end]]
            np.add.at(num_removed, first, 1)
        largest: list[tuple[int, int]] = []
        for start, end in ranges(num_documents):
            counts = num_removed[start:end]
            self.num_clusters += int(np.count_nonzero(counts))
            top = np.argsort(-counts, kind="stable")[:NUM_CLUSTERS]
            found = [(int(counts[i]), -(start + int(i))) for i in top if counts[i]]
            largest = heapq.nlargest(NUM_CLUSTERS, [*largest, *found])
        return [-negated for _, negated in largest]

    def _find_members(self, spool: Spool, duplicates: Duplicates) -> None:
        roots = np.array(list(self._clusters), dtype=np.int64)
        for start, facts in spool.facts():
            first = duplicates.first[start : start + len(facts)]
            for index in np.flatnonzero(np.isin(first, roots)).tolist():
                cluster = self._clusters[int(first[index])]
                cluster.num_members += 1
                cluster.num_bytes += int(facts["num_bytes"][index])
                if not duplicates.is_removed[start + index]:
                    cluster.kept = start + index
                elif len(cluster.removed) < NUM_EXAMPLES:
                    cluster.removed.append(start + index)
