from __future__ import annotations

from hashlib import sha256

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from core.objectives import MaskedObjective
from corpora.counter_random import random_bits
from corpora.removers.masked import MaskedRemover
from corpora.removers.samples import Samples
from corpora.vocabulary import CLS, END_OF_TEXT, MASK, PAD, SEP, Vocabulary
from corpora.windows import TokenWindows
from tests.tiny_text import Stream, encode, stream, stream_of, vocabulary, words_in_a_row

LENGTH = 64
LONG_WORD_TOKEN = 100


def masked(
    objective: MaskedObjective | None = None, *, context_length: int = LENGTH
) -> MaskedRemover:
    return MaskedRemover(context_length, objective or MaskedObjective(), vocabulary())


def removed_from(source: Stream, remover: MaskedRemover, *, seed: int = 1) -> Samples:
    windows = TokenWindows(source, remover)
    return remover.remove(
        windows.read(np.arange(windows.count)), seed=seed, samples=np.arange(windows.count)
    )


def places_of(samples: Samples) -> NDArray[np.int64]:
    assert samples.positions is not None
    return samples.positions


def one_window(*tokens: int, context_length: int = 16) -> NDArray[np.int64]:
    assert len(tokens) == context_length
    return np.array([tokens], dtype=np.int64)


def token(text: str) -> int:
    (id_,) = encode(text)
    return id_


def invented_vocabulary() -> Vocabulary:
    """Two hundred tokens: special ones, punctuation, and words that do or do not go on."""
    ids = np.arange(200)
    is_special = ids < 64
    holds = ~is_special & (ids % 5 > 0)
    return Vocabulary(
        num_bytes=np.where(is_special, 0, 1).astype(np.uint16),
        is_special=is_special,
        begins_with_word_byte=holds & (ids % 2 == 0) | (ids == LONG_WORD_TOKEN),
        ends_with_word_byte=holds & (ids % 3 > 0) | (ids == LONG_WORD_TOKEN),
        holds_word_byte=holds | (ids == LONG_WORD_TOKEN),
        continues_character=holds & (ids % 7 == 0),
        _bytes=tuple(b"" if special else b"x" for special in is_special),
    )


def test_labels_stand_where_they_were_removed_and_the_rest_is_untouched() -> None:
    remover = masked()
    windows = TokenWindows(stream(), remover)
    tokens = windows.read(np.arange(windows.count))
    made = removed_from(stream(), remover)
    rows, columns = np.nonzero(made.loss_mask)
    places = places_of(made)[rows, columns]
    assert (made.input_ids[rows, places] == MASK).all()
    assert np.array_equal(tokens[rows, places], made.labels[rows, columns])
    kept = made.input_ids != MASK
    framed = np.where(tokens == END_OF_TEXT, SEP, tokens)
    assert np.array_equal(made.input_ids[:, 1:-1][kept[:, 1:-1]], framed[:, 1:-1][kept[:, 1:-1]])


def test_window_stands_between_cls_and_sep_and_sep_stands_between_documents() -> None:
    made = removed_from(stream_of("one two three", "four five six"), masked(context_length=128))
    ids = made.input_ids[0]
    assert ids[0] == CLS
    text = ids[ids != PAD]
    assert text[-1] == SEP
    assert (text[1:] == SEP).sum() == 2
    assert END_OF_TEXT not in ids
    full = removed_from(stream(), masked()).input_ids
    assert (full[:, 0] == CLS).all()
    assert (full[:, -1] == SEP).all()


def test_shapes_are_the_same_whatever_the_text() -> None:
    remover = masked(MaskedObjective(rate=0.3))
    made = removed_from(stream(), remover)
    assert made.labels.shape == made.loss_mask.shape == places_of(made).shape
    assert made.labels.shape[1] == remover.num_removed == round(0.3 * LENGTH)
    short = removed_from(stream_of("a few words"), remover)
    assert short.labels.shape == (1, remover.num_removed)


def test_padding_points_at_cls_and_counts_nowhere() -> None:
    made = removed_from(stream(), masked())
    assert (~made.loss_mask).any()
    assert (places_of(made)[~made.loss_mask] == 0).all()
    assert (made.labels[~made.loss_mask] == PAD).all()
    assert (made.input_ids[:, 0] == CLS).all()


def test_removed_words_are_whole_by_the_word_ids_of_tokenizers() -> None:
    source, words = words_in_a_row()
    remover = masked()
    windows = TokenWindows(source, remover)
    starts = windows.starts(np.arange(windows.count))
    made = removed_from(source, remover)
    torn = 0
    for row, start in enumerate(starts.tolist()):
        places = start + places_of(made)[row][made.loss_mask[row]]
        removed = words[places]
        torn += sum((words == word).sum() != (removed == word).sum() for word in set(removed))
    assert windows.count > 100
    assert (np.bincount(words[words >= 0]) > 1).mean() > 0.1  # there is something to tear
    assert torn == 0


def test_rate_of_the_window_is_removed_but_for_a_last_word_that_does_not_fit() -> None:
    made = removed_from(stream(), masked(MaskedObjective(rate=0.3)))
    share = made.loss_mask.sum(axis=1) / LENGTH
    assert (share <= 0.3 + 0.5 / LENGTH).all()
    assert share.mean() > 0.27


def test_special_tokens_are_never_removed() -> None:
    source = stream_of(*["a b"] * 100)
    for objective in (MaskedObjective(rate=0.9), MaskedObjective(rate=0.9, whole_words=False)):
        made = removed_from(source, masked(objective))
        assert not vocabulary().is_special[made.labels[made.loss_mask]].any()


def test_punctuation_goes_only_when_the_words_do_not_suffice() -> None:
    comma, word = token(","), token(" the")
    window = one_window(END_OF_TEXT, word, *[comma] * 13, END_OF_TEXT)
    one = masked(MaskedObjective(rate=0.05), context_length=16)
    three = masked(MaskedObjective(rate=0.2), context_length=16)
    for sample in range(20):
        made = one.remove(window, seed=0, samples=np.array([sample]))
        assert made.labels.tolist() == [[word]]
        made = three.remove(window, seed=0, samples=np.array([sample]))
        assert made.labels.tolist() == [[word, comma, comma]]


def test_words_that_the_window_cuts_stay_while_there_are_others() -> None:
    the, piece = token(" the"), token("x")
    window = one_window(the, piece, *[the] * 12, piece, piece)
    remover = masked(MaskedObjective(rate=0.3), context_length=16)
    for sample in range(50):
        made = remover.remove(window, seed=0, samples=np.array([sample]))
        # at 1 goes on what the neighbour began; 13 to 15 are one word whose end is out of sight
        assert set(places_of(made)[made.loss_mask].tolist()) <= set(range(2, 13))


def test_any_part_of_a_word_longer_than_all_that_may_go_goes_equally_often() -> None:
    piece = token("x")
    window = one_window(END_OF_TEXT, *[piece] * 14, END_OF_TEXT)
    num_samples = 4000
    made = masked(MaskedObjective(rate=0.25), context_length=16).remove(
        np.repeat(window, num_samples, axis=0), seed=0, samples=np.arange(num_samples)
    )
    assert (made.loss_mask.sum(axis=1) == 4).all()
    counts = np.bincount(places_of(made).ravel(), minlength=16)[1:15]
    expected = num_samples * 4 / 14
    assert np.abs(counts - expected).max() < 0.1 * expected


def test_split_characters_of_a_long_word_go_whole() -> None:
    assert {len(encode(character)) for character in "\u6f22\u5b57"} == {3}
    source = stream_of("\u6f22\u5b57" * 400)
    remover = masked(MaskedObjective(rate=0.25))
    starts = TokenWindows(source, remover).starts(np.arange(10))
    made = removed_from(source, remover)
    for row, start in enumerate(starts.tolist()):
        places = start + places_of(made)[row][made.loss_mask[row]]
        characters, counts = np.unique((places - 1) // 3, return_counts=True)
        assert len(characters) > 3
        assert set(counts.tolist()) == {3}


@given(
    tokens=st.lists(st.integers(64, 1023), min_size=1, max_size=100),
    rate=st.floats(0.01, 0.9),
    whole_words=st.booleans(),
)
def test_something_is_always_removed(tokens: list[int], rate: float, *, whole_words: bool) -> None:
    objective = MaskedObjective(rate=rate, whole_words=whole_words)
    made = removed_from(Stream([END_OF_TEXT, *tokens]), masked(objective, context_length=16))
    assert made.loss_mask.any(axis=1).all()


def test_short_split_loses_its_share_of_words_and_not_that_of_a_window() -> None:
    made = removed_from(
        stream_of("one two three four five six seven eight nine ten"), masked(context_length=512)
    )
    num_tokens = int((made.input_ids != PAD).sum())
    assert 0 < made.loss_mask.sum() <= round(0.3 * num_tokens)


def test_every_word_of_a_window_goes_equally_often() -> None:
    words = [token(" the"), token(" is"), token(" of"), token(" to"), token(" and")]
    window = one_window(END_OF_TEXT, *words, *words, *words[:4], END_OF_TEXT)
    num_samples = 4000
    made = masked(MaskedObjective(rate=0.25), context_length=16).remove(
        np.repeat(window, num_samples, axis=0), seed=0, samples=np.arange(num_samples)
    )
    counts = np.bincount(places_of(made).ravel(), minlength=16)[1:15]
    expected = num_samples * 4 / 14
    assert np.abs(counts - expected).max() < 0.1 * expected


def test_eight_in_ten_become_masks_one_a_random_token_and_one_stays() -> None:
    remover = masked(MaskedObjective(rate=0.3, replacement="80-10-10"))
    windows = TokenWindows(stream(), remover)
    samples = np.arange(1000)
    made = remover.remove(windows.read(samples % windows.count), seed=3, samples=samples)
    rows, columns = np.nonzero(made.loss_mask)
    gaps = made.input_ids[rows, places_of(made)[rows, columns]]
    labels = made.labels[rows, columns]
    is_random = (gaps != MASK) & (gaps != labels)
    assert abs((gaps == MASK).mean() - 0.8) < 0.02
    assert abs(is_random.mean() - 0.1) < 0.02
    assert abs((gaps == labels).mean() - 0.1) < 0.02
    assert not vocabulary().is_special[gaps[gaps != MASK]].any()
    assert len(np.unique(gaps[is_random])) > 400


def test_without_whole_words_pieces_of_words_go_alone() -> None:
    piece = token("x")
    window = one_window(END_OF_TEXT, *[piece] * 14, END_OF_TEXT)
    remover = masked(MaskedObjective(rate=0.25, whole_words=False), context_length=16)
    seen = {
        tuple(places_of(remover.remove(window, seed=0, samples=np.array([sample])))[0].tolist())
        for sample in range(20)
    }
    assert len(seen) > 10


def test_same_seed_gives_the_same_samples_in_every_version() -> None:
    """A job that is resumed after an update must go on with the text that it would have seen."""
    digest = sha256()
    for objective in (
        MaskedObjective(),
        MaskedObjective(rate=0.15, replacement="80-10-10"),
        MaskedObjective(rate=0.9),
        MaskedObjective(whole_words=False),
    ):
        remover = MaskedRemover(LENGTH, objective, invented_vocabulary())
        drawn = random_bits(5, np.arange(40 * LENGTH, dtype=np.uint64)) % np.uint64(200)
        tokens = drawn.astype(np.int64).reshape(40, LENGTH)
        tokens[::7, 50] = END_OF_TEXT
        tokens[::7, 51:] = PAD
        tokens[5, 1:30] = LONG_WORD_TOKEN
        made = remover.remove(tokens, seed=7, samples=np.arange(100, 140))
        for part in (made.input_ids, made.labels, places_of(made), made.loss_mask):
            digest.update(part.tobytes())
    assert digest.hexdigest() == "cacfc47e38657ae5b8cda35be07d9b19c092f675a3fc895780566d0dc860483f"
