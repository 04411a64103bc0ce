"""How well near-duplicates are found, and how fast: this service's way against datasketch's.

    python benchmarks/near_duplicates.py [--documents 4000] [--file text.jsonl ...]

Documents are cut out of real text (without ``--file`` out of the documentation that Python
carries), and a third of them get versions with words changed, inserted and deleted, so that pairs
of every similarity stand among many that have nothing in common. The truth is the Jaccard
similarity of the sets of five-word runs, worked out in full. Both sides use as many hashes in as
many bands; datasketch's candidates are then checked by its own signatures, as ours are.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from pathlib import Path
from pydoc_data.topics import topics

import numpy as np
from datasketch import MinHash, MinHashLSH

from corpora.fingerprint import fold
from corpora.minhash import NUM_HASHES, WORDS_PER_SHINGLE
from corpora.near_duplicates import (
    HASHES_PER_BAND,
    LEAST_AGREEMENT,
    NUM_BANDS,
    find_near_duplicates,
    near_duplicate_pairs,
)
from corpora.spool import Spool, SpoolWriter

Pairs = set[tuple[int, int]]
BINS = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0)
WANTED = 0.8


def read_words(paths: Sequence[Path]) -> list[str]:
    """The words of all texts, in their order."""
    if not paths:
        return " ".join(topics[name] for name in sorted(topics)).split()
    words: list[str] = []
    for path in paths:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt") as file:
            for line in file:
                words += json.loads(line)["text"].split()
    return words


def make_documents(words: Sequence[str], *, number: int) -> list[str]:
    """Pieces of real text, and edited versions of a third of them."""
    generator = random.Random(0)
    documents: list[str] = []
    while len(documents) < number:
        length = min(900, max(30, int(generator.lognormvariate(5.3, 0.7))))
        start = generator.randrange(len(words) - length)
        piece = list(words[start : start + length])
        documents.append(" ".join(piece))
        if generator.random() < 1 / 3:
            versions = (edited(piece, words, generator) for _ in range(generator.randint(1, 3)))
            documents.extend(" ".join(version) for version in versions)
    generator.shuffle(documents)
    return documents


def edited(piece: Sequence[str], words: Sequence[str], generator: random.Random) -> list[str]:
    """The piece with up to one word in twelve changed, inserted or deleted, at random places."""
    version = list(piece)
    for _ in range(max(1, int(generator.random() * len(piece) / 12))):
        place = generator.randrange(len(version))
        match generator.randrange(3):
            case 0:
                version[place] = generator.choice(words)
            case 1:
                version.insert(place, generator.choice(words))
            case _:
                del version[place]
    return version


def true_similarities(documents: Sequence[str]) -> dict[tuple[int, int], float]:
    """The Jaccard similarity of every pair that has a run of words in common."""
    owners: dict[tuple[bytes, ...], list[int]] = defaultdict(list)
    sizes: list[int] = []
    for number, document in enumerate(documents):
        runs = set(shingles(document))
        sizes.append(len(runs))
        for run in runs:
            owners[run].append(number)
    common: Counter[tuple[int, int]] = Counter()
    for numbers in owners.values():
        common.update(combinations(numbers, 2))
    return {
        (one, other): both / (sizes[one] + sizes[other] - both)
        for (one, other), both in common.items()
    }


def shingles(document: str) -> Iterator[tuple[bytes, ...]]:
    """The runs of words of a document's folded text."""
    words = fold(document).split()
    return zip(*(words[i:] for i in range(WORDS_PER_SHINGLE)), strict=False)


def ours(documents: Sequence[str], directory: Path) -> tuple[Pairs, Pairs, float]:
    """Linked pairs, pairs within one cluster, and the seconds that everything took."""
    began = time.perf_counter()
    writer = SpoolWriter(directory, with_signatures=True)
    for number, document in enumerate(documents):
        writer.add(document, file="a", place="b", record=number)
    writer.finish()
    spool = Spool([directory])
    found = find_near_duplicates(spool, scratch=directory)
    seconds = time.perf_counter() - began
    linked = {
        (int(one), int(other))
        for pairs in near_duplicate_pairs(
            spool, found.is_repeat, versions=[len(documents)], scratch=directory
        )
        for one, other in pairs.tolist()
    }
    members: dict[int, list[int]] = defaultdict(list)
    for number, first in enumerate(found.first.tolist()):
        members[first].append(number)
    together = {pair for cluster in members.values() for pair in combinations(cluster, 2)}
    return linked, together, seconds


def theirs(documents: Sequence[str]) -> tuple[Pairs, float]:
    """Pairs that datasketch finds, and its seconds."""
    began = time.perf_counter()
    index = MinHashLSH(num_perm=NUM_HASHES, params=(NUM_BANDS, HASHES_PER_BAND))
    hashes = MinHash.bulk(
        [[b" ".join(run) for run in shingles(document)] for document in documents],
        num_perm=NUM_HASHES,
    )
    found: Pairs = set()
    for number, signature in enumerate(hashes):
        for other in index.query(signature):
            if signature.jaccard(hashes[other]) >= LEAST_AGREEMENT:
                found.add((other, number))
        index.insert(number, signature)
    return found, time.perf_counter() - began


def show(truth: dict[tuple[int, int], float], sides: dict[str, Pairs]) -> None:
    """Print, for each range of similarity, the share of its pairs that each side found."""
    print(f"{'similarity':14}{'pairs':>8}" + "".join(f"{name:>22}" for name in sides))
    for low, high in zip((0.0, *BINS), (*BINS, 1.01), strict=False):
        pairs = {pair for pair, similarity in truth.items() if low <= similarity < high}
        shares = (len(pairs & found) / max(1, len(pairs)) for found in sides.values())
        print(f"{low:4.2f} to {high:4.2f}  {len(pairs):8}" + "".join(f"{s:22.3f}" for s in shares))
    wanted = {pair for pair, similarity in truth.items() if similarity >= WANTED}
    for name, found in sides.items():
        right = sum(truth.get(pair, 0.0) >= LEAST_AGREEMENT for pair in found)
        print(
            f"{name}: recall {len(wanted & found) / len(wanted):.4f} at {WANTED} and above; "
            f"of {len(found)} pairs {right / max(1, len(found)):.4f} are {LEAST_AGREEMENT} alike, "
            f"{np.mean([truth.get(pair, 0.0) >= 0.6 for pair in found]):.4f} are 0.6"
        )


def recall(found: Pairs, wanted: Iterable[tuple[int, int]]) -> float:
    """The share of ``wanted`` that was found."""
    pairs = set(wanted)
    return len(found & pairs) / max(1, len(pairs))


def main() -> None:
    """Compare, and print both sides and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=4000)
    parser.add_argument("--file", type=Path, nargs="*", default=[])
    arguments = parser.parse_args()
    documents = make_documents(read_words(arguments.file), number=arguments.documents)
    num_bytes = sum(len(document.encode()) for document in documents)
    print(f"{len(documents)} documents, {num_bytes / 1e6:.1f} MB")
    with tempfile.TemporaryDirectory() as directory:
        linked, together, our_seconds = ours(documents, Path(directory))
    found, their_seconds = theirs(documents)
    truth = true_similarities(documents)
    show(truth, {"links": linked, "clusters": together, "datasketch": found})
    oracle = {pair for pair in found if truth.get(pair, 0.0) >= WANTED}
    print(
        f"of the pairs of {WANTED} that datasketch finds: {recall(together, oracle):.4f} found too"
    )
    megabytes = num_bytes / 10**6
    print(
        f"{megabytes / our_seconds:.1f} MB/s, datasketch {megabytes / their_seconds:.1f} MB/s, "
        f"ratio {their_seconds / our_seconds:.1f}"
    )


if __name__ == "__main__":
    main()
