"""A recipe: the request that gives a job's result again."""

from __future__ import annotations

import json
from typing import Any, Final

from core.spec import JobSpec
from db.tables import Job

_DECIDED_ELSEWHERE: Final[dict[str, bool | set[str]]] = {"model": {"vocab_size"}, "start": True}
"""The vocabulary comes with the tokenizer, and what a job starts from is part of its model."""


def recipe(job: Job) -> dict[str, Any]:
    """A body for ``POST /v1/jobs`` with every default written out.

    A job whose corpus or tokenizer is still being made has no spec yet; its own request is all
    that is known, and gives the same result as well.
    """
    written = {"name": job.name, "priority": job.priority, "max_attempts": job.max_attempts}
    if job.spec is None:
        return {**job.request, **written}
    spec = JobSpec.model_validate_json(_as_json(job.spec))
    return {
        **spec.model_dump(mode="json", exclude={**_DECIDED_ELSEWHERE}, exclude_none=True),
        **_start(spec),
        "corpus": _corpus(spec),
        **written,
    }


def _start(spec: JobSpec) -> dict[str, Any]:
    """Of a model that goes on from a checkpoint: that, instead of the shape that comes with it."""
    if spec.start is None:
        return {}
    length = spec.model.context_length
    return {"model": {"from": spec.start.checkpoint, "context_length": length}}


def _corpus(spec: JobSpec) -> str | list[dict[str, Any]]:
    """An id, or the mixture without the digests, which its ids stand for."""
    if isinstance(spec.corpus, str):
        return spec.corpus
    return [{"corpus": part.corpus, "weight": part.weight} for part in spec.corpus]


def _as_json(value: dict[str, Any]) -> str:
    return json.dumps(value)
