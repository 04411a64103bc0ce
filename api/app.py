"""The application: everything is put together here, and nothing else happens here."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool

from api import errors, middleware
from api.deps import Service
from api.documentation import DESCRIPTION, TAGS
from api.live import EventWatch, event_counters
from api.routes import (
    checkpoints,
    corpora,
    events,
    files,
    jobs,
    models,
    service,
    tokenizers,
    uploads,
)
from api.shutdown import calling_on_stop
from core.settings import Settings
from db.engine import Database
from services.doorbell import Doorbell, open_doorbell
from services.reconcile import Reconciler
from storage.open import open_store

_RECONCILER_SECONDS = 5.0
"""How long a stopping process waits for the reconciler's last turn."""


def create_app(settings: Settings | None = None) -> FastAPI:
    """The HTTP API; usable as a factory: ``uvicorn --factory api.app:create_app``.

    Args:
        settings: Default: from the environment.
    """
    settings = settings or Settings()
    app = FastAPI(
        title="Pretrainer",
        summary="Pre-training as a service",
        description=DESCRIPTION,
        version=_version(),
        openapi_tags=TAGS,
        lifespan=_lifespan,
        redirect_slashes=False,
        generate_unique_id_function=_operation_id,
    )
    app.state.settings = settings
    modules = (files, uploads, corpora, tokenizers, jobs, checkpoints, models, events, service)
    for module in modules:
        app.include_router(module.router)
    errors.install(app, [route for module in modules for route in module.router.routes])
    middleware.install(app, host=settings.host)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings: Settings = app.state.settings
    database = Database(settings.database_url)
    store = open_store(settings.store_url)
    doorbell = open_doorbell(settings.broker_url)
    watch = EventWatch(event_counters(database))
    app.state.service = Service(
        settings=settings, database=database, store=store, doorbell=doorbell, watch=watch
    )
    async with _reconciling(Reconciler(database, doorbell, store, settings)):
        try:
            with calling_on_stop(watch.stop):
                yield
        finally:
            await watch.close()
    await run_in_threadpool(_close, database, doorbell)


@asynccontextmanager
async def _reconciling(reconciler: Reconciler) -> AsyncIterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=reconciler.run, args=(stop,), name="reconciler", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        with contextlib.suppress(asyncio.CancelledError):
            await run_in_threadpool(thread.join, _RECONCILER_SECONDS)


def _close(database: Database, doorbell: Doorbell) -> None:
    doorbell.close()
    database.close()


def _operation_id(route: APIRoute) -> str:
    return route.name


def _version() -> str:
    try:
        return importlib.metadata.version("pretrainer")
    except importlib.metadata.PackageNotFoundError:
        return "0"
