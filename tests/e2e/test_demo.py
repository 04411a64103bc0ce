import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.exhaustive
@pytest.mark.timeout(900)
def test_demonstration_proves_that_both_models_learned(tmp_path: Path) -> None:
    directory = tmp_path / "demo"

    ended = subprocess.run(
        [sys.executable, "-m", "cli", "demo", "--directory", directory],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "\x1b" not in ended.stdout
    assert (directory / "encoder" / "model.safetensors").is_file()
    assert (directory / "decoder" / "model.safetensors").is_file()
    assert (directory / "encoder-loss.svg").read_text().lstrip().startswith("<")
