"""What endpoints are handed: the service's parts, a transaction, a stretch of a list."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Final, Literal

from fastapi import Depends, Query, Request
from fastapi import Path as PathParameter

from api.live import EventWatch
from core.errors import InvalidRequest
from core.settings import Settings
from db.engine import Database
from db.tables import DEFAULT_PROJECT_ID
from db.unit_of_work import UnitOfWork
from services.doorbell import Doorbell
from services.room import Room
from storage.base import Store

Order = Literal["asc", "desc"]
MAX_PAGE: Final = 100
MAX_FILES_PAGE: Final = 10_000
_METADATA_PARAMETER: Final = re.compile(r"metadata\[(.{1,64})\]", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Service:
    """The parts of one running service."""

    settings: Settings
    database: Database
    store: Store
    doorbell: Doorbell
    watch: EventWatch

    @property
    def room(self) -> Room:
        """What of the store is still to be had."""
        return Room(self.database, self.store, self.settings)


def service_of(request: Request) -> Service:
    """The running service."""
    service: Service = request.app.state.service
    return service


Id = Annotated[str, PathParameter(alias="id", description="Its id", max_length=128)]
"""The last part of an object's own path."""

ServiceDep = Annotated[Service, Depends(service_of)]


def project_id_of() -> str:
    """Whose things the request is about: without keys there is one project."""
    return DEFAULT_PROJECT_ID


ProjectId = Annotated[str, Depends(project_id_of)]


def writing(service: ServiceDep, project_id: ProjectId) -> Iterator[UnitOfWork]:
    """A transaction that is committed when the endpoint returns, before its answer leaves."""
    with service.database.unit_of_work(project_id, write=True) as uow:
        yield uow
        uow.commit()


def reading(service: ServiceDep, project_id: ProjectId) -> Iterator[UnitOfWork]:
    """A transaction that sees one moment and changes nothing."""
    with service.database.unit_of_work(project_id) as uow:
        yield uow


# The default scope of a dependency ends after the answer has left: a client could then hold a 201
# for what a crash undoes.
Writing = Annotated[UnitOfWork, Depends(writing, scope="function")]
Reading = Annotated[UnitOfWork, Depends(reading, scope="function")]


@dataclass(frozen=True, slots=True)
class PageParams:
    """Which stretch of a list."""

    limit: int
    after: str | None
    order: Order


def page_params(
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE, description="How many at most")] = 20,
    after: Annotated[
        str | None, Query(description="The id after which to begin", max_length=128)
    ] = None,
    order: Annotated[Order, Query(description="By time of creation")] = "desc",
) -> PageParams:
    """The parameters of every list."""
    return PageParams(limit=limit, after=after, order=order)


def file_page_params(
    limit: Annotated[int, Query(ge=1, le=MAX_FILES_PAGE, description="How many at most")] = 20,
    after: Annotated[
        str | None, Query(description="The id after which to begin", max_length=128)
    ] = None,
    order: Annotated[Order, Query(description="By time of creation")] = "desc",
) -> PageParams:
    """The parameters of the list of files, which may be long."""
    return PageParams(limit=limit, after=after, order=order)


def metadata_filter(
    request: Request,
    documented: Annotated[
        str | None,
        Query(
            alias="metadata[key]",
            description="Only those with this pair in their metadata; `key` is a key of yours",
        ),
    ] = None,
) -> dict[str, str]:
    """The wanted pairs of ``metadata[key]=value``.

    Args:
        request: Has the pairs, whatever their keys.
        documented: How the OpenAPI document tells of them.

    Raises:
        InvalidRequest: a name is not of this form.
    """
    del documented
    wanted = {}
    for name, value in request.query_params.multi_items():
        if name.startswith("metadata"):
            match = _METADATA_PARAMETER.fullmatch(name)
            if match is None:
                raise InvalidRequest(
                    f"A filter is written metadata[key]=value, not {name!r}.", param=name
                )
            wanted[match[1]] = value
    return wanted


Page = Annotated[PageParams, Depends(page_params)]
FilePage = Annotated[PageParams, Depends(file_page_params)]
MetadataFilter = Annotated[dict[str, str], Depends(metadata_filter)]
