"""What a corpus process reads, on its way from the store to this host."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import BadData
from corpora import documents
from db.unit_of_work import UnitOfWork
from storage import keys
from workers.workplace import Workplace


@dataclass(frozen=True, slots=True)
class Source:
    """An uploaded file and the keys of its pieces."""

    id: str
    filename: str
    sha256: str
    pieces: tuple[str, ...]


def find_sources(uow: UnitOfWork, file_ids: Sequence[str]) -> list[Source]:
    """Where the bytes of files are.

    Raises:
        BadData: one has been deleted since the corpus was asked for.
    """
    known = uow.files.get_many(file_ids)
    for file_id in file_ids:
        if file_id not in known:
            raise BadData(
                f"File {file_id!r} has been deleted before the corpus was made.",
                code="file_deleted",
                param="files",
            )
    return [
        Source(
            id=file_id,
            filename=known[file_id].filename,
            sha256=known[file_id].sha256,
            pieces=tuple(blob.key for blob in uow.files.pieces(file_id)),
        )
        for file_id in file_ids
    ]


def bring(place: Workplace, source: Source, directory: Path) -> dict[str, Any]:
    """A file's bytes as one local file, as a task names it; one piece alone is not copied."""
    if len(source.pieces) == 1:
        path = place.store.materialise_file(source.pieces[0], cache=place.settings.cache_dir)
    else:
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / source.id
        with path.open("wb") as whole:
            for key in source.pieces:
                for chunk in place.store.open(key):
                    whole.write(chunk)
    return {
        "path": str(path),
        "filename": source.filename,
        "sha256": source.sha256,
        "id": source.id,
    }


def bring_shards(place: Workplace, corpus_id: str, shards: Sequence[str], directory: Path) -> Path:
    """A corpus of which only the manifest and these shards are there."""
    for name in (documents.MANIFEST_NAME, *(f"{documents.DOCUMENTS_NAME}/{it}" for it in shards)):
        # Not where the corpus as a whole would be kept: a part of it must not be taken for it.
        path = place.store.materialise_file(
            keys.corpus(corpus_id) + name, cache=place.settings.cache_dir / "parts"
        )
        link = directory / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path)
    return directory


def bring_tokenizer(place: Workplace, tokenizer_id: str) -> Path:
    """A tokenizer as a local file."""
    return place.store.materialise_file(
        keys.tokenizer_file(tokenizer_id), cache=place.settings.cache_dir / "parts"
    )
