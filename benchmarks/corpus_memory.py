"""How much memory a corpus takes: the peak of a process that makes one, at several sizes.

    python benchmarks/corpus_memory.py [--gigabytes 0.25 2] [--deduplicate near]

Each size is made by a process of its own, from jsonl of made-up sentences. One document in ten is a
near-duplicate, one in fifty an exact one. The peak is the kernel's (``ru_maxrss``) and counts the
pages of files that are mapped.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from itertools import accumulate
from pathlib import Path
from typing import Final

from core.corpus_options import CorpusOptions
from corpora.pipeline import SourceFile, build_corpus

WANTED_BYTES: Final = 10**9
BYTES_PER_FILE: Final = 2 * 10**8
NUM_WORDS: Final = 50_000


def write_files(directory: Path, *, num_bytes: int) -> list[Path]:
    """Jsonl files of ``num_bytes`` in all, mostly of documents of 1 to 4 kB."""
    generator = random.Random(num_bytes)
    words = [f"{number:x}"[::-1] for number in generator.sample(range(16**6), k=NUM_WORDS)]
    weights = list(accumulate(1 / rank for rank in range(1, NUM_WORDS + 1)))
    # drawing words one by one would take longer than what is measured
    sentences = [
        " ".join(generator.choices(words, cum_weights=weights, k=12)) + "." for _ in range(100_000)
    ]
    paths: list[Path] = []
    before: list[str] = sentences[:20]
    written = 0
    while written < num_bytes:
        paths.append(directory / f"{len(paths):05d}.jsonl")
        with paths[-1].open("wb") as file:
            while file.tell() < min(BYTES_PER_FILE, num_bytes - written):
                chance = generator.random()
                if chance > 0.12:
                    before = generator.choices(sentences, k=generator.randint(12, 60))
                elif chance > 0.02:
                    before = [*before[:-1], generator.choice(sentences)]
                file.write(json.dumps({"text": " ".join(before)}).encode() + b"\n")
            written += file.tell()
    return paths


def make_corpus(directory: Path, *, num_bytes: int, deduplicate: str) -> None:
    """Make a corpus and print its peak memory and what it holds."""
    files = [
        SourceFile(path, filename=path.name, sha256=path.name, id=path.name)
        for path in write_files(directory, num_bytes=num_bytes)
    ]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    began = time.perf_counter()
    manifest = build_corpus(
        files,
        options=CorpusOptions.model_validate({"deduplicate": deduplicate}),
        directory=directory / "corpus",
        scratch=directory / "scratch",
        progress=lambda _: None,
    )
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    stats = manifest.stats
    print(
        f"{num_bytes / 1e9:5.2f} GB: peak {peak / 1e6:6.0f} MB ({before / 1e6:.0f} MB before), "
        f"wanted {WANTED_BYTES / 1e6:.0f}, ratio {peak / WANTED_BYTES:.2f}; "
        f"{stats.num_documents} documents, {stats.num_duplicates} duplicates, {seconds:.0f} s",
        flush=True,
    )


def main() -> None:
    """Measure each size in a child process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, nargs="*", default=[0.25, 2.0])
    parser.add_argument("--deduplicate", choices=["none", "exact", "near"], default="near")
    parser.add_argument("--directory", type=Path, help="where there is room; a temporary one")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    for gigabytes in arguments.gigabytes:
        with tempfile.TemporaryDirectory(dir=arguments.directory) as name:
            if arguments.child:
                make_corpus(
                    Path(name), num_bytes=int(gigabytes * 1e9), deduplicate=arguments.deduplicate
                )
                continue
            command = [sys.executable, __file__, "--child", "--gigabytes", str(gigabytes)]
            command += ["--deduplicate", arguments.deduplicate, "--directory", name]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
