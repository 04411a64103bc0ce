"""The queries that every noun of a project needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Generic, TypeVar

from sqlalchemy import ColumnElement, Select, column, exists, func, select
from sqlalchemy.orm import InstrumentedAttribute

from core.errors import InvalidRequest, NotFound
from core.ids import Prefix, is_id
from db.base import StorableText
from db.repositories.scope import Order, Page, Scope
from db.tables import Identified

Row = TypeVar("Row", bound=Identified)
Item = TypeVar("Item")
Metadata = dict[str, Any]


class OwnedRepository(Generic[Row]):
    """Rows of one project, by id; rows of other projects do not exist here."""

    table: type[Row]
    noun: ClassVar[str]
    prefix: ClassVar[Prefix]

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._session = scope.session

    def add(self, row: Row) -> Row:
        """Insert a new row as the project's own."""
        row.project_id = self._scope.project_id
        row.created_at = self._scope.now()
        self._session.add(row)
        self._session.flush()
        return row

    def find(self, row_id: str, *, lock: bool = False) -> Row | None:
        """The row, or None.

        Args:
            row_id: Its id.
            lock: Read what is committed now and let nobody else change it until this transaction
                ends. Whoever checks a status and then changes it needs that.
        """
        return self._session.scalars(self._by_id(row_id, lock=lock)).one_or_none()

    def get(self, row_id: str, *, lock: bool = False, param: str | None = None) -> Row:
        """The row; see `find`.

        Raises:
            NotFound: this project has no such row; ``param`` names the field that asked for it.
        """
        row = self.find(row_id, lock=lock)
        if row is None:
            raise NotFound(f"There is no {self.noun} {row_id!r}.", param=param)
        return row

    def delete(self, row: Row) -> None:
        """Remove the row and its parts."""
        self._session.delete(row)
        self._session.flush()

    def count(self) -> int:
        """How many rows the project has."""
        return self._session.scalar(self._owned(select(func.count(self.table.id)))) or 0

    def _by_id(self, row_id: str, *, lock: bool) -> Select[Row]:
        query = self._owned(select(self.table)).where(self.table.id == row_id)
        if lock:
            query = query.with_for_update(key_share=True)
            query = query.execution_options(populate_existing=True)
        return query

    def _owned(self, query: Select[Item]) -> Select[Item]:
        return query.where(self.table.project_id == self._scope.project_id)

    def _page(
        self, *conditions: ColumnElement[bool], limit: int, after: str | None, order: Order
    ) -> Page[Row]:
        """The rows after an id, in the order of ids, which is that of their creation.

        Raises:
            InvalidRequest: ``after`` is the id of something else: no stretch would follow it, and
                a client that pages by it would begin again and again.
        """
        key = self.table.id
        query = self._owned(select(self.table)).where(*conditions)
        if after is not None:
            if not is_id(after, prefix=self.prefix):
                raise InvalidRequest(
                    f"after: {after!r} is not the id of a {self.noun}.", param="after"
                )
            query = query.where(key > after if order == "asc" else key < after)
        query = query.order_by(key.asc() if order == "asc" else key.desc()).limit(limit + 1)
        return Page.cut(list(self._session.scalars(query)), limit=limit)

    def _with_metadata(
        self, stored: InstrumentedAttribute[Metadata], wanted: Mapping[str, str] | None
    ) -> list[ColumnElement[bool]]:
        """Conditions: every wanted pair is among the stored ones.

        The pairs are unfolded into rows, so that a key is compared as it is: in a JSON path, a
        quotation mark in a key would end it.
        """
        dialect = self._session.get_bind().dialect.name
        unfold = func.json_each_text if dialect == "postgresql" else func.json_each
        conditions: list[ColumnElement[bool]] = []
        for key, value in (wanted or {}).items():
            pair = unfold(stored).table_valued(
                column("key", StorableText()), column("value", StorableText())
            )
            conditions.append(
                exists().select_from(pair).where(pair.c.key == key, pair.c.value == value)
            )
        return conditions
