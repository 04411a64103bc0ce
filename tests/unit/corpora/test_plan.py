from __future__ import annotations

from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.plan import FILES_PER_PIECE, SourceSize, plan_pieces


def sizes(*num_bytes: int) -> list[SourceSize]:
    return [
        SourceSize(f"file_{i}", filename=f"{i}.txt", sha256=f"{i:064x}", num_bytes=size)
        for i, size in enumerate(num_bytes)
    ]


def test_a_piece_is_filled_until_the_next_file_would_be_too_much() -> None:
    planned = plan_pieces(sizes(40, 60, 1, 300, 20, 20), bytes_per_piece=100)
    assert planned == [["file_0", "file_1"], ["file_2"], ["file_3"], ["file_4", "file_5"]]


def test_a_piece_never_has_too_many_files_however_small() -> None:
    planned = plan_pieces(sizes(*[0] * (FILES_PER_PIECE + 1)))
    assert [len(piece) for piece in planned] == [FILES_PER_PIECE, 1]


def test_no_files_make_no_pieces() -> None:
    assert plan_pieces([]) == []


def test_files_go_by_digest_and_then_by_name() -> None:
    files = [
        SourceSize("a", "z.txt", "1" * 64, 1),
        SourceSize("b", "b.txt", "0" * 64, 1),
        SourceSize("c", "a.txt", "1" * 64, 1),
    ]
    assert plan_pieces(files) == [["b", "c", "a"]]


@given(
    num_bytes=st.lists(st.integers(0, 100), max_size=30),
    bytes_per_piece=st.integers(1, 150),
    data=st.data(),
)
def test_every_file_is_in_one_piece_whatever_their_order(
    num_bytes: list[int], bytes_per_piece: int, data: st.DataObject
) -> None:
    files = sizes(*num_bytes)
    planned = plan_pieces(files, bytes_per_piece=bytes_per_piece)
    assert list(chain.from_iterable(planned)) == [file.id for file in files]
    by_id = {file.id: file.num_bytes for file in files}
    assert all(
        len(piece) == 1 or sum(by_id[id_] for id_ in piece) <= bytes_per_piece for piece in planned
    )
    assert (
        plan_pieces(data.draw(st.permutations(files)), bytes_per_piece=bytes_per_piece) == planned
    )


@pytest.mark.parametrize("num_files", [1, 3])
def test_a_corpus_of_usual_size_is_read_at_once(num_files: int) -> None:
    assert len(plan_pieces(sizes(*[20_000_000] * num_files))) == 1
