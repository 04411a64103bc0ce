"""Uploaded Hugging Face folders: brought here, made checkpoints by a corpus process, committed."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from core.ids import new_id
from db.tables import Checkpoint
from services import checkpoints, imports
from services.attempts import Claim
from services.checkpoints import StoredCheckpoint
from services.imports import MadeCheckpoint
from storage import keys
from workers.heartbeat import Heartbeat
from workers.kinds.corpus_child import CorpusChild
from workers.kinds.corpus_progress import ProgressBoard
from workers.kinds.sources import bring, find_sources
from workers.workplace import Workplace

_STEP: Final = 0
"""An uploaded checkpoint has none of ours behind it."""


def import_checkpoint(
    place: Workplace,
    claim: Claim,
    checkpoint: Checkpoint,
    child: CorpusChild,
    *,
    heartbeat: Heartbeat,
    board: ProgressBoard,
) -> None:
    """Make a checkpoint and its tokenizer of the files that were uploaded for it.

    Raises:
        Unfinished: the process ended before it was done; what is wrong with the files, it says.
    """
    with place.database.unit_of_work(claim.project_id) as uow:
        sources = find_sources(uow, checkpoints.file_ids(checkpoint))
    made = child.do(
        {
            "make": "uploaded_checkpoint",
            "files": [bring(place, one, child.directory / "files") for one in sources],
            "field": checkpoints.source_field(checkpoint),
            "fence": claim.fence,
            "directory": str(child.directory / "checkpoint"),
        },
        lease=heartbeat,
        on_message=board.hear,
        on_tick=board.write,
    )
    tokenizer_id = new_id("tokenizer")
    place.store.put_directory(keys.tokenizer(tokenizer_id), Path(made["tokenizer"]))
    prefix = keys.checkpoint(claim.subject_id, _STEP, claim.fence)
    objects = place.store.put_directory(
        prefix, Path(made["checkpoint"]), last=checkpoints.MANIFEST_NAME
    )
    heartbeat.stop()
    with place.database.unit_of_work(claim.project_id, write=True) as uow:
        imports.finish(
            uow,
            claim,
            MadeCheckpoint(
                stored=StoredCheckpoint(
                    step=_STEP, tokens=0, prefix=prefix, metrics={}, objects=objects
                ),
                model=made["model"],
                tokenizer_id=tokenizer_id,
                tokenizer_sha256=made["tokenizer_sha256"],
                algorithm=made["algorithm"],
                vocab_size=made["vocab_size"],
            ),
            store=place.store,
        )
        uow.commit()
