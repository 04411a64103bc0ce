from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

SPANS = {"type": "span_corruption", "rate": 0.3}
OBJECTIVES: list[Any] = [
    "span_corruption",
    SPANS,
    "fill_in_the_middle",
    ["causal", {"objective": "span_corruption", "weight": 2}, {"type": "causal", "weight": 1}],
    {"stages": [{"until": 0.5, "objective": ["causal", SPANS]}, {"objective": "causal"}]},
    {"stages": [{"until": 0.5, "objective": "masked"}, {"objective": {"type": "masked"}}]},
]


@pytest.mark.parametrize("objective", OBJECTIVES, ids=str)
def test_examples_of_every_objective_show_what_is_removed(
    client: TestClient, ready_corpus_id: str, objective: Any
) -> None:
    body = {"objective": objective, "limit": 20, "seed": 3, "context_length": 64}
    answer = client.post(f"/v1/corpora/{ready_corpus_id}/examples", json=body)
    examples = answer.json()["data"]
    assert len(examples) == 20
    for example in examples:
        pieces = example["removed"]
        assert pieces
        assert example["blanked"].count("____") >= len(pieces)
        for piece in pieces:
            assert piece["text"]
            assert example["text"][piece["start"] : piece["end"]] == piece["text"]
        assert len(example["input_tokens"]) == 64
        assert len(example["label_tokens"]) == len(example["label_positions"]) > 0


def test_examples_of_any_stage_and_any_step_can_be_seen(
    client: TestClient, ready_corpus_id: str
) -> None:
    objective = {"stages": [{"until": 0.5, "objective": "causal"}, {"objective": SPANS}]}

    def made(**wanted: int) -> Any:
        body = {"objective": objective, "context_length": 64, "limit": 2, **wanted}
        return client.post(f"/v1/corpora/{ready_corpus_id}/examples", json=body).json()

    four, later = made(limit=4)["data"], made(first=2)["data"]
    assert later == four[2:]
    assert len(made(stage=1, first=2)["data"][0]["label_tokens"]) == 64
    assert len(made(stage=2, first=2)["data"][0]["label_tokens"]) < 64
    error = made(stage=3)["error"]
    assert (error["code"], error["param"]) == ("invalid_value", "stage")


@pytest.mark.parametrize(
    ("objective", "code", "param"),
    [
        ("span_coruption", "unknown_objective", "objective"),
        (["causal", "maskd"], "unknown_objective", "objective.1"),
        (["causal", "masked"], "objectives_need_two_architectures", "objective"),
        ({"type": "span_corruption", "rate": 2}, "invalid_value", "objective.rate"),
        (None, "wrong_type", "objective"),
        ([["causal"]], "invalid_value", "objective.0"),
        ({"stages": ["causal"]}, "wrong_type", "objective.stages.0"),
        (
            {
                "stages": [
                    {"until": 0.9, "objective": "causal"},
                    {"until": 0.5, "objective": "causal"},
                ]
            },
            "invalid_value",
            "objective.stages",
        ),
        ([{"objective": "causal", "weigth": 1}], "unknown_field", "objective.0.weigth"),
    ],
)
def test_wrong_objective_is_named_by_its_place(
    client: TestClient, ready_corpus_id: str, objective: Any, code: str, param: str
) -> None:
    body = {"objective": objective}
    answer = client.post(f"/v1/corpora/{ready_corpus_id}/examples", json=body)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (422, code, param)


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"corpus": []}, "invalid_value", "corpus"),
        ({"corpus": [{"corpus": "corpus_1"}, {"corpus": "corpus_1"}]}, "invalid_value", "corpus"),
        ({"corpus": [{"corpus": "corpus_1", "weight": -1}]}, "invalid_value", "corpus.0.weight"),
        ({"corpus": [{"corpus": "corpus_1"}]}, "not_found", "corpus"),
        (
            {
                "corpus": "corpus_1",
                "budget": {"seconds": 60},
                "objective": {
                    "stages": [{"until": 0.5, "objective": "causal"}, {"objective": SPANS}]
                },
            },
            "stages_need_steps",
            "objective",
        ),
        (
            {
                "corpus": "corpus_1",
                "objective": SPANS,
                "model": {"preset": "tiny", "architecture": "encoder"},
            },
            "objective_needs_another_architecture",
            "objective",
        ),
        ({"corpus": "corpus_1", "model": None}, "wrong_type", "model"),
        ({"corpus": "corpus_1", "model": {"layers": 2}}, "invalid_value", "model.width"),
    ],
)
def test_wrong_mixture_or_objective_of_a_job_is_named(
    client: TestClient, fields: dict[str, Any], code: str, param: str
) -> None:
    error = client.post("/v1/jobs", json=fields).json()["error"]
    assert (error["code"], error["param"]) == (code, param)


def test_job_on_a_mixture_answers_its_corpora(client: TestClient, ready_corpus_id: str) -> None:
    mixture = [{"corpus": ready_corpus_id, "weight": 2.0}]
    job = client.post("/v1/jobs", json={"corpus": mixture, "model": "tiny"}).json()
    assert job["corpus"] == mixture
    assert job["spec"]["corpus"][0]["corpus"] == ready_corpus_id
    recipe = client.get(f"/v1/jobs/{job['id']}/recipe").json()
    assert recipe["corpus"] == mixture
    assert client.post("/v1/jobs", json=recipe).json()["spec"] == job["spec"]
