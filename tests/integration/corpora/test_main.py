"""``python -m corpora``, and the way from text to a model that docs/training.md shows."""

import json
import re
from pathlib import Path
from pydoc_data.topics import topics

import pytest

from core.lifecycle import ExitCode
from corpora.__main__ import main as make_dataset
from corpora.shards import open_dataset
from training.command import main as train
from training.ports import NeverStop

PAGE = Path(__file__).parents[3] / "docs" / "training.md"


@pytest.fixture
def text(tmp_path: Path) -> Path:
    file = tmp_path / "text.txt"
    file.write_text("\n\n".join(topics.values()))
    return file


@pytest.mark.slow
def test_text_becomes_a_model_by_the_two_commands_and_the_spec_of_the_documentation(
    text: Path, tmp_path: Path
) -> None:
    (documented,) = re.findall(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL)
    spec = json.loads(documented)
    spec["budget"] = {"steps": 1}
    spec["model"]["context_length"] = spec["batch_tokens"] = 32
    spec["evaluation"]["max_tokens"] = 32
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    size = spec["model"]["vocab_size"]
    data, out = tmp_path / "data", tmp_path / "model"
    made = make_dataset([str(text), "--out", str(data), "--vocab-size", str(size)])
    assert made is ExitCode.DONE
    given = [tmp_path / "spec.json", "--dataset", data / "dataset", "--out", out]
    assert train([str(one) for one in given], stop=NeverStop()) is ExitCode.DONE
    assert list(out.glob("step-*/model.safetensors"))


def test_the_dataset_is_whole_and_nothing_of_its_making_stays(text: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    assert make_dataset([str(text), "--out", str(data)]) is ExitCode.DONE
    assert open_dataset(data / "dataset").manifest.splits["train"].num_tokens > 10_000
    assert sorted(path.name for path in data.iterdir()) == ["corpus", "dataset"]


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["missing.txt"], ExitCode.BAD_DATA, "missing.txt: No such file or directory"),
        (["few.txt"], ExitCode.BAD_DATA, "no document is left of 1 records"),
        (["text.txt", "--vocab-size", "99"], ExitCode.BAD_SPEC, "vocab_size 99 is too small"),
        (["text.txt", "--out", "."], ExitCode.BAD_SPEC, ". is not empty"),
    ],
)
def test_what_cannot_be_made_is_told_in_a_line_and_leaves_nothing(
    arguments: list[str],
    code: ExitCode,
    told: str,
    *,
    text: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(text.parent)
    Path("few.txt").write_text("")
    assert make_dataset(["--out", "data", *arguments]) is code
    assert told in capsys.readouterr().err.splitlines()[-1]
    assert not Path("data").exists() or not list(Path("data").iterdir())
