from __future__ import annotations

import math
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor

from core.objectives import (
    FillingObjective,
    FillInTheMiddleObjective,
    SpanCorruptionObjective,
)
from corpora.vocabulary import (
    END_OF_TEXT,
    FIM_MIDDLE,
    FIM_PREFIX,
    FIM_SUFFIX,
    FIRST_SENTINEL,
    MASK,
    SEP,
)
from tests.tiny_text import encode, job_spec, tokenizer, vocabulary
from training.decoder_filling import MOST_TOKENS, NUM_CANDIDATES, DecoderFiller
from training.ports import Filling
from training.probes import probe

CPU = torch.device("cpu")
FIM = FillInTheMiddleObjective()


@dataclass
class Says:
    """A decoder that knows what follows each token, with which probability; else a comma."""

    follows: dict[int, dict[int, float]]
    prompts: list[list[int]] = field(default_factory=list)

    def logits(self, input_ids: Tensor, *, positions: Tensor | None) -> Tensor:
        assert positions is not None
        place = int(positions[0, 0])
        if (input_ids == input_ids[0]).all():  # nothing is written yet
            self.prompts.append(input_ids[0, : place + 1].tolist())
        scores = torch.full((len(input_ids), 1, vocabulary().size), 1e-12)
        for row, last in enumerate(input_ids[:, place].tolist()):
            for id_, probability in self.follows.get(last, {END_OF_TEXT: 1.0}).items():
                scores[row, 0, id_] = probability
            scores[row, 0, token(",")] += (1 - scores[row, 0].sum()).clamp(min=0)
        return scores.log()


def fill(
    model: Says, sentence: str, *, objective: FillingObjective = FIM, context_length: int = 64
) -> Filling:
    filler = DecoderFiller(model, tokenizer(), vocabulary(), context_length, CPU, objective)
    return filler.fill(sentence)


def token(text: str) -> int:
    (id_,) = encode(text)
    return id_


def test_prompt_is_what_stands_before_a_middle_in_training() -> None:
    model = Says({FIM_MIDDLE: {token(" value"): 0.6, token(" the"): 0.3}})
    filling = fill(model, "this is the ____ of it")
    before, behind = encode("this is the"), encode(" of it")
    assert model.prompts == [[END_OF_TEXT, FIM_PREFIX, *before, FIM_SUFFIX, *behind, FIM_MIDDLE]]
    assert filling.blank == "this is the ____ of it"
    assert filling.text == "this is the value of it"
    first, second = filling.candidates[0][:2]
    assert first.text == "value"
    assert first.probability == pytest.approx(0.6, rel=1e-4)
    assert second.text == "the"
    assert second.probability == pytest.approx(0.3, rel=1e-4)


def test_decoder_that_only_learned_suffix_first_is_asked_so() -> None:
    model = Says({token(" the"): {token(" value"): 1.0}})
    objective = FillInTheMiddleObjective(suffix_first=1.0)
    assert fill(model, "of the ____ of it", objective=objective).text == "of the value of it"
    assert model.prompts == [
        [END_OF_TEXT, FIM_PREFIX, FIM_SUFFIX, *encode(" of it"), FIM_MIDDLE, *encode("of the")]
    ]


def test_probability_is_that_of_the_whole_filling_and_its_end() -> None:
    word = encode(" strings")
    model = Says({
        FIM_MIDDLE: {word[0]: 0.5, token(" value"): 0.45},
        word[0]: {word[1]: 0.8},
        word[1]: {END_OF_TEXT: 0.5},
        token(" value"): {END_OF_TEXT: 0.9},
    })  # fmt: skip
    first, second = fill(model, "the ____ of it").candidates[0][:2]
    assert first.text == "value"
    assert first.probability == pytest.approx(0.45 * 0.9, rel=1e-4)
    assert second.text == "strings"
    assert second.probability == pytest.approx(0.2, rel=1e-4)


def test_control_tokens_are_no_answer_and_what_never_ends_is_cut_off() -> None:
    the = token(" the")
    model = Says({FIM_MIDDLE: {the: 0.2, MASK: 0.7}, the: {the: 0.5, SEP: 0.45}})
    (words,) = fill(model, "is ____").candidates
    assert words[0].text == "the" + " the" * (MOST_TOKENS - 1)
    assert len(words) == NUM_CANDIDATES
    assert all(math.isfinite(word.probability) for word in words)


def test_gap_without_a_space_before_it_begins_without_one() -> None:
    model = Says({FIM_MIDDLE: {token(" value"): 0.6, token("value"): 0.3}})
    assert fill(model, "(____)").text == "(value)"


def test_of_several_gaps_the_earlier_are_filled_when_a_later_one_is_asked_for() -> None:
    the, value = token(" the"), token(" value")
    model = Says({FIM_MIDDLE: {the: 0.6}})
    assert fill(model, "of ____ is ____ it").text == "of the is the it"
    first, second = model.prompts
    assert first == [
        END_OF_TEXT, FIM_PREFIX, *encode("of"), FIM_SUFFIX, *encode(" is"), FIM_MIDDLE,
    ]  # fmt: skip
    assert second[2 : second.index(FIM_SUFFIX)] == encode("of the is")
    assert value not in second


def test_span_corruption_is_asked_as_it_was_taught() -> None:
    one, two = FIRST_SENTINEL, FIRST_SENTINEL + 1
    the, value = token(" the"), token(" value")
    model = Says({one: {the: 0.6}, two: {value: 0.6}, the: {two: 0.9}, value: {END_OF_TEXT: 0.9}})
    filling = fill(model, "of ____ is ____ it", objective=SpanCorruptionObjective())
    assert filling.text == "of the is value it"
    text = [END_OF_TEXT, *encode("of"), one, *encode(" is"), two, *encode(" it"), SEP]
    assert model.prompts == [[*text, one], [*text, one, the, two]]
    assert filling.candidates[0][0].probability == pytest.approx(0.54, rel=1e-4)


@pytest.mark.parametrize("objective", [FIM, SpanCorruptionObjective()])
def test_long_sentence_is_cut_to_the_context(objective: FillingObjective) -> None:
    model = Says({})
    fill(model, "value " * 60 + "____" + " value" * 60, objective=objective, context_length=32)
    assert max(map(len, model.prompts)) <= 32 - MOST_TOKENS


def test_probes_ask_blanks_of_a_decoder_that_was_taught_to_fill() -> None:
    spec = job_spec(
        "decoder",
        context_length=64,
        prompts=("of",),
        blanks=("the ____ of it",),
        objective=["causal", "fill_in_the_middle"],
    )
    model = Says({FIM_MIDDLE: {token(" value"): 0.6}})
    continuations, fillings = probe(
        model, spec=spec, tokenizer=tokenizer(), vocabulary=vocabulary(), device=CPU
    )
    assert [continuation.prompt for continuation in continuations] == ["of"]
    assert [filling.text for filling in fillings] == ["the value of it"]
