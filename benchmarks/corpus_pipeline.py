"""How fast files become token shards: megabytes of text a second, stage by stage.

    python benchmarks/corpus_pipeline.py [--megabytes 50] [--file book.jsonl.zst ...]

Without files it writes its own jsonl: words drawn from a made-up language by Zipf's law, so that
tokens and duplicates behave roughly as in prose. Encoding and tokenizer training use all cores; the
rest uses one.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import resource
import tempfile
import time
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path
from typing import TypeVar

from core.corpus_options import CorpusOptions
from corpora.encode import encode_corpus
from corpora.pipeline import SourceFile, build_corpus
from corpora.progress import Progress
from corpora.tokenizer_training import train_tokenizer

T = TypeVar("T")
NUM_WORDS = 30_000


def write_text(path: Path, *, num_bytes: int) -> None:
    """Write about ``num_bytes`` of jsonl, one in fifty lines a repetition."""
    generator = random.Random(0)
    syllables = [a + b for a in "bcdfghklmnprstvw" for b in ("a", "e", "i", "o", "u", "en", "or")]
    words = [
        "".join(generator.choices(syllables, k=generator.randint(1, 4))) for _ in range(NUM_WORDS)
    ]
    weights = list(accumulate(1 / rank for rank in range(1, NUM_WORDS + 1)))
    line = b""
    written = 0
    with path.open("wb") as file:
        while written < num_bytes:
            if generator.random() > 0.02 or not line:
                length = generator.randint(20, 600)
                text = " ".join(generator.choices(words, cum_weights=weights, k=length))
                line = json.dumps({"text": text + "."}).encode() + b"\n"
            written += file.write(line)


class StageClock:
    """Splits the time of one call by the stages that its progress names."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._stage = ""
        self._since = time.perf_counter()

    def __call__(self, progress: Progress) -> None:
        """Charge the time since the last call to the stage that ran."""
        self._charge(self._stage or progress.stage)
        self._stage = progress.stage

    def stop(self) -> None:
        """The call is over."""
        self._charge(self._stage)

    def _charge(self, stage: str) -> None:
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._since
        self._since = now


def measure(call: Callable[[StageClock], T], *, megabytes: float) -> tuple[T, float]:
    """Run ``call`` and print each of its stages; answers its seconds too."""
    clock = StageClock()
    result = call(clock)
    clock.stop()
    for stage, seconds in clock.seconds.items():
        print(f"{stage:24} {megabytes / seconds:8.1f} MB/s {seconds:8.2f} s")
    return result, sum(clock.seconds.values())


def main() -> None:
    """Measure, and print one line a stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=50)
    parser.add_argument("--file", type=Path, nargs="*", default=[])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        paths = arguments.file or [root / "text.jsonl"]
        if not arguments.file:
            write_text(paths[0], num_bytes=arguments.megabytes * 10**6)
        run(root, paths)


def run(root: Path, paths: list[Path]) -> None:
    """Files to corpus to tokenizer to dataset."""
    files = []
    for path in paths:
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        files.append(SourceFile(path, filename=path.name, sha256=sha256, id=path.name))
    megabytes = sum(path.stat().st_size for path in paths) / 10**6
    print(f"{megabytes:.1f} MB in {len(files)} files, {os.cpu_count()} cores")
    manifest, building = measure(
        lambda clock: build_corpus(
            files,
            options=CorpusOptions(),
            directory=root / "corpus",
            scratch=root / "scratch",
            progress=clock,
        ),
        megabytes=megabytes,
    )
    megabytes = manifest.stats.num_bytes / 10**6
    tokenizer, _ = measure(
        lambda clock: train_tokenizer(root / "corpus", vocab_size=None, progress=clock),
        megabytes=megabytes,
    )
    dataset, encoding = measure(
        lambda clock: encode_corpus(
            root / "corpus",
            tokenizer_json=tokenizer.json,
            directory=root / "dataset",
            progress=clock,
        ),
        megabytes=megabytes,
    )
    print(f"{'files to shards':24} {megabytes / (building + encoding):8.1f} MB/s")
    print(
        f"{manifest.stats.num_documents} documents, {manifest.stats.num_duplicates} duplicates, "
        f"vocabulary {tokenizer.vocab_size}, "
        f"{sum(split.num_tokens for split in dataset.splits.values())} tokens, peak memory "
        f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB"
    )


if __name__ == "__main__":
    main()
