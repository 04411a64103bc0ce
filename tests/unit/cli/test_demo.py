import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from cli.demo import checkpoints, texts
from cli.demo.client import Client
from cli.demo.failure import DemoFailed
from cli.demo.screen import Screen
from cli.demo.training import improvement

WEIGHTS = b"weights"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def manifest(**files: str) -> bytes:
    listed = [{"name": name, "sha256": digest} for name, digest in files.items()]
    return json.dumps({"files": listed}).encode()


class CheckpointServer:
    """Answers for one checkpoint, `ckpt_1`, with whatever files it is told to have."""

    def __init__(self, files: dict[str, bytes], *, announced: dict[str, str] | None = None) -> None:
        self.files = files
        self.announced = announced or {name: sha256(content) for name, content in files.items()}

    def client(self) -> Client:
        return Client("http://service", transport=httpx.MockTransport(self.answer))

    def answer(self, request: httpx.Request) -> httpx.Response:
        base = "/v1/checkpoints/ckpt_1"
        if request.url.path == base:
            files = [
                {"name": name, "sha256": digest, "url": f"{base}/files/{name}"}
                for name, digest in self.announced.items()
            ]
            return httpx.Response(200, json={"files": files})
        if request.url.path == f"{base}/archive":
            return httpx.Response(200, content=self.archive())
        return httpx.Response(200, content=self.files[request.url.path.rpartition("/files/")[2]])

    def archive(self) -> bytes:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            for name, content in self.files.items():
                member = tarfile.TarInfo(name if name.startswith("..") else f"ckpt_1/{name}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
        return buffer.getvalue()


def whole() -> dict[str, bytes]:
    return {
        "model.safetensors": WEIGHTS,
        "manifest.json": manifest(**{"model.safetensors": sha256(WEIGHTS)}),
    }


Download = Callable[[Client, str, Path], int]
both_ways = pytest.mark.parametrize(
    "download", [checkpoints.download_archive, checkpoints.download_files]
)


@both_ways
def test_whole_checkpoint_is_accepted(download: Download, tmp_path: Path) -> None:
    assert download(CheckpointServer(whole()).client(), "ckpt_1", tmp_path / "model") == 2
    assert (tmp_path / "model" / "model.safetensors").read_bytes() == WEIGHTS


@both_ways
def test_file_with_other_bytes_than_announced_fails(download: Download, tmp_path: Path) -> None:
    announced = {name: sha256(content) for name, content in whole().items()}
    server = CheckpointServer({**whole(), "model.safetensors": b"other"}, announced=announced)

    with pytest.raises(DemoFailed, match=r"model\.safetensors has sha256 .* the API says"):
        download(server.client(), "ckpt_1", tmp_path / "model")


@both_ways
def test_manifest_with_another_digest_fails(download: Download, tmp_path: Path) -> None:
    files = {**whole(), "manifest.json": manifest(**{"model.safetensors": sha256(b"older")})}

    with pytest.raises(DemoFailed, match="the manifest differs"):
        download(CheckpointServer(files).client(), "ckpt_1", tmp_path / "model")


def test_archive_without_an_announced_file_fails(tmp_path: Path) -> None:
    announced = {name: sha256(content) for name, content in whole().items()}
    server = CheckpointServer(whole(), announced={**announced, "config.json": sha256(b"{}")})

    with pytest.raises(DemoFailed, match=r"config\.json"):
        checkpoints.download_archive(server.client(), "ckpt_1", tmp_path / "model")


def test_archive_cannot_write_outside_of_its_folder(tmp_path: Path) -> None:
    server = CheckpointServer({**whole(), "../escaped": b"!"})

    with pytest.raises(DemoFailed, match="outside"):
        checkpoints.download_archive(server.client(), "ckpt_1", tmp_path / "model")
    assert not (tmp_path / "escaped").exists()


def frame(number: int, kind: str) -> str:
    event = {"id": f"event_{number}", "type": kind}
    return f"id: event_{number}\nevent: {kind}\ndata: {json.dumps(event)}\n\n"


def test_event_stream_goes_on_where_it_broke_off() -> None:
    asked_from = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked_from.append(request.headers.get("Last-Event-ID"))
        if asked_from[-1] is None:
            return httpx.Response(200, text=": hello\n\n" + frame(1, "job.queued"))
        if asked_from[-1] == "event_1":
            return httpx.Response(200, text=frame(2, "job.succeeded"))
        return httpx.Response(204)

    client = Client("http://service", transport=httpx.MockTransport(answer))

    assert [event["type"] for event in client.events("job_1")] == ["job.queued", "job.succeeded"]
    assert asked_from == [None, "event_1", "event_2"]


def test_error_answer_is_told_with_its_message() -> None:
    error = {"error": {"message": "There is no corpus"}}
    transport = httpx.MockTransport(lambda _: httpx.Response(404, json=error))

    with pytest.raises(DemoFailed, match=r"404 .*There is no corpus"):
        Client("http://service", transport=transport).post("/v1/jobs", {})


def test_metric_measured_once_proves_no_improvement() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        del request
        return httpx.Response(200, json={"data": [{"value": 0.5}]})

    client = Client("http://service", transport=httpx.MockTransport(answer))

    with pytest.raises(DemoFailed, match="two are needed"):
        improvement(client, "job_1", "validation/masked_accuracy_top5")


def test_story_through_a_pipe_holds_no_control_codes(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen()
    screen.title("A title")
    screen.say("a [bracket] and a ____ gap")
    screen.good("[bold]value")
    with screen.bar("training") as bar:
        bar.update(0.5, "step 1")
        bar.update(1.0, "step 2")

    shown = capsys.readouterr().out

    assert "\x1b" not in shown
    assert "a [bracket] and a ____ gap" in shown
    assert "[bold]value" in shown
    assert "training: 100%  step 2" in shown


@pytest.mark.slow
@pytest.mark.exhaustive  # the demonstration itself, in tests/e2e, needs all of it
def test_every_machine_has_enough_text(tmp_path: Path) -> None:
    def keep(path: Path) -> list[dict[str, Any]]:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        return [json.loads(line) for line in content.splitlines()]

    seen: list[float] = []
    topics, plain, compressed = texts.write_texts(tmp_path / "texts", progress=seen.append)

    records = [record["text"] for path in (plain, compressed) for record in keep(path)]
    assert topics.stat().st_size > 300_000
    assert sum(map(len, records)) > 1_000_000
    assert len(set(records)) == len(records)
    assert seen[-1] == 1.0
