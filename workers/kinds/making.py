"""What corpus processes make: put into the store, then committed.

Whoever holds one of them is its coordinator. It plans the pieces, works along with whoever helps,
and puts together what has come of them. What is in the store already is not made again, so an
attempt begins about where the one before it was killed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from core.errors import BadData, Conflict, NotFound
from core.lifecycle import PieceStage, ResourceStatus
from corpora.documents import MANIFEST_NAME, CorpusManifest
from corpora.split_names import SPLIT_NAMES
from db.tables import Checkpoint, Corpus, Dataset, Tokenizer
from services import datasets, making, pieces
from services.attempts import Claim
from services.making import MadeCorpus, MadeDataset, MadeTokenizer
from services.pieces import ShardSize
from storage import keys
from workers.heartbeat import Heartbeat
from workers.kinds.coordinating import AskedToLeave, work_along
from workers.kinds.corpus_child import CorpusChild, Unfinished
from workers.kinds.corpus_progress import ProgressBoard
from workers.kinds.importing import import_checkpoint
from workers.kinds.sources import bring, bring_shards, bring_tokenizer, find_sources
from workers.kinds.unfinished import settle_unfinished
from workers.workplace import Workplace

_MADE_CORPUS: Final = "corpus"


def make(place: Workplace, claim: Claim, *, heartbeat: Heartbeat) -> None:
    """Carry out an attempt at a corpus, a tokenizer, a dataset or an uploaded checkpoint."""
    with place.database.unit_of_work(claim.project_id, write=True) as uow:
        subject = making.start(uow, claim)
        uow.commit()
    with place.scratch(claim) as directory, CorpusChild(place, claim, directory) as child:
        attempt = _Attempt(place, claim, heartbeat, child, ProgressBoard(place, claim))
        try:
            match subject:
                case Corpus():
                    _make_corpus(attempt, subject)
                case Tokenizer():
                    _make_tokenizer(attempt, subject)
                case Dataset():
                    _make_dataset(attempt, subject)
                case Checkpoint():
                    import_checkpoint(
                        place, claim, subject, child, heartbeat=heartbeat, board=attempt.board
                    )
        except AskedToLeave:
            _leave(place, claim, heartbeat)
        except BadData as error:
            _fail(place, claim, heartbeat, error)
        except Unfinished as unfinished:
            if not heartbeat.is_lost:
                heartbeat.stop()
                settle_unfinished(place, claim, unfinished.ending, endings=making)


@dataclass(frozen=True, slots=True)
class _Attempt:
    """What every step of an attempt needs."""

    place: Workplace
    claim: Claim
    heartbeat: Heartbeat
    child: CorpusChild
    board: ProgressBoard

    @property
    def directory(self) -> Path:
        return self.child.directory

    def do(self, task: Mapping[str, Any]) -> Mapping[str, Any]:
        """Have our own child do a task that is not done in pieces."""
        return self.child.do(
            task, lease=self.heartbeat, on_message=self.board.hear, on_tick=self.board.write
        )

    def corpus(self, corpus_id: str) -> Path:
        """A corpus that is in the store, as a local directory; our own has never left."""
        made = self.directory / _MADE_CORPUS
        if corpus_id == self.claim.subject_id and (made / MANIFEST_NAME).is_file():
            return made
        place = self.place
        return place.store.materialise(keys.corpus(corpus_id), cache=place.settings.cache_dir)


def _make_corpus(attempt: _Attempt, corpus: Corpus) -> None:
    manifest = _stored_manifest(attempt.place, corpus.id) or _assemble(attempt, corpus)
    with attempt.place.database.unit_of_work(attempt.claim.project_id, write=True) as uow:
        making.assembled(uow, attempt.claim, digest=manifest.digest)
        uow.commit()
    tokenizer = _default_tokenizer(attempt, corpus)
    dataset = _encode(
        attempt,
        corpus_id=corpus.id,
        tokenizer_id=tokenizer.id,
        tokenizer_sha256=tokenizer.sha256 or "",
        manifest=manifest,
    )
    facts = manifest.model_dump(mode="json")
    attempt.heartbeat.stop()
    with attempt.place.database.unit_of_work(attempt.claim.project_id, write=True) as uow:
        making.finish_corpus(
            uow,
            attempt.claim,
            corpus=MadeCorpus(**{name: facts[name] for name in ("digest", "stats", "splits")}),
            dataset=dataset,
            doorbell=attempt.place.doorbell,
        )
        uow.commit()


def _assemble(attempt: _Attempt, corpus: Corpus) -> CorpusManifest:
    """Read the files in pieces, and put the pieces together in the store."""
    place, claim = attempt.place, attempt.claim
    attempt.board.turn_to("reading")
    with place.database.unit_of_work(claim.project_id, write=True) as uow:
        pieces.plan_reading(
            uow, claim, bytes_per_piece=place.settings.piece_bytes, doorbell=place.doorbell
        )
        uow.commit()
    work_along(
        place,
        claim,
        PieceStage.READ,
        attempt.child,
        lease=attempt.heartbeat,
        board=attempt.board,
    )
    with place.database.unit_of_work(claim.project_id) as uow:
        prefixes = [piece.prefix or "" for piece in uow.pieces.of_corpus(corpus.id)]
    attempt.board.turn_to("assembling")
    base = None if corpus.extends_id is None else _stored_manifest(place, corpus.extends_id)
    made = attempt.directory / _MADE_CORPUS
    attempt.do(
        {
            "make": "corpus",
            "pieces": [
                str(place.store.materialise(prefix, cache=place.settings.cache_dir))
                for prefix in prefixes
            ],
            "options": corpus.options,
            "base": None if base is None else base.model_dump_json(),
            "directory": str(made),
        }
    )
    _put_corpus(place, corpus.id, made)
    return CorpusManifest.model_validate_json((made / MANIFEST_NAME).read_bytes())


def _put_corpus(place: Workplace, corpus_id: str, directory: Path) -> None:
    """No fence in the address: whoever has lost the lease can only put the same bytes again."""
    prefix = keys.corpus(corpus_id)
    try:
        place.store.put_directory(prefix, directory, last=MANIFEST_NAME)
    except Conflict:  # another version of our libraries has made it; all of one version, then
        place.store.delete_prefix(prefix)
        place.store.put_directory(prefix, directory, last=MANIFEST_NAME)


def _stored_manifest(place: Workplace, corpus_id: str) -> CorpusManifest | None:
    """The manifest of a corpus that is whole in the store; None if it is not."""
    try:
        stored = b"".join(place.store.open(keys.corpus(corpus_id) + MANIFEST_NAME))
    except NotFound:
        return None
    return CorpusManifest.model_validate_json(stored)


def _default_tokenizer(attempt: _Attempt, corpus: Corpus) -> Tokenizer:
    place, claim = attempt.place, attempt.claim
    with place.database.unit_of_work(claim.project_id) as uow:
        tokenizer = uow.tokenizers.get(corpus.default_tokenizer_id or "")
    if tokenizer.status is ResourceStatus.READY:  # an earlier attempt has come so far
        return tokenizer
    attempt.board.turn_to("tokenizer")
    made = _train_tokenizer(attempt, tokenizer, corpus_id=corpus.id)
    with place.database.unit_of_work(claim.project_id, write=True) as uow:
        making.finish_default_tokenizer(uow, claim, made)
        tokenizer = uow.tokenizers.get(tokenizer.id)
        uow.commit()
    return tokenizer


def _train_tokenizer(attempt: _Attempt, tokenizer: Tokenizer, *, corpus_id: str) -> MadeTokenizer:
    directory = attempt.directory / "tokenizer"
    made = attempt.do(
        {
            "make": "tokenizer",
            "corpus": str(attempt.corpus(corpus_id)),
            "vocab_size": tokenizer.requested_vocab_size,
            "algorithm": tokenizer.algorithm,
            "directory": str(directory),
        }
    )
    attempt.place.store.put_directory(keys.tokenizer(tokenizer.id), directory)
    return MadeTokenizer(**made)


def _make_tokenizer(attempt: _Attempt, tokenizer: Tokenizer) -> None:
    attempt.board.turn_to("tokenizer")
    if tokenizer.file_id is not None:
        made = _check_tokenizer(attempt, tokenizer, file_id=tokenizer.file_id)
    else:
        assert tokenizer.corpus_id is not None  # it comes from a corpus if not from a file
        made = _train_tokenizer(attempt, tokenizer, corpus_id=tokenizer.corpus_id)
    attempt.heartbeat.stop()
    with attempt.place.database.unit_of_work(attempt.claim.project_id, write=True) as uow:
        making.finish_tokenizer(uow, attempt.claim, tokenizer=made, doorbell=attempt.place.doorbell)
        uow.commit()


def _check_tokenizer(attempt: _Attempt, tokenizer: Tokenizer, *, file_id: str) -> MadeTokenizer:
    place, corpus_id = attempt.place, tokenizer.corpus_id
    with place.database.unit_of_work(attempt.claim.project_id) as uow:
        (source,) = find_sources(uow, [file_id])
    directory = attempt.directory / "tokenizer"
    made = attempt.do(
        {
            "make": "uploaded_tokenizer",
            "file": bring(place, source, attempt.directory / "file"),
            "corpus": None if corpus_id is None else str(attempt.corpus(corpus_id)),
            "directory": str(directory),
        }
    )
    place.store.put_directory(keys.tokenizer(tokenizer.id), directory)
    return MadeTokenizer(**made)


def _make_dataset(attempt: _Attempt, dataset: Dataset) -> None:
    with attempt.place.database.unit_of_work(attempt.claim.project_id) as uow:
        parents = datasets.parents(uow, dataset)
    manifest = _stored_manifest(attempt.place, parents.corpus_id)
    assert manifest is not None  # the corpus is ready
    made = _encode(
        attempt,
        corpus_id=parents.corpus_id,
        tokenizer_id=parents.tokenizer_id,
        tokenizer_sha256=dataset.tokenizer_sha256,
        manifest=manifest,
    )
    attempt.heartbeat.stop()
    with attempt.place.database.unit_of_work(attempt.claim.project_id, write=True) as uow:
        making.finish_dataset(uow, attempt.claim, dataset=made, doorbell=attempt.place.doorbell)
        uow.commit()


def _encode(
    attempt: _Attempt,
    *,
    corpus_id: str,
    tokenizer_id: str,
    tokenizer_sha256: str,
    manifest: CorpusManifest,
) -> MadeDataset:
    """Encode a corpus in pieces, and put the dataset's manifest beside what has come of them.

    Where the project has equal content encoded already, that is taken.
    """
    place, claim = attempt.place, attempt.claim
    attempt.board.turn_to("encoding")
    sizes = [
        ShardSize(name=shard.name, num_bytes=shard.num_bytes)
        for split in SPLIT_NAMES
        for shard in manifest.splits[split].shards
    ]
    with place.database.unit_of_work(claim.project_id, write=True) as uow:
        dataset = datasets.begin(
            uow,
            corpus_id=corpus_id,
            tokenizer_id=tokenizer_id,
            corpus_digest=manifest.digest,
            tokenizer_sha256=tokenizer_sha256,
        )
        if dataset.status is ResourceStatus.READY:
            assert dataset.manifest is not None  # it has been made
            return MadeDataset(id=dataset.id, manifest=dataset.manifest)
        pieces.plan_encoding(uow, claim, dataset, sizes, doorbell=place.doorbell)
        uow.commit()
    encoded = work_along(
        place,
        claim,
        PieceStage.ENCODE,
        attempt.child,
        lease=attempt.heartbeat,
        board=attempt.board,
    )
    shards = [shard for piece in encoded for shard in (piece.result or {})["shards"]]
    directory = attempt.directory / "dataset"
    joined = attempt.do(
        {
            "make": "dataset",
            "corpus": str(bring_shards(place, corpus_id, [], attempt.directory / "parts")),
            "tokenizer": str(bring_tokenizer(place, tokenizer_id)),
            "shards": shards,
            "directory": str(directory),
        }
    )
    place.store.put_directory(dataset.prefix, directory)
    encoders = sorted({shard["engine"] for shard in shards})
    return MadeDataset(id=dataset.id, manifest={**joined, "encoders": encoders})


def _leave(place: Workplace, claim: Claim, heartbeat: Heartbeat) -> None:
    heartbeat.stop()
    with place.database.unit_of_work(claim.project_id, write=True) as uow:
        making.leave(uow, claim, doorbell=place.doorbell)
        uow.commit()


def _fail(place: Workplace, claim: Claim, heartbeat: Heartbeat, error: BadData) -> None:
    heartbeat.stop()
    with place.database.unit_of_work(claim.project_id, write=True) as uow:
        making.fail(uow, claim, code=error.error_code, message=error.message, param=error.param)
        uow.commit()
