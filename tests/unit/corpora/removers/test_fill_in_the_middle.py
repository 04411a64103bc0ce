from __future__ import annotations

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from core.objectives import FillInTheMiddleObjective
from corpora.removers.causal import CausalRemover
from corpora.removers.fill_in_the_middle import MiddleRemover
from corpora.vocabulary import (
    END_OF_TEXT,
    FIM_MIDDLE,
    FIM_PAD,
    FIM_PREFIX,
    FIM_SUFFIX,
    PAD,
)
from corpora.windows import TokenWindows
from tests.tiny_text import Stream, encode, stream, stream_of, vocabulary

LENGTH = 64
CONTROLS = [FIM_PREFIX, FIM_SUFFIX, FIM_MIDDLE, FIM_PAD]


def middles(*, context_length: int = LENGTH, **options: float) -> MiddleRemover:
    objective = FillInTheMiddleObjective.model_validate(options)
    return MiddleRemover(context_length, objective, vocabulary())


def sequences_of(
    source: Stream, remover: MiddleRemover, *, seed: int = 1
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The windows, and what became of them with the last label behind the inputs."""
    windows = TokenWindows(source, remover)
    everything = np.arange(windows.count)
    tokens = windows.read(everything)
    made = remover.remove(tokens, seed=seed, samples=everything)
    return tokens, np.concatenate([made.input_ids, made.labels[:, -1:]], axis=1)


TOKENS = st.integers(64, 1023).filter(lambda token: vocabulary().token_bytes(token) != b"\0")


def text_of(tokens: list[int]) -> bytes:
    """The bytes, and a zero for each end of a document; no other of ``TOKENS`` has one."""
    return b"".join(
        b"\0" if token == END_OF_TEXT else vocabulary().token_bytes(token) for token in tokens
    )


def parse(sequence: list[int]) -> list[tuple[str, list[int]]]:
    """The pieces between control tokens, each with the name of the one before it."""
    names = {FIM_PREFIX: "prefix", FIM_SUFFIX: "suffix", FIM_MIDDLE: "middle", FIM_PAD: "pad"}
    found: list[tuple[str, list[int]]] = [("plain", [])]
    for token in sequence:
        if token in names:
            found.append((names[token], []))
        else:
            found[-1][1].append(token)
    return found


def put_together(sequence: list[int]) -> bytes:
    """The text before it was rearranged, of prefix-first windows."""
    text, suffix = b"", b""
    for name, tokens in parse(sequence):
        piece = text_of(tokens)
        if name == "suffix":
            suffix = piece
        elif name == "middle":
            middle, end, rest = piece.partition(b"\0")
            text += middle + suffix + end + rest
        else:
            text += piece
    return text


@example(tokens=[64, 64, 64], ends={1, 2}, within_words=0.0)
@given(
    tokens=st.lists(TOKENS, min_size=1, max_size=200),
    ends=st.sets(st.integers(1, 198)),
    within_words=st.sampled_from([0.0, 0.5, 1.0]),
)
def test_putting_the_middle_back_gives_the_beginning_of_the_window(
    tokens: list[int], ends: set[int], within_words: float
) -> None:
    text = [END_OF_TEXT if place in ends else token for place, token in enumerate(tokens)]
    remover = middles(rate=1, suffix_first=0, within_words=within_words)
    for window, sequence in zip(*sequences_of(Stream([END_OF_TEXT, *text]), remover), strict=True):
        whole = [token for token in window.tolist() if token != PAD]
        found = put_together([token for token in sequence.tolist() if token != PAD])
        assert (text_of(whole) + b"\0").startswith(found)
        num_moved = int((sequence == FIM_MIDDLE).sum())
        assert len(found) >= len(text_of(whole[: len(whole) - 5 * num_moved - 1]))


def test_prefix_suffix_and_middle_come_in_both_orders_equally_often() -> None:
    _, prefix_first = sequences_of(stream(), middles(rate=1, suffix_first=0))
    _, suffix_first = sequences_of(stream(), middles(rate=1, suffix_first=1))
    _, both = sequences_of(stream(), middles(rate=1))
    for row in range(len(both)):
        assert any(np.array_equal(both[row], one[row]) for one in (prefix_first, suffix_first)) or (
            (both[row] == FIM_MIDDLE).sum() > 1
        )
    share = (both == suffix_first).all(axis=1).mean()
    assert 0.4 < share < 0.6
    at = np.argwhere(suffix_first[:, :-1] == FIM_PREFIX)
    assert (suffix_first[at[:, 0], at[:, 1] + 1] == FIM_SUFFIX).all()


def test_rate_is_the_share_of_windows_that_are_rearranged() -> None:
    tokens, sequences = sequences_of(stream(), middles(rate=0.5))
    is_moved = (sequences == FIM_MIDDLE).any(axis=1)
    assert 0.4 < is_moved.mean() < 0.65
    assert np.array_equal(sequences[~is_moved], tokens[~is_moved])


def test_window_left_whole_is_a_causal_sample() -> None:
    remover, causal = middles(rate=0.01), CausalRemover(LENGTH)
    tokens = TokenWindows(stream(), remover).read(np.arange(10))
    made = remover.remove(tokens, seed=3, samples=np.arange(10))
    plain = causal.remove(tokens, seed=3, samples=np.arange(10))
    is_whole = ~np.isin(made.input_ids, CONTROLS).any(axis=1)
    assert is_whole.sum() >= 8
    assert np.array_equal(made.input_ids[is_whole], plain.input_ids[is_whole])
    assert np.array_equal(made.labels[is_whole], plain.labels[is_whole])
    assert made.loss_mask[is_whole].all()


def test_all_text_is_learned_and_no_control_token() -> None:
    remover = middles(rate=1)
    tokens = TokenWindows(stream(), remover).read(np.arange(100))
    made = remover.remove(tokens, seed=1, samples=np.arange(100))
    assert not np.isin(made.labels[made.loss_mask], [*CONTROLS, PAD]).any()
    assert np.isin(made.labels[~made.loss_mask], CONTROLS).all()
    assert (made.labels[made.loss_mask] == END_OF_TEXT).any()


def test_middle_ends_with_the_end_of_a_document_and_never_leaves_its_own() -> None:
    source = stream_of(*["one two three four five six seven eight nine ten"] * 100)
    remover = middles(rate=1, suffix_first=0, within_words=0)
    _, sequences = sequences_of(source, remover)
    num_middles = 0
    for sequence in sequences:
        for name, piece in parse(sequence.tolist()):
            if name == "middle":
                num_middles += 1
                assert END_OF_TEXT in piece
            if name == "suffix":
                assert END_OF_TEXT not in piece
    assert num_middles > 100


def test_cuts_are_at_the_beginnings_of_words() -> None:
    source = stream_of("the value of the object is not the name of the type " * 100)
    windows = TokenWindows(source, middles(rate=1, within_words=0))
    for reading in windows.readings(np.arange(50), seed=1):
        ((first, last),) = reading.gaps
        before, middle, after = (
            text_of(part.tolist()) for part in np.split(reading.tokens, [first, last + 1])
        )
        assert before in {b"", b"\0"} or middle.startswith(b" ")
        assert not after or after.startswith(b" ")
        assert middle.strip()


def test_text_without_spaces_is_cut_anywhere_between_characters() -> None:
    windows = TokenWindows(stream_of("\u6f22\u5b57" * 2000), middles(rate=1, within_words=0))
    firsts = set()
    for reading in windows.readings(np.arange(60), seed=1):
        ((first, last),) = reading.gaps
        assert not vocabulary().continues_character[reading.tokens[first]] or first == 0
        assert not vocabulary().continues_character[reading.tokens[last + 1 : last + 2]].any()
        firsts.add(first)
    assert len(firsts) > 10


def test_cuts_within_a_word_leave_it_as_a_tokenizer_would_write_its_halves() -> None:
    source = stream_of("the value of the object is not the name of the type " * 100)
    windows = TokenWindows(source, middles(rate=1, within_words=1))
    num_within = 0
    for reading in windows.readings(np.arange(100), seed=1):
        ((first, last),) = reading.gaps
        for cut in (first, last + 1):
            left, right = reading.tokens[cut - 1 : cut], reading.tokens[cut : cut + 1]
            if not len(left) or not len(right):
                continue
            word = text_of(right.tolist())
            if word[:1].isalpha() and text_of(left.tolist())[-1:].isalpha():
                num_within += 1
                assert encode(text_of(left.tolist()).decode()) == left.tolist()
                assert encode(word.decode()) == right.tolist()
    assert num_within > 50


def test_few_cuts_fall_within_words_by_default() -> None:
    tokens, sequences = sequences_of(stream(), middles(rate=1))
    known = {text_of(window.tolist()) for window in tokens}
    assert len(known) > 100
    lengthened = sequences_of(stream(), middles(rate=1, within_words=0))[1]
    same = (sequences == lengthened).all(axis=1).mean()
    assert 0.7 < same < 0.95  # 0.9 squared, but for windows of several documents


def test_what_was_not_needed_for_control_tokens_is_filled_up() -> None:
    # no character of these can be cut off from another
    source = stream_of("\u6f22 " * 400)
    _, sequences = sequences_of(source, middles(rate=1, within_words=1))
    assert sequences.shape[1] == LENGTH + 1
    assert (sequences == FIM_PAD).sum() > 0
    is_pad = sequences == FIM_PAD
    assert (np.diff(is_pad.astype(int), axis=1) >= 0).all()  # at the end alone


@given(tokens=st.lists(st.integers(64, 1023), min_size=1, max_size=120))
def test_shapes_are_the_same_whatever_the_text(tokens: list[int]) -> None:
    remover = middles(rate=1, within_words=1, context_length=16)
    _, sequences = sequences_of(Stream([END_OF_TEXT, *tokens]), remover)
    assert sequences.shape[1] == 17


def test_what_surrounds_a_middle_is_of_its_document() -> None:
    source = stream_of(*["The cat sat on the mat and the dog lay by the door."] * 200)
    windows = TokenWindows(source, middles(rate=1, document_mask=True))
    made = windows.samples(np.arange(20), seed=1)
    assert made.documents is not None
    rows, places = np.nonzero(made.input_ids == FIM_MIDDLE)
    assert len(rows) > 20
    for row, place in zip(rows, places, strict=True):
        before = made.input_ids[row, :place]
        begin = np.flatnonzero(before == FIM_PREFIX)[-1]
        assert made.documents[row, begin] == made.documents[row, place]
    assert (np.diff(made.documents, axis=1) == (made.input_ids[:, 1:] == END_OF_TEXT)).all()
