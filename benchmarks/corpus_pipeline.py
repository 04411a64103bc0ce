"""How fast files become token shards: megabytes of text a second, stage by stage.

    python benchmarks/corpus_pipeline.py [--megabytes 50] [--file book.jsonl.zst ...]

Without files it writes its own jsonl: words drawn from a made-up language by Zipf's law, so that
tokens and duplicates behave roughly as in prose. Encoding and tokenizer training use all cores; the
rest uses one. The last line is what the project promises: jsonl to a cleaned, near-deduplicated,
sharded corpus at 5 MB/s a core, by the processor's time of this process and its children.
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
WANTED_RATE = 5.0


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
        self.processor_seconds = -processor_seconds()
        """Of the whole call, once it is over."""
        self._stage = ""
        self._since = time.perf_counter()

    def __call__(self, progress: Progress) -> None:
        """Charge the time since the last call to the stage that ran."""
        self._charge(self._stage or progress.stage)
        self._stage = progress.stage

    def stop(self) -> None:
        """The call is over."""
        self._charge(self._stage)
        self.processor_seconds += processor_seconds()

    def _charge(self, stage: str) -> None:
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._since
        self._since = now


def processor_seconds() -> float:
    """What this process and the children that it has waited for have used of all cores."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def measure(call: Callable[[StageClock], T], *, megabytes: float) -> tuple[T, StageClock]:
    """Run ``call`` and print each of its stages."""
    clock = StageClock()
    result = call(clock)
    clock.stop()
    for stage, seconds in clock.seconds.items():
        print(f"{stage:24} {megabytes / seconds:8.1f} MB/s {seconds:8.2f} s")
    return result, clock


def main() -> None:
    """Measure, and print one line a stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=50)
    parser.add_argument("--file", type=Path, nargs="*", default=[])
    parser.add_argument("--deduplicate", choices=["none", "exact", "near"], default="near")
    parser.add_argument("--clean", choices=["none", "light", "web", "code"], default="light")
    arguments = parser.parse_args()
    options = CorpusOptions.model_validate(
        {"deduplicate": arguments.deduplicate, "clean": arguments.clean}
    )
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        paths = arguments.file or [root / "text.jsonl"]
        if not arguments.file:
            write_text(paths[0], num_bytes=arguments.megabytes * 10**6)
        run(root, paths, options)


def run(root: Path, paths: list[Path], options: CorpusOptions) -> None:
    """Files to corpus to tokenizer to dataset."""
    files = []
    for path in paths:
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        files.append(SourceFile(path, filename=path.name, sha256=sha256, id=path.name))
    megabytes_in = sum(path.stat().st_size for path in paths) / 10**6
    print(f"{megabytes_in:.1f} MB in {len(files)} files, {os.cpu_count()} cores")
    manifest, building = measure(
        lambda clock: build_corpus(
            files,
            options=options,
            directory=root / "corpus",
            scratch=root / "scratch",
            progress=clock,
        ),
        megabytes=megabytes_in,
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
    print(
        f"{manifest.stats.num_documents} documents, {manifest.stats.num_duplicates} duplicates, "
        f"vocabulary {tokenizer.vocab_size}, "
        f"{sum(split.num_tokens for split in dataset.splits.values())} tokens, peak memory "
        f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB"
    )
    for what, clocks in {
        "files to corpus": (building,),
        "files to token shards": (building, encoding),
    }.items():
        rate = megabytes_in / sum(clock.processor_seconds for clock in clocks)
        print(
            f"{what}: {rate:.1f} MB/s a core, wanted {WANTED_RATE}, ratio {rate / WANTED_RATE:.2f}"
        )


if __name__ == "__main__":
    main()
