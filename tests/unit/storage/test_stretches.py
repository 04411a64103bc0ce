from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import NotFound
from storage.base import Store
from storage.open import open_store
from storage.stretches import Stretch, read_stretches

WHOLE = b"head" + b"first" + b"second" + b"tail"
STRETCHES = [
    Stretch(4, literal=b"head"),
    Stretch(5, key="files/1"),
    Stretch(0, key="files/empty"),
    Stretch(6, key="files/2"),
    Stretch(4, literal=b"tail"),
]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = open_store(f"file://{tmp_path}")
    for key, content in (("files/1", b"first"), ("files/2", b"second")):
        writer = store.writer(key)
        writer.write(content)
        writer.commit()
    return store


def test_every_range_is_that_of_the_stretches_put_together(store: Store) -> None:
    for start in range(len(WHOLE) + 1):
        for end in range(start, len(WHOLE) + 1):
            found = b"".join(read_stretches(store, STRETCHES, start=start, end=end))
            assert found == WHOLE[start:end], (start, end)


def test_a_stretch_that_has_gone_is_noticed_when_it_is_needed(store: Store) -> None:
    store.delete("files/2")
    assert b"".join(read_stretches(store, STRETCHES, start=0, end=9)) == WHOLE[:9]
    with pytest.raises(NotFound):
        list(read_stretches(store, STRETCHES, start=8, end=10))
