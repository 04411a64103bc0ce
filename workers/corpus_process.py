"""``python -m workers.corpus_process DIRECTORY``: text to corpora, tokenizers and datasets.

Knows files and pipes alone. It does the task in its directory, says what has come of it, and waits
for the next; what it makes lies where each task says, in ``task["directory"]``.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, NoReturn

from core.corpus_options import CorpusOptions
from core.errors import BadData
from corpora.decontamination import Evaluation, read_evaluation
from corpora.documents import CorpusManifest, read_manifest
from corpora.encode import TokenShardManifest, encode_shard, join_dataset, open_shard_encoder
from corpora.encoders.base import Encoder
from corpora.folder_upload import unpack_folder, wanted_files
from corpora.pipeline import assemble_corpus
from corpora.progress import Progress, part_of
from corpora.readers.source import SourceFile
from corpora.reading import read_piece
from corpora.tokenizer_statistics import measure
from corpora.tokenizer_training import train_tokenizer
from corpora.tokenizer_upload import check_tokenizer
from workers.adapters import Output, PipeOrders
from workers.child_main import Task, run_child
from workers.messages import Finished, Progressed

TOKENIZER_FILE: Final = "tokenizer.json"
_SECONDS_BETWEEN_LINES: Final = 0.5


def perform(directory: Path, task: Task, output: Output, orders: PipeOrders) -> NoReturn:
    """Do one task after another until the runner has had enough, and kills."""
    del directory  # each task has its own
    kept = _Kept()
    while True:
        result = _carry_out(task, _Line(output), kept)
        output.send(Finished(result=result))
        task = orders.next_task()


def _carry_out(task: Task, tell: Callable[[Progress], None], kept: _Kept) -> Mapping[str, Any]:
    """Make what ``task["make"]`` names; answers what its runner has to know of it."""
    directory = Path(task["directory"])
    # An earlier attempt at the very same may have left something; a maker wants an empty place.
    shutil.rmtree(directory, ignore_errors=True)
    if task["make"] == "piece":
        return _make_piece(task, directory, tell, kept)
    if task["make"] == "shards":
        return _make_shards(task, directory, tell, kept)
    return _MAKERS[task["make"]](task, directory, tell)


def _make_piece(
    task: Task, directory: Path, tell: Callable[[Progress], None], kept: _Kept
) -> Mapping[str, Any]:
    options = CorpusOptions.model_validate(task["options"], strict=False)
    evaluation_file = task["evaluation_file"]
    manifest = read_piece(
        [_source(file) for file in task["files"]],
        options=options,
        evaluation=(
            None
            if evaluation_file is None
            else kept.evaluation(
                _source(evaluation_file), options=options, scratch=directory.parent
            )
        ),
        directory=directory,
        progress=tell,
    )
    return manifest.model_dump(include={"num_records", "num_documents", "num_bytes"})


def _make_corpus(
    task: Task, directory: Path, tell: Callable[[Progress], None]
) -> Mapping[str, Any]:
    base = task["base"]
    manifest = assemble_corpus(
        [Path(piece) for piece in task["pieces"]],
        options=CorpusOptions.model_validate(task["options"], strict=False),
        directory=directory,
        scratch=directory.with_name("spool"),
        progress=tell,
        base=None if base is None else CorpusManifest.model_validate_json(base),
    )
    return {"digest": manifest.digest}


def _make_tokenizer(
    task: Task, directory: Path, tell: Callable[[Progress], None]
) -> Mapping[str, Any]:
    made = train_tokenizer(
        Path(task["corpus"]),
        vocab_size=task["vocab_size"],
        algorithm=task["algorithm"],
        progress=tell,
    )
    directory.mkdir(parents=True)
    (directory / TOKENIZER_FILE).write_bytes(made.json)
    return {"vocab_size": made.vocab_size, "sha256": made.sha256, "stats": asdict(made.stats)}


def _check_tokenizer(
    task: Task, directory: Path, tell: Callable[[Progress], None]
) -> Mapping[str, Any]:
    del tell  # nothing comes of a half
    made, corpus = check_tokenizer(Path(task["file"]["path"])), task["corpus"]
    directory.mkdir(parents=True)
    (directory / TOKENIZER_FILE).write_bytes(made.json)
    stats = corpus and measure(Path(corpus), tokenizer_json=made.json, vocab_size=made.vocab_size)
    return {
        "algorithm": made.algorithm,
        "vocab_size": made.vocab_size,
        "sha256": made.sha256,
        "stats": stats and asdict(stats),
    }


def _import_checkpoint(
    task: Task, directory: Path, tell: Callable[[Progress], None]
) -> Mapping[str, Any]:
    # Loads torch, which nothing else that this process makes needs.
    from training.importing import import_folder  # noqa: PLC0415

    del tell  # nothing comes of a half
    directory.mkdir(parents=True)
    files = {file["filename"]: Path(file["path"]) for file in task["files"]}
    try:
        if task["field"] == "archive":
            ((filename, archive),) = files.items()
            files = unpack_folder(archive, filename=filename, directory=directory / "unpacked")
        made = import_folder(wanted_files(files), out=directory, fence=task["fence"])
    except BadData as error:
        raise BadData(error.message, code=error.error_code, param=task["field"]) from error
    tokenizer = directory / "tokenizer"
    tokenizer.mkdir()
    (tokenizer / TOKENIZER_FILE).write_bytes(made.tokenizer.json)
    return {
        "checkpoint": str(made.checkpoint),
        "tokenizer": str(tokenizer),
        "model": made.shape.model_dump(mode="json"),
        "tokenizer_sha256": made.tokenizer.sha256,
        "algorithm": made.tokenizer.algorithm,
        "vocab_size": made.tokenizer.vocab_size,
    }


def _make_shards(
    task: Task, directory: Path, tell: Callable[[Progress], None], kept: _Kept
) -> Mapping[str, Any]:
    corpus, shards = Path(task["corpus"]), task["shards"]
    tokenizer_json = Path(task["tokenizer"]).read_bytes()
    encoder = kept.encoder(corpus, shards[0], tokenizer_json=tokenizer_json)
    made = [
        encode_shard(
            corpus,
            shard,
            tokenizer_json=tokenizer_json,
            directory=directory,
            progress=part_of(tell, number / len(shards), (number + 1) / len(shards)),
            encoder=encoder,
        )
        for number, shard in enumerate(shards)
    ]
    return {"shards": [shard.model_dump(mode="json") for shard in made]}


def _make_dataset(
    task: Task, directory: Path, tell: Callable[[Progress], None]
) -> Mapping[str, Any]:
    del tell  # it only puts manifests together
    manifest = join_dataset(
        Path(task["corpus"]),
        [TokenShardManifest.model_validate(shard, strict=False) for shard in task["shards"]],
        tokenizer_json=Path(task["tokenizer"]).read_bytes(),
        directory=directory,
    )
    return manifest.model_dump(mode="json")


def _source(file: Mapping[str, Any]) -> SourceFile:
    return SourceFile(**{**file, "path": Path(file["path"])})


_MAKERS: Final = {
    "corpus": _make_corpus,
    "tokenizer": _make_tokenizer,
    "uploaded_tokenizer": _check_tokenizer,
    "dataset": _make_dataset,
    "uploaded_checkpoint": _import_checkpoint,
}


class _Kept:
    """What one piece needs and the next one as well, and what takes long to make ready."""

    def __init__(self) -> None:
        self._opened: tuple[str, bytes, Encoder] | None = None
        self._known: tuple[str, CorpusOptions, Evaluation] | None = None

    def evaluation(self, file: SourceFile, *, options: CorpusOptions, scratch: Path) -> Evaluation:
        """The evaluation that the documents of this corpus must not quote."""
        if self._known is None or self._known[:2] != (file.id, options):
            self._known = file.id, options, read_evaluation(file, options=options, scratch=scratch)
        return self._known[2]

    def encoder(self, corpus: Path, shard: str, *, tokenizer_json: bytes) -> Encoder:
        """An encoder that gives the right ids on this corpus."""
        digest = read_manifest(corpus).digest
        if self._opened is None or self._opened[:2] != (digest, tokenizer_json):
            encoder = open_shard_encoder(corpus, shard, tokenizer_json=tokenizer_json)
            self._opened = (digest, tokenizer_json, encoder)
        return self._opened[2]


class _Line:
    """Tells the runner how far a task is, twice a second."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._told_at = 0.0

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if now - self._told_at < _SECONDS_BETWEEN_LINES:
            return
        self._told_at = now
        self._output.send(
            Progressed(
                stage=progress.stage,
                fraction=min(1.0, progress.fraction),
                files=progress.files,
                records=progress.records,
            )
        )


if __name__ == "__main__":
    sys.exit(run_child(perform))
