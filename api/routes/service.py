"""How the service is, and what it allows."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter, Response

from api.deps import MAX_FILES_PAGE, MAX_PAGE, Reading, ServiceDep
from api.documentation import failures
from api.guarded_route import GuardedRoute
from api.json_body import MAX_DEPTH
from api.schemas.checkpoints import MAX_CHECKPOINT_FILES
from api.schemas.corpora import MAX_EXAMPLE_CONTEXT_LENGTH, MAX_EXAMPLES, MAX_FILES
from api.schemas.files import MAX_FORM_PARTS
from api.schemas.service import FilterLimits, Health, Limits, PartState, Readiness
from api.schemas.tokenizers import MAX_TEXT_LENGTH, MAX_TOKENS
from api.streams import MAX_STREAMS
from api.waiting import MAX_WAIT_SECONDS
from core import mixture, objectives, spec
from core.errors import Unavailable
from core.job_request import (
    MAX_METADATA_KEY_LENGTH,
    MAX_METADATA_PAIRS,
    MAX_METADATA_VALUE_LENGTH,
    MAX_NAME_LENGTH,
    MIN_VOCAB_SIZE,
)
from core.quality_filters import list_filters
from corpora.folder_upload import MAX_WEIGHTS_BYTES
from corpora.tokenizer_upload import MAX_FILE_BYTES as MAX_TOKENIZER_FILE_BYTES
from services.files import MAX_FILENAME_LENGTH, MAX_LIFETIME_SECONDS, MIN_LIFETIME_SECONDS
from services.uploads import MAX_PARTS, MAX_TIMES_SENT

router = APIRouter(tags=["service"], route_class=GuardedRoute)


@router.get("/healthz", operation_id="get_health", responses=failures())
async def get_health() -> Health:
    """Tell that the process is alive."""
    return Health()


@router.get(
    "/readyz",
    operation_id="get_readiness",
    responses={503: {"model": Readiness, "description": "A part cannot be reached"}},
)
def get_readiness(service: ServiceDep, response: Response) -> Readiness:
    """Tell of the database, the broker and the store whether they answer."""
    parts = {
        "database": _state(lambda: _describe_database(service)),
        "broker": _state(service.doorbell.check),
        "store": _state(service.store.check),
    }
    is_ready = all(part.status == "ok" for part in parts.values())
    response.status_code = 200 if is_ready else 503
    return Readiness(status="ok" if is_ready else "unavailable", **parts)


@router.get("/v1/limits", operation_id="get_limits", responses=failures())
def get_limits(service: ServiceDep, uow: Reading) -> Limits:
    """List every limit of this API."""
    return Limits(
        json_bytes=service.settings.max_json_bytes,
        json_depth=MAX_DEPTH,
        file_bytes=service.room.largest(service.settings.max_file_bytes),
        part_bytes=service.settings.max_part_bytes,
        upload_parts=MAX_PARTS,
        upload_times_sent=MAX_TIMES_SENT,
        upload_seconds=int(service.settings.upload_seconds),
        file_lifetime_seconds_min=MIN_LIFETIME_SECONDS,
        file_lifetime_seconds_max=MAX_LIFETIME_SECONDS,
        storage_bytes=service.room.quota(uow),
        free_disk_bytes=service.settings.min_free_bytes,
        filename_characters=MAX_FILENAME_LENGTH,
        form_parts=MAX_FORM_PARTS,
        corpus_files=MAX_FILES,
        checkpoint_files=MAX_CHECKPOINT_FILES,
        checkpoint_bytes=MAX_WEIGHTS_BYTES,
        examples=MAX_EXAMPLES,
        examples_context_length=MAX_EXAMPLE_CONTEXT_LENGTH,
        page_size=MAX_PAGE,
        files_page_size=MAX_FILES_PAGE,
        metadata_pairs=MAX_METADATA_PAIRS,
        metadata_key_characters=MAX_METADATA_KEY_LENGTH,
        metadata_value_characters=MAX_METADATA_VALUE_LENGTH,
        name_characters=MAX_NAME_LENGTH,
        wait_seconds=MAX_WAIT_SECONDS,
        streams=MAX_STREAMS,
        tokenizer_file_bytes=MAX_TOKENIZER_FILE_BYTES,
        encode_characters=MAX_TEXT_LENGTH,
        decode_tokens=MAX_TOKENS,
        layers=spec.MAX_LAYERS,
        width=spec.MAX_WIDTH,
        heads=spec.MAX_HEADS,
        ffn_width=spec.MAX_FFN_WIDTH,
        context_length=spec.MAX_CONTEXT_LENGTH,
        vocab_size=spec.MAX_VOCAB_SIZE,
        vocab_size_min=MIN_VOCAB_SIZE,
        mixture_corpora=mixture.MAX_CORPORA,
        objective_parts=objectives.MAX_PARTS,
        objective_stages=objectives.MAX_STAGES,
        prompts=spec.MAX_PROMPTS,
        prompt_characters=spec.MAX_PROMPT_LENGTH,
        devices=service.settings.num_devices,
        hosts=1,
        filters=[FilterLimits.of(facts) for facts in list_filters()],
    )


def _describe_database(service: ServiceDep) -> str:
    state = service.database.check()
    journal = f", journal {state.journal_mode}" if state.journal_mode else ""
    return f"{state.engine} {state.version}{journal}, schema {state.revision}"


def _state(check: Callable[[], str | None]) -> PartState:
    try:
        return PartState(status="ok", detail=check())
    except Unavailable as error:
        return PartState(status="unavailable", detail=error.message)
