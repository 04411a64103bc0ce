from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from core.errors import InvalidRequest
from core.job_request import JobRequest
from core.presets import PRESETS
from core.resolve import CorpusFacts, Resolved, check, resolve
from core.sizing import num_parameters
from core.spec import JobSpec


def parse(**fields: Any) -> JobRequest:
    return JobRequest.model_validate_json(json.dumps({"corpus": "corpus_1", **fields}))


def resolved(request: JobRequest, *, train_tokens: int = 10**9) -> JobSpec:
    return with_facts(request, train_tokens=train_tokens).spec


def with_facts(request: JobRequest, *, train_tokens: int = 10**9) -> Resolved:
    corpora = [CorpusFacts(id_, "d" * 64, train_tokens) for id_ in request.corpus_shares]
    return resolve(request, corpora=corpora, tokenizer_id="tokenizer_1", vocab_size=8192)


def test_only_the_corpus_is_required() -> None:
    spec = resolved(parse())
    assert spec.model.layers == PRESETS["decoder"]["small"].layers
    assert spec.objective.type == "causal"
    assert spec.seed == 0
    assert spec.budget.tokens == 12 * num_parameters(spec.model)
    assert spec.budget.epochs == 4


def test_a_preset_with_the_masked_objective_is_the_encoder_of_that_size() -> None:
    model = resolved(parse(model="tiny", objective="masked")).model
    assert (model.architecture, model.heads) == ("encoder", 2)


def test_a_preset_takes_changes() -> None:
    model = resolved(parse(model={"preset": "tiny", "layers": 2, "heads": 2})).model
    assert (model.layers, model.width, model.heads, model.kv_heads) == (2, 128, 2, 2)


def test_a_shape_of_ones_own_gets_a_width_for_its_feed_forward_layers() -> None:
    model = resolved(parse(model={"layers": 3, "width": 384, "heads": 3})).model
    assert (model.ffn_width, model.context_length, model.kv_heads) == (1024, 512, 3)


def test_a_small_corpus_gets_a_smaller_batch_rather_than_a_handful_of_steps() -> None:
    large = resolved(parse(model="tiny"))
    small = resolved(parse(model="tiny"), train_tokens=300_000)
    assert large.batch_tokens == PRESETS["decoder"]["tiny"].batch_tokens
    assert small.batch_tokens < large.batch_tokens
    assert small.sequences_per_step in {1, 2, 4, 8, 16, 32}


def test_devices_share_a_step_evenly_and_it_stays_as_large_as_it_was() -> None:
    usual = resolved(parse(model="tiny"))
    for devices in (1, 2, 3, 7, 64):
        spec = resolved(parse(model="tiny", resources={"devices": devices}))
        assert spec.sequences_per_step % devices == 0
        assert spec.batch_tokens >= usual.batch_tokens
        assert spec.sequences_per_step < usual.sequences_per_step + devices


def test_a_short_job_does_not_spend_its_time_on_evaluations() -> None:
    short = resolved(parse(model="small", budget={"steps": 3}))
    long = resolved(parse(model="small"))
    assert long.evaluation.max_tokens > 10 * short.evaluation.max_tokens


def test_the_same_request_always_gives_the_same_spec() -> None:
    request = parse(model="tiny", objective="masked", budget={"tokens": "2M"})
    assert resolved(request) == resolved(request)


def test_a_spec_survives_its_way_through_json() -> None:
    spec = resolved(parse(objective="masked", evaluation={"blanks": ["a ____"]}))
    assert JobSpec.model_validate_json(spec.model_dump_json()) == spec


def test_what_a_model_cannot_do_is_left_out_and_said() -> None:
    request = parse(objective="masked", evaluation={"prompts": ["Once"], "blanks": ["a ____"]})
    result = with_facts(request)
    assert result.spec.evaluation.prompts == ()
    assert result.spec.evaluation.blanks == ("a ____",)
    assert "evaluation.prompts" in result.warnings[0]


TAUGHT_LAST = {"stages": [{"until": 0.5, "objective": "causal"}, {"objective": "span_corruption"}]}
FORGOTTEN = {"stages": [{"until": 0.5, "objective": "fill_in_the_middle"}, {"objective": "causal"}]}


@pytest.mark.parametrize(
    ("objective", "fills"),
    [
        ("causal", False),
        ("fill_in_the_middle", True),
        ("span_corruption", True),
        (["causal", "fill_in_the_middle"], True),
        (TAUGHT_LAST, True),
        (FORGOTTEN, False),
    ],
)
def test_blanks_are_asked_of_a_decoder_that_learns_to_fill_them(
    *, objective: object, fills: bool
) -> None:
    request = parse(objective=objective, evaluation={"blanks": ["a [MASK]"]}, budget={"steps": 9})
    result = with_facts(request)
    assert result.spec.evaluation.blanks == (("a [MASK]",) if fills else ())
    assert [warning.partition(":")[0] for warning in result.warnings] == (
        [] if fills else ["evaluation.blanks"]
    )


_STAGE_0 = ("objective", "stages", "stages", 0, "objective")


@pytest.mark.parametrize(
    ("fields", "location"),
    [
        ({"model": "tinny"}, ("model", "preset")),
        ({"model": {"widht": 5}}, ("model", "widht")),
        ({"model": {"layers": 2}}, ("model",)),
        ({"objective": "maskd"}, ("objective",)),
        ({"objective": ["causal", "maskd"]}, ("objective", "mix", "parts", 1, "objective")),
        ({"objective": []}, ("objective", "mix")),
        ({"objective": {"stages": []}}, ("objective", "stages")),
        (
            {"objective": [{"objective": "causal", "weight": 0}]},
            ("objective", "mix", "parts", 0, "weight"),
        ),
        ({"objective": {"stages": [{"until": 0.5}]}}, _STAGE_0),
        ({"objective": ["causal", "masked"]}, ("objective", "mix")),
        (
            {"objective": {"stages": [{"until": 0.5, "objective": "causal"}]}},
            ("objective", "stages"),
        ),
        ({"objective": {"type": "masked", "rate": 2}}, ("objective", "masked", "rate")),
        ({"budget": {}}, ("budget",)),
        ({"budget": {"tokens": 0}}, ("budget", "tokens")),
        ({"budget": {"tokens": "many"}}, ("budget", "tokens")),
        ({"seed": True}, ("seed",)),
        ({"seed": -1}, ("seed",)),
        ({"modle": "tiny"}, ("modle",)),
        ({"metadata": {"k": 1}}, ("metadata", "k")),
        ({"name": "a:b"}, ("name",)),
        ({"tokenizer": {"id": "tokenizer_1", "vocab_size": 4096}}, ("tokenizer",)),
    ],
)
def test_a_wrong_field_is_named(fields: dict[str, Any], location: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError) as caught:
        parse(**fields)
    assert [error["loc"] for error in caught.value.errors()] == [location]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": {"layers": 2, "width": 100, "heads": 3}}, "model.heads"),
        ({"model": {"layers": 2, "width": 96, "heads": 4, "kv_heads": 3}}, "model.kv_heads"),
        ({"model": {"preset": "medium"}, "objective": "masked"}, "model.preset"),
        ({"model": {"preset": "tiny", "architecture": "encoder"}}, "objective"),
        ({"model": "tiny", "batch_tokens": 100}, "batch_tokens"),
        ({"model": "tiny", "batch_tokens": 1024, "resources": {"devices": 3}}, "batch_tokens"),
    ],
)
def test_parts_that_do_not_fit_together_are_named_before_any_corpus_is_ready(
    fields: dict[str, Any], param: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check(parse(**fields))
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("span_corruption", {"type": "span_corruption"}),
        (
            ["causal", {"type": "span_corruption", "rate": 0.3, "weight": 2}],
            {
                "type": "mix",
                "parts": [
                    {"objective": {"type": "causal"}, "weight": 1.0},
                    {"objective": {"type": "span_corruption", "rate": 0.3}, "weight": 2.0},
                ],
            },
        ),
        (
            {
                "stages": [
                    {"until": 0.5, "objective": "causal"},
                    {"objective": ["causal", "fill_in_the_middle"]},
                ]
            },
            {
                "type": "stages",
                "stages": [
                    {"until": 0.5, "objective": {"type": "causal"}},
                    {
                        "until": 1.0,
                        "objective": {
                            "type": "mix",
                            "parts": [
                                {"objective": {"type": "causal"}},
                                {"objective": {"type": "fill_in_the_middle"}},
                            ],
                        },
                    },
                ],
            },
        ),
    ],
)
def test_objectives_may_be_written_shortly(short: Any, long: Any) -> None:
    assert parse(objective=short).objective == parse(objective=long).objective


def test_mix_and_stages_survive_their_way_through_json() -> None:
    mix = ["causal", {"objective": "fill_in_the_middle", "weight": 0.5}]
    spec = resolved(
        parse(objective={"stages": [{"until": 0.1, "objective": "causal"}, {"objective": mix}]})
    )
    assert JobSpec.model_validate_json(spec.model_dump_json()) == spec
    assert spec.objective.label == (
        "causal until 10%, then 67% causal + 33% fill_in_the_middle (50%) until 100%"
    )


def test_every_objective_has_the_architecture_that_can_learn_it() -> None:
    wanted = {
        "causal": "decoder",
        "masked": "encoder",
        "span_corruption": "decoder",
        "fill_in_the_middle": "decoder",
    }
    for name, architecture in wanted.items():
        for objective in (name, [name], {"stages": [{"objective": name}]}):
            request = parse(model="tiny", objective=objective)
            assert request.architecture == resolved(request).model.architecture == architecture


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        (
            {
                "model": {"preset": "tiny", "architecture": "encoder"},
                "objective": "span_corruption",
            },
            "objective_needs_another_architecture",
        ),
        (
            {
                "objective": {
                    "stages": [{"until": 0.5, "objective": "causal"}, {"objective": "causal"}]
                },
                "budget": {"seconds": 60},
            },
            "stages_need_steps",
        ),
    ],
)
def test_objective_that_a_job_cannot_carry_out_has_a_code_of_its_own(
    fields: dict[str, Any], code: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check(parse(**fields))
    assert (caught.value.error_code, caught.value.param) == (code, "objective")


def in_stages(*objectives: Any) -> dict[str, Any]:
    ends = [(number + 1) / len(objectives) for number in range(len(objectives))]
    stages = zip(ends, objectives, strict=True)
    return {"stages": [{"until": end, "objective": objective} for end, objective in stages]}


@pytest.mark.parametrize("first", ["causal", ["causal", {"type": "causal", "document_mask": True}]])
def test_an_encoder_may_begin_with_causal(first: Any) -> None:
    spec = resolved(parse(model="tiny", objective=in_stages(first, "masked")))
    assert (spec.model.architecture, spec.model.heads) == ("encoder", 2)
    assert JobSpec.model_validate_json(spec.model_dump_json()) == spec


@pytest.mark.parametrize(
    ("objective", "reason"),
    [
        (["causal", "masked"], "in stages, an encoder may begin with causal"),
        (in_stages("masked", "causal"), "Stage 1, 'masked (30%)', trains an encoder"),
        (in_stages("span_corruption", "masked"), "Stage 1, 'span_corruption (15%)', trains a deco"),
        (in_stages("causal", ["causal", "fill_in_the_middle"], "masked"), "Stage 2, '50% causal"),
    ],
)
def test_objectives_that_no_one_model_can_be_trained_on_are_refused(
    objective: Any, reason: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        parse(objective=objective)
    (error,) = caught.value.errors()
    assert error["type"] == "objectives_need_two_architectures"
    assert reason in error["msg"]


@pytest.mark.parametrize(
    ("objective", "reason"),
    [
        (5, "An objective is a name (causal, masked, span_corruption, fill_in_the_middle), an obj"),
        (None, "An objective is a name"),
        ([["causal"]], "A mix is made of causal, masked"),
        ([{"objective": in_stages("causal")}], "A mix is made of causal, masked"),
        ([3], "An objective is a name"),
        ({"stages": ["causal"]}, 'A stage is an object: {"until": 0.5, "objective": "causal"}'),
        (in_stages(in_stages("causal")), "A stage has one objective or a mix"),
        ({"stages": [{"objective": "causal"}] * 2}, "stage 2 ends at 1, the one before it at 1"),
        ({"stages": [{"until": 0.5, "objective": "causal"}]}, "leave out its `until`"),
    ],
)
def test_what_is_no_objective_is_told_what_one_is(objective: Any, reason: str) -> None:
    with pytest.raises(ValidationError) as caught:
        parse(objective=objective)
    assert reason in caught.value.errors()[0]["msg"]


def test_a_stage_without_a_step_is_refused_once_the_steps_are_known() -> None:
    late = {"stages": [{"until": 0.99, "objective": "causal"}, {"objective": "masked"}]}
    tiny = {"model": "tiny", "batch_tokens": 256, "objective": late}
    for budget, train_tokens in (({"steps": 10}, 10**9), ({"epochs": 1}, 2560)):
        request = parse(**tiny, budget=budget)
        check(request)  # how much text there is may not be known yet
        with pytest.raises(
            InvalidRequest, match=r"Stage 2 \(masked .* budget is of 10\."
        ) as caught:
            resolved(request, train_tokens=train_tokens)
        assert caught.value.error_code == "stage_without_steps"
        assert caught.value.param == "objective.stages.1.until"
    resolved(parse(**tiny, budget={"steps": 100}))


def test_a_model_that_is_none_is_told_what_one_is() -> None:
    for model, reason in (
        (7, "A model is the name of a preset (tiny, small"),
        ([], "A model is the name of a preset (tiny, small"),
        ({"layers": 2, "width": 64}, "heads: a model without a preset needs"),
    ):
        with pytest.raises(ValidationError) as caught:
            parse(model=model)
        assert reason in caught.value.errors()[0]["msg"]


def test_an_encoder_whose_last_stage_is_causal_is_told_what_trains_one() -> None:
    with pytest.raises(InvalidRequest, match="an encoder is trained by masked, before whose"):
        check(parse(model={"preset": "tiny", "architecture": "encoder"}, objective="causal"))


def test_how_much_held_out_text_is_read_may_be_asked_for() -> None:
    by_rule = resolved(parse(model="tiny")).evaluation.max_tokens
    asked = resolved(parse(model="tiny", evaluation={"max_tokens": "20k"})).evaluation
    assert asked.max_tokens == 20_000
    assert by_rule > 20_000


MIXTURE = [{"corpus": "corpus_1", "weight": 1}, {"corpus": "corpus_2", "weight": 3}]


def test_a_mixture_is_settled_with_the_digest_of_each_corpus() -> None:
    spec = resolved(parse(corpus=MIXTURE))
    assert JobSpec.model_validate_json(spec.model_dump_json()) == spec
    assert spec.corpus_shares == {"corpus_1": 0.25, "corpus_2": 0.75}
    assert not isinstance(spec.corpus, str)
    assert [part.digest for part in spec.corpus] == ["d" * 64] * 2


def test_one_tokenizer_encodes_a_mixture_and_the_job_says_which() -> None:
    request = parse(corpus=MIXTURE)
    assert request.main_corpus == "corpus_2"
    assert "corpus_2" in with_facts(request).warnings[0]
    assert with_facts(parse(corpus=MIXTURE, tokenizer="tokenizer_1")).warnings == ()


def test_a_corpus_that_comes_round_too_often_is_said() -> None:
    request = parse(
        corpus=[{"corpus": "small", "weight": 9}, {"corpus": "large", "weight": 1}],
        tokenizer="tokenizer_1",
        model="tiny",
        budget={"tokens": 10_000_000},
    )
    facts = [CorpusFacts("small", "d", 10**6), CorpusFacts("large", "d", 10**9)]
    (warning,) = resolve(request, corpora=facts, tokenizer_id="t", vocab_size=4096).warnings
    assert warning.startswith("corpus: small is read 9.0 times")


@pytest.mark.parametrize(
    ("corpus", "location"),
    [
        (1, ("corpus", "id")),
        ([], ("corpus", "mixture")),
        ([*MIXTURE, *MIXTURE], ("corpus", "mixture")),
        ([{"corpus": "corpus_1", "weight": 0}], ("corpus", "mixture", 0, "weight")),
        ([{"weight": 1}], ("corpus", "mixture", 0, "corpus")),
    ],
)
def test_a_wrong_corpus_is_named(corpus: Any, location: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError) as caught:
        parse(corpus=corpus)
    assert [error["loc"] for error in caught.value.errors()] == [location]


@pytest.mark.parametrize(
    ("budget", "warmup"),
    [("1B", 0.0174), ("20M", 0.1)],
)
def test_the_warm_up_is_as_many_tokens_as_parameters_but_a_tenth_at_most(
    budget: str, warmup: float
) -> None:
    spec = resolved(parse(model="small", budget={"tokens": budget}))
    assert spec.schedule.warmup == pytest.approx(warmup, abs=5e-4)


def test_a_job_that_only_the_clock_ends_warms_up_for_a_fixed_share() -> None:
    assert resolved(parse(budget={"seconds": 60.0})).schedule.warmup == 0.02


def test_a_small_batch_looks_back_over_more_steps() -> None:
    small, large = (resolved(parse(batch_tokens=tokens)) for tokens in ("16384", "524288"))
    assert (small.optimizer.beta2, large.optimizer.beta2) == (0.99, 0.95)


def test_adamw_alone_gets_a_lower_rate_than_muon() -> None:
    rates = [
        resolved(parse(model="base", optimizer={"name": name})).optimizer.learning_rate
        for name in ("muon", "adamw")
    ]
    assert rates == [pytest.approx(0.00234, rel=0.01), pytest.approx(0.000364, rel=0.01)]


def test_what_is_given_of_optimizer_and_schedule_is_kept() -> None:
    spec = resolved(
        parse(
            optimizer={"learning_rate": 0.5, "beta2": 0.0, "cautious_decay": False},
            schedule={"warmup": 0.0},
        )
    )
    assert (spec.optimizer.learning_rate, spec.optimizer.beta2) == (0.5, 0.0)
    assert not spec.optimizer.cautious_decay
    assert spec.schedule.warmup == 0.0


def test_a_spec_from_before_cautious_decay_means_what_it_meant() -> None:
    fields = resolved(parse()).model_dump(mode="json")
    assert fields["optimizer"].pop("cautious_decay") is True
    old = JobSpec.model_validate_json(json.dumps(fields))
    assert not old.optimizer.cautious_decay
    assert old.model_dump(mode="json") == fields
