"""``python -m workers.corpus_process DIRECTORY``: text to corpora, tokenizers and datasets.

Knows files and pipes alone. What it makes lies in its directory under the names below.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from core.corpus_options import CorpusOptions
from core.lifecycle import ExitCode
from corpora.encode import encode_corpus
from corpora.pipeline import build_corpus
from corpora.progress import Progress, ProgressCallback
from corpora.readers.source import SourceFile
from corpora.tokenizer_training import train_tokenizer
from training.ports import StopSignal
from workers.adapters import Output
from workers.child_main import Task, run_child
from workers.messages import Progressed

CORPUS: Final = "corpus"
TOKENIZER: Final = "tokenizer"
TOKENIZER_FILE: Final = "tokenizer.json"
DATASET: Final = "dataset"
_CORPUS_SHARE: Final = 0.5
_TOKENIZER_SHARE: Final = 0.25
_SECONDS_BETWEEN_LINES: Final = 0.5


def perform(
    directory: Path, task: Task, output: Output, stop: StopSignal
) -> tuple[ExitCode, Mapping[str, Any]]:
    """Make what ``task["make"]`` names: a corpus, a tokenizer, or a dataset."""
    del stop  # nothing here is worth saving halfway; the runner kills
    line = _Line(output)
    match task["make"]:
        case "corpus":
            return ExitCode.DONE, _make_corpus(directory, task, line)
        case "tokenizer":
            corpus = Path(task["corpus"])
            made = _make_tokenizer(
                directory,
                corpus,
                vocab_size=task["vocab_size"],
                algorithm=task["algorithm"],
                progress=line.part(0.0, _CORPUS_SHARE),
            )
            dataset = _make_dataset(directory, corpus, progress=line.part(_CORPUS_SHARE, 1.0))
            return ExitCode.DONE, {"tokenizer": made, "dataset": dataset}
        case _:
            (directory / TOKENIZER).mkdir(exist_ok=True)
            tokenizer = Path(task["tokenizer"]).read_bytes()
            (directory / TOKENIZER / TOKENIZER_FILE).write_bytes(tokenizer)
            dataset = _make_dataset(directory, Path(task["corpus"]), progress=line.part(0.0, 1.0))
            return ExitCode.DONE, {"dataset": dataset}


def _make_corpus(directory: Path, task: Task, line: _Line) -> Mapping[str, Any]:
    corpus = directory / CORPUS
    manifest = build_corpus(
        [SourceFile(**{**file, "path": Path(file["path"])}) for file in task["files"]],
        options=CorpusOptions.model_validate(task["options"]),
        directory=corpus,
        scratch=directory / "spool",
        progress=line.part(0.0, _CORPUS_SHARE),
    )
    tokenizer = _make_tokenizer(
        directory,
        corpus,
        vocab_size=None,
        algorithm=task["algorithm"],
        progress=line.part(_CORPUS_SHARE, _CORPUS_SHARE + _TOKENIZER_SHARE),
    )
    dataset = _make_dataset(
        directory, corpus, progress=line.part(_CORPUS_SHARE + _TOKENIZER_SHARE, 1.0)
    )
    made = manifest.model_dump(mode="json")
    facts = {name: made[name] for name in ("digest", "stats", "splits")}
    return {"corpus": facts, "tokenizer": tokenizer, "dataset": dataset}


def _make_tokenizer(
    directory: Path,
    corpus: Path,
    *,
    vocab_size: int | None,
    algorithm: str,
    progress: ProgressCallback,
) -> Mapping[str, Any]:
    made = train_tokenizer(corpus, vocab_size=vocab_size, algorithm=algorithm, progress=progress)
    (directory / TOKENIZER).mkdir(exist_ok=True)
    (directory / TOKENIZER / TOKENIZER_FILE).write_bytes(made.json)
    return {"vocab_size": made.vocab_size, "sha256": made.sha256, "stats": asdict(made.stats)}


def _make_dataset(
    directory: Path, corpus: Path, *, progress: ProgressCallback
) -> Mapping[str, Any]:
    manifest = encode_corpus(
        corpus,
        tokenizer_json=(directory / TOKENIZER / TOKENIZER_FILE).read_bytes(),
        directory=directory / DATASET,
        progress=progress,
    )
    return manifest.model_dump(mode="json")


class _Line:
    """Progress of the parts as progress of the whole, twice a second."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._told_at = 0.0

    def part(self, start: float, end: float) -> ProgressCallback:
        """What a part that takes from ``start`` to ``end`` of the whole calls."""

        def tell(progress: Progress) -> None:
            now = time.monotonic()
            if now - self._told_at >= _SECONDS_BETWEEN_LINES:
                self._told_at = now
                done = start + (end - start) * min(1.0, progress.fraction)
                self._output.send(Progressed(stage=progress.stage, fraction=done))

        return tell


if __name__ == "__main__":
    sys.exit(run_child(perform))
