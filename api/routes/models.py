"""``/v1/models``: checkpoints by name, as OpenAI's clients look for them."""

from __future__ import annotations

from fastapi import APIRouter

from api.deps import Page, Reading, ServiceDep, Writing
from api.documentation import failures
from api.guarded_route import GuardedRoute
from api.schemas.base import Deleted, ListAnswer, list_of
from api.schemas.checkpoints import ModelObject
from services import checkpoints, models

router = APIRouter(prefix="/v1/models", tags=["models"], route_class=GuardedRoute)


@router.get("", operation_id="list_models", responses=failures(422))
def list_models(uow: Reading, page: Page) -> ListAnswer[ModelObject]:
    """List every complete checkpoint, newest first, under its id."""
    found, has_more = models.page(uow, limit=page.limit, after=page.after, order=page.order)
    views = [ModelObject.of(row.checkpoint.id, row.checkpoint, job=row.job) for row in found]
    return list_of(views, has_more=has_more)


@router.get("/{model:path}", operation_id="get_model", responses=failures(404))
def get_model(model: str, uow: Reading) -> ModelObject:
    """Show a model: a checkpoint's id, or a job's name, perhaps with ``:latest`` or ``:best``."""
    found = models.find(uow, model)
    return ModelObject.of(model, found.checkpoint, job=found.job)


@router.delete("/{model:path}", operation_id="delete_model", responses=failures(404, 409))
def delete_model(model: str, uow: Writing, service: ServiceDep) -> Deleted:
    """Delete the checkpoint of a model."""
    found = models.find(uow, model)
    checkpoints.delete(uow, found.checkpoint.id, store=service.store)
    return Deleted(id=model, object="model")
