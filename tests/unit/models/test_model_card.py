from __future__ import annotations

import json
import re
from typing import Any

import pytest

from core.energy_estimate import estimated_kilowatt_hours
from core.mixture import MixtureComponent
from core.sizing import flops_per_token, num_parameters
from core.spec import JobSpec
from models.model_card import Sample, model_card
from tests.tiny_text import job_spec

CORPUS: dict[str, Any] = {
    "corpus": "novels | and more",
    "corpus_digest": "ab" * 32,
    "license": "CC-BY-4.0",
    "files": [{"filename": f"{k}.txt", "sha256": f"{k:064x}"} for k in range(12)],
    "splits": {"train": {"num_documents": 1200, "num_bytes": 3_400_000}},
}
PROVENANCE: dict[str, Any] = {
    "corpora": [CORPUS],
    "datasets": [{"digest": "cd" * 32, "corpus_digest": "ab" * 32}],
    "tokenizer_sha256": "ef" * 32,
}


def card(spec: JobSpec | None = None, **changes: Any) -> str:
    told: dict[str, Any] = {
        "step": 10,
        "tokens": 320,
        "was_causal": False,
        "metrics": {"validation/bits_per_byte": 1.23456, "train/loss": 2.5},
        "samples": [Sample("Once", " upon\n`a` time")],
        "provenance": PROVENANCE,
        "device": "cpu",
        "precision": "fp32",
    }
    return model_card(spec or job_spec("decoder"), **{**told, **changes})


def test_card_tells_the_data_with_digests_files_and_licence() -> None:
    text = card()
    rows = [line for line in text.splitlines() if line.startswith("| novels")]
    assert rows == [
        "| novels \\| and more | 100% | 3.4 MB, 1,200 documents | `abababababababab` | CC-BY-4.0 |"
    ]
    assert "`0.txt`, `1.txt`" in text
    assert "and 2 more" in text
    assert f"dataset `{'cd' * 32}` of corpus `{'ab' * 32}`" in text
    assert f"Tokenizer: sha256 `{'ef' * 32}`" in text


def test_corpus_without_a_licence_is_said_to_have_none() -> None:
    text = card(provenance={"corpora": [{**CORPUS, "license": None}]})
    assert "| none was given |" in text


def test_card_of_a_mixture_has_each_corpus_with_its_share() -> None:
    mixture = (
        MixtureComponent(corpus="one", weight=3, digest="00" * 32),
        MixtureComponent(corpus="two", weight=1, digest="11" * 32),
    )
    spec = job_spec("decoder").model_copy(update={"corpus": mixture})
    text = card(spec, provenance={"corpora": [CORPUS, {**CORPUS, "corpus": "laws"}]})
    assert re.findall(r"^\| (novels|laws)[^|]*(?:\\\|[^|]*)?\| (\d+%)", text, re.MULTILINE) == [
        ("novels", "75%"), ("laws", "25%"),
    ]  # fmt: skip


def test_whoever_trains_without_the_service_gets_a_card_too() -> None:
    text = card(provenance={})
    assert "| corpus\\_1 | 100% | unknown | `unknown` | none was given |" in text


def test_card_counts_operations_and_estimates_energy() -> None:
    spec = job_spec("decoder")
    flops = 10**12 * flops_per_token(spec.model)
    text = card(spec, tokens=10**12, device="cuda", precision="bf16")
    assert f"{num_parameters(spec.model):,} parameters" in text
    assert "1,000,000,000,000 tokens" in text
    assert f"{flops:.2e} floating-point operations, in bf16 on a GPU" in text
    hours = estimated_kilowatt_hours(flops, device="cuda", precision="bf16")
    assert f"about {hours:.1g} kWh, estimated" in text


def test_joule_gives_more_operations_on_what_was_made_for_them() -> None:
    def hours(device: Any, precision: Any) -> float:
        return estimated_kilowatt_hours(3.6e6, device=device, precision=precision)

    assert hours("cpu", "fp32") == pytest.approx(1e-10)
    assert hours("cuda", "bf16") < hours("cuda", "fp32") < hours("cpu", "bf16")


def test_card_warns_measures_and_quotes() -> None:
    text = card()
    assert "it rambles" in text
    assert "| `validation/bits_per_byte` | 1.235 |" in text
    (sample,) = [line for line in text.splitlines() if line.startswith('- `"Once"`')]
    assert sample.count("`") == 4


@pytest.mark.parametrize("name", ["plain", "```\n# not a heading", "`````"])
def test_everything_known_is_kept_as_json_whatever_it_holds(name: str) -> None:
    text = card(provenance={"corpora": [{**CORPUS, "corpus": name}]})
    folded = text.partition("Everything that is known about the data</summary>\n\n")[2]
    fence = re.match("`+", folded)
    assert fence is not None
    content = folded.partition("json\n")[2].partition(f"\n{fence[0]}\n")[0]
    assert json.loads(content)["corpora"][0]["corpus"] == name
