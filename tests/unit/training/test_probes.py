from __future__ import annotations

from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor

from corpora.vocabulary import CLS, END_OF_TEXT, MASK, PAD, SEP
from tests.tiny_text import encode, job_spec, tokenizer, vocabulary
from training.continuing import NEW_TOKENS
from training.encoder_filling import MOST_PIECES
from training.evaluation import Scorer
from training.ports import Filling
from training.probes import probe

CPU = torch.device("cpu")


def token(text: str) -> int:
    (id_,) = encode(text)
    return id_


@dataclass
class Follows:
    """A decoder that knows which token follows which, and likes control tokens even more."""

    next_of: dict[int, int]
    seen: list[Tensor] = field(default_factory=list)

    def logits(self, input_ids: Tensor, *, positions: Tensor | None) -> Tensor:
        assert positions is not None
        self.seen.append(input_ids.clone())
        last = input_ids.gather(1, positions)
        scores = torch.zeros(*last.shape, vocabulary().size)
        scores[..., [PAD, MASK]] = 9.0
        for row, id_ in enumerate(last[:, 0].tolist()):
            scores[row, 0, self.next_of.get(id_, END_OF_TEXT)] = 5.0
        return scores


@dataclass
class Fills:
    """An encoder with the same opinion about every gap."""

    scores: dict[int, float]
    seen: list[tuple[list[int], int]] = field(default_factory=list)

    def logits(self, input_ids: Tensor, *, positions: Tensor | None) -> Tensor:
        assert positions is not None
        self.seen += zip(input_ids.tolist(), positions[:, 0].tolist(), strict=True)
        scores_V = torch.full((vocabulary().size,), -20.0)
        for id_, score in self.scores.items():
            scores_V[id_] = score
        return scores_V.expand(*positions.shape, -1)


def fill(model: Scorer, *blanks: str, context_length: int = 64) -> list[Filling]:
    spec = job_spec("encoder", context_length=context_length, blanks=blanks, prompts=("unasked",))
    continuations, fillings = probe(
        model, spec=spec, tokenizer=tokenizer(), vocabulary=vocabulary(), device=CPU
    )
    assert continuations == []
    return fillings


def complete(model: Follows, *prompts: str, context_length: int = 64) -> list[str]:
    spec = job_spec("decoder", context_length=context_length, prompts=prompts, blanks=("a ____",))
    continuations, fillings = probe(
        model, spec=spec, tokenizer=tokenizer(), vocabulary=vocabulary(), device=CPU
    )
    assert fillings == []
    assert [continuation.prompt for continuation in continuations] == list(prompts)
    return [continuation.text for continuation in continuations]


def test_decoder_goes_on_until_its_end_of_text() -> None:
    model = Follows({token(" the"): token(" value"), token(" value"): token(" is")})
    assert complete(model, "of the", "the value", "of") == [" value is", " is", ""]


def test_decoder_that_never_ends_is_stopped() -> None:
    model = Follows({token(" the"): token(" the")})
    assert complete(model, "of the") == [" the" * NEW_TOKENS]


def test_prompt_is_the_beginning_of_a_document() -> None:
    model = Follows({})
    complete(model, "of the")
    expected = [END_OF_TEXT, *encode("of the")]
    assert model.seen[0][0, : len(expected)].tolist() == expected


def test_every_step_shows_the_decoder_the_same_shape() -> None:
    model = Follows({token(" the"): token(" the")})
    complete(model, "of the", "a much longer prompt than the other, of the", context_length=256)
    assert {tuple(ids.shape) for ids in model.seen} == {(2, 64)}


def test_long_prompt_leaves_room_to_answer() -> None:
    model = Follows({token(" the"): token(" is"), token(" is"): token(" is")})
    (text,) = complete(model, "of the" * 100, context_length=16)
    assert text == " is" * 8


def test_gap_behind_a_space_takes_words_that_begin_with_one() -> None:
    model = Fills({token(" value"): 3.0, token("value"): 4.0, token(" the"): 2.0})
    (filling,) = fill(model, "this is the ____ of it")
    ids, place = model.seen[0]
    assert ids == [CLS, *encode("this is the"), MASK, *encode(" of it"), SEP]
    assert ids[place] == MASK
    assert filling.text == "this is the value of it"
    assert filling.blank == "this is the ____ of it"
    (candidates,) = filling.candidates
    texts = [candidate.text for candidate in candidates]
    assert texts.index("value") == 0 < texts.index("the")
    assert len(candidates) == 5


@pytest.mark.parametrize("blank", ["____ is", "(____)", "line\n____"])
def test_gap_behind_anything_else_takes_words_that_begin_without_a_space(blank: str) -> None:
    model = Fills({token(" value"): 4.0, token("value"): 3.0})
    (filling,) = fill(model, blank)
    assert filling.text == blank.replace("____", "value")


def test_probabilities_are_those_of_the_whole_vocabulary() -> None:
    model = Fills({token(" value"): 0.0, token(","): 0.0})
    (filling,) = fill(model, "the ____")
    assert filling.candidates[0][0].text == "value"
    assert filling.candidates[0][0].probability == pytest.approx(0.5, abs=1e-4)


def test_candidates_are_words_and_come_best_first() -> None:
    scores = {token(","): 9.0, token(" ="): 8.0, token(" is"): 2.0, token(" of"): 3.0}
    (filling,) = fill(Fills(scores), "the ____ it")
    texts = [candidate.text for candidate in filling.candidates[0]]
    probabilities = [candidate.probability for candidate in filling.candidates[0]]
    assert texts[:2] == ["of", "is"]
    assert all(text.isalnum() for text in texts)
    assert probabilities == sorted(probabilities, reverse=True)


def test_each_gap_is_filled_and_mask_tokens_and_long_gaps_are_gaps_too() -> None:
    model = Fills({token(" the"): 3.0, token("the"): 3.0})
    (filling,) = fill(model, "____ value of [MASK] is _______, not ___.")
    assert filling.blank == "____ value of ____ is ____, not ___."
    assert filling.text == "the value of the is the, not ___."
    assert len(filling.candidates) == 3
    with_one_mask_each = min((ids for ids, _ in model.seen), key=len)
    looks = [place for ids, place in model.seen if ids == with_one_mask_each]
    assert looks == [place for place, id_ in enumerate(with_one_mask_each) if id_ == MASK]
    assert len(looks) == 3


def test_sentence_without_a_gap_stays_as_it_is() -> None:
    (filling,) = fill(Fills({}), "no gap ___ here")
    assert filling == Filling(blank="no gap ___ here", text="no gap ___ here", candidates=[])


def test_sentence_longer_than_the_context_is_read_around_its_gap() -> None:
    model = Fills({token(" the"): 3.0})
    blank = "____" + " value" * 30 + " ____" + " value" * 30 + " ____"
    fill(model, blank, context_length=16)
    assert {len(ids) for ids, _ in model.seen} == {16}
    assert all(ids[place] == MASK for ids, place in model.seen)


def test_model_whose_weights_are_lost_fills_nothing() -> None:
    (filling,) = fill(Fills({id_: float("nan") for id_ in range(vocabulary().size)}), "the ____")
    assert (filling.text, filling.candidates) == ("the ____", [[]])


@dataclass
class Spells:
    """An encoder that knows how one word goes on, and how likely it is from each number of masks.

    Its opinion at a mask depends on the tokens of the word that stand to the left of it.
    """

    word: list[int]
    probabilities: dict[int, list[float]]
    """By number of masks: of each token of the word, given those before it."""
    before: int
    looks: list[tuple[int, int]] = field(default_factory=list)

    def logits(self, input_ids: Tensor, *, positions: Tensor | None) -> Tensor:
        assert positions is not None
        scores = torch.full((len(input_ids), 1, vocabulary().size), 1e-9)
        for row, (ids, (place,)) in enumerate(
            zip(input_ids.tolist(), positions.tolist(), strict=True)
        ):
            begun = ids[ids.index(self.before) + 1 : place]
            num_masks = len(begun) + ids[place:].count(MASK)
            self.looks.append((num_masks, len(begun)))
            chances = self.probabilities.get(num_masks, [])
            if begun == self.word[: len(begun)] and len(begun) < len(chances):
                scores[row, 0, self.word[len(begun)]] = chances[len(begun)]
            scores[row, 0, token(",")] = 1 - scores[row, 0].sum()
        return scores.log()


def test_word_of_several_tokens_is_asked_for_with_as_many_masks_from_left_to_right() -> None:
    word = encode(" strings")
    assert len(word) == 2
    model = Spells(word, {1: [0.01, 0.0], 2: [0.5, 0.25]}, before=token(" the"))
    (filling,) = fill(model, "of the ____ is")
    assert filling.text == "of the strings is"
    best, second = filling.candidates[0][:2]
    assert best.probability == pytest.approx(0.5 * 0.25, rel=1e-3)
    assert second.text == "string"
    assert second.probability == pytest.approx(0.01, rel=1e-3)
    # so many masks, so many tokens of the word before the one that is asked for
    expected = [(n, begun) for n in range(1, MOST_PIECES + 1) for begun in range(n)]
    assert sorted(set(model.looks)) == expected


def test_pieces_that_the_tokenizer_would_write_otherwise_are_no_word() -> None:
    pieces = [token(" t"), token("o")]
    assert encode(" to") != pieces
    model = Spells(pieces, {2: [0.9, 0.9]}, before=token(" the"))
    (filling,) = fill(model, "of the ____ is")
    assert "to" not in [candidate.text for candidate in filling.candidates[0]]
