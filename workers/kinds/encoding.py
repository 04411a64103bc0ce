"""Running the corpus process for an attempt, and bringing to it what it reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from services.attempts import Claim
from storage import keys
from workers import corpus_process
from workers.children import Child, engine_environment
from workers.heartbeat import Heartbeat
from workers.messages import FromChild
from workers.supervision import Ending, supervise
from workers.workplace import Workplace


def run_corpus_process(
    place: Workplace,
    claim: Claim,
    directory: Path,
    task: Mapping[str, Any],
    *,
    heartbeat: Heartbeat,
    on_message: Callable[[FromChild], None],
) -> Ending:
    """Let a corpus process do ``task`` in ``directory``.

    It saves nothing halfway, so it is killed as soon as it should stop.
    """
    child = Child(
        "workers.corpus_process",
        directory,
        task=task,
        log=place.log_of(claim),
        nice=place.settings.trainer_nice,
        environment=engine_environment(),
    )
    return supervise(
        child,
        heartbeat=heartbeat,
        drain=place.drain,
        drain_seconds=0.0,
        on_message=on_message,
        on_tick=_nothing,
    )


def corpus_directory(place: Workplace, corpus_id: str) -> Path:
    """A ready corpus as a local directory."""
    return place.store.materialise(keys.corpus(corpus_id), cache=place.settings.cache_dir)


def store_tokenizer(place: Workplace, directory: Path, tokenizer_id: str) -> None:
    """Put the tokenizer that a corpus process has made."""
    made = directory / corpus_process.TOKENIZER
    place.store.put_directory(keys.tokenizer(tokenizer_id), made)


def store_dataset(place: Workplace, directory: Path, manifest: Mapping[str, Any]) -> None:
    """Put the dataset that a corpus process has made.

    Its address is its content, so whoever has put it before has put the same bytes.
    """
    made = directory / corpus_process.DATASET
    place.store.put_directory(keys.dataset(str(manifest["digest"])), made)


def _nothing() -> None:
    pass
