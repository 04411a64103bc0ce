"""Garbage: what the store still has and no row refers to.

Rows come before bytes: a corpus, a tokenizer, a dataset and a piece are known before anything is
put for them, and an upload keeps room until its file is. So what nobody knows an hour after it was
put was left by somebody who was killed between a commit and what follows it, or who did not notice
in time that his work had been deleted.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import datetime, timedelta
from itertools import islice
from typing import Final

from db.engine import Database
from db.repositories.upkeep import UpkeepRepository
from services import datasets
from storage import keys
from storage.base import Store

ORPHAN_AGE: Final = timedelta(hours=1)
_ASKED_AT_ONCE: Final = 500
_log = logging.getLogger(__name__)

_Known = Callable[[UpkeepRepository, Collection[str]], set[str]]


def collect(database: Database, *, store: Store, older_than: timedelta = ORPHAN_AGE) -> int:
    """Forget datasets that nothing can need, then delete what no row refers to; how many went."""
    num_gone = forget_datasets(database, store=store)
    with database.unit_of_work(project_id=None) as uow:
        latest = uow.now() - older_than
        upload_began_at = uow.upkeep.oldest_reservation_at()
    num_gone += _collect_blobs(database, store, before=min(latest, upload_began_at or latest))
    for prefix, (num_names, known) in _ADDRESSES.items():
        old = _old_addresses(store, prefix, num_names=num_names, before=latest)
        for address in _unknown(database, old, known):
            _log.info("Nothing refers to %s; it goes", address)
            store.delete_prefix(address)
            num_gone += 1
    return num_gone


def forget_datasets(database: Database, *, store: Store) -> int:
    """Delete the datasets whose corpus or tokenizer has been deleted, and its equals with it."""
    with database.unit_of_work(project_id=None) as uow:
        unneeded = [(row.id, row.project_id) for row in uow.upkeep.unneeded_datasets()]
    for dataset_id, project_id in unneeded:
        with database.unit_of_work(project_id, write=True) as uow:
            dataset = uow.datasets.find(dataset_id)
            if dataset is not None:
                datasets.delete(uow, dataset, store=store)
            uow.commit()
    return len(unneeded)


def _collect_blobs(database: Database, store: Store, *, before: datetime) -> int:
    old = (item.key for item in store.list(keys.FILES) if item.changed_at < before)
    num_gone = 0
    for key in _unknown(database, old, UpkeepRepository.known_blobs):
        _log.info("No file consists of %s; it goes", key)
        store.delete(key)
        num_gone += 1
    return num_gone


def _old_addresses(store: Store, prefix: str, *, num_names: int, before: datetime) -> Iterator[str]:
    """The addresses under a prefix of which no byte is younger than ``before``."""
    changed_at: dict[str, datetime] = {}
    for item in store.list(prefix):
        names = item.key.split("/")[:num_names]
        address = "/".join(names) + "/"
        changed_at[address] = max(item.changed_at, changed_at.get(address, item.changed_at))
    return (address for address, moment in changed_at.items() if moment < before)


def _unknown(database: Database, addresses: Iterator[str], known: _Known) -> Iterator[str]:
    while some := list(islice(addresses, _ASKED_AT_ONCE)):
        with database.unit_of_work(project_id=None) as uow:
            needed = known(uow.upkeep, some)
        yield from (address for address in some if address not in needed)


def _known_corpora(upkeep: UpkeepRepository, addresses: Collection[str]) -> set[str]:
    ids = upkeep.known_corpora([_id_in(address) for address in addresses])
    return {address for address in addresses if _id_in(address) in ids}


def _known_tokenizers(upkeep: UpkeepRepository, addresses: Collection[str]) -> set[str]:
    ids = upkeep.known_tokenizers([_id_in(address) for address in addresses])
    return {address for address in addresses if _id_in(address) in ids}


def _known_pieces(upkeep: UpkeepRepository, addresses: Collection[str]) -> set[str]:
    known = upkeep.known_pieces(addresses)
    return known | {
        address
        for address in addresses
        if address not in known
        and (attempt := keys.PieceAttempt.of(address)) is not None
        and upkeep.may_still_commit(attempt.piece_id, fence=attempt.fence, within=ORPHAN_AGE)
    }


def _id_in(address: str) -> str:
    return address.split("/")[1]


_ADDRESSES: Final[Mapping[str, tuple[int, _Known]]] = {
    keys.CORPORA: (2, _known_corpora),
    keys.TOKENIZERS: (2, _known_tokenizers),
    keys.DATASETS: (2, UpkeepRepository.known_datasets),
    keys.PIECES: (3, _known_pieces),
}
"""How many names make an address under each prefix, and who knows which of them are needed."""
