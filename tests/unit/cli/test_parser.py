from pathlib import Path

import pytest

from cli.main import main
from cli.parser import make_parser


@pytest.mark.parametrize("command", ["demo", "up", "corpus", "migrate", "api", "worker", "version"])
def test_help_lists_every_command(command: str) -> None:
    assert f"\n    {command} " in make_parser().format_help()


def test_options_that_were_not_given_stay_open_for_the_environment() -> None:
    options = make_parser().parse_args(["up", "--port", "0"])

    assert (options.port, options.host, options.data_dir) == (0, None, None)


def test_worker_takes_several_queues() -> None:
    options = make_parser().parse_args(["worker", "--queues", "corpus,train"])

    assert options.queues == ["corpus", "train"]


def test_unknown_queue_is_named_with_the_nearest_known_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        make_parser().parse_args(["worker", "--queues", "trian"])

    assert "Did you mean 'train'?" in capsys.readouterr().err


def test_wrong_setting_is_named_as_its_variable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("PRETRAINER_PORT", "high")

    assert main(["up", "--data-dir", str(tmp_path)]) == 2
    assert "PRETRAINER_PORT" in capsys.readouterr().err


def test_worker_without_a_broker_says_what_to_set(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("PRETRAINER_BROKER_URL", raising=False)

    assert main(["worker", "--queues", "train"]) == 2
    assert "PRETRAINER_BROKER_URL" in capsys.readouterr().err


def test_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version"]) == 0
    assert capsys.readouterr().out.startswith("pretrainer ")
