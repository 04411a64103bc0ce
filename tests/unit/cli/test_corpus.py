from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import pytest

from cli.corpus import files_below, make_corpus
from core.errors import InvalidRequest, Unavailable

URL = "http://service.test"
READY = {
    "id": "corpus_1",
    "status": "ready",
    "progress": 1.0,
    "stage": None,
    "stats": {"num_documents": 2, "num_bytes": 10, "num_duplicates": 0, "dropped": {}},
}


class FakeService(httpx.MockTransport):
    """Answers as the API does, and keeps what it was sent."""

    def __init__(self, corpus: dict[str, Any]) -> None:
        super().__init__(self._answer)
        self.files: dict[str, bytes] = {}
        self.request: dict[str, Any] = {}
        self._corpus = corpus

    def _answer(self, request: httpx.Request) -> httpx.Response:
        body = request.read()
        if request.method == "PUT":
            name = unquote(request.url.raw_path.decode()).removeprefix("/v1/files/")
            assert request.headers["x-sha256"] == hashlib.sha256(body).hexdigest()
            assert request.headers["content-length"] == str(len(body))
            self.files[name] = body
            return httpx.Response(201, json={"id": f"file_{len(self.files)}"})
        self.request = json.loads(body)
        return httpx.Response(202, json=self._corpus)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "texts"
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / ".git").mkdir()
    (folder / "b 100%?.txt").write_bytes(b"second")
    (folder / "deep" / "er" / "a.md").write_bytes(b"third")
    (folder / "empty.txt").touch()
    (folder / ".hidden").write_bytes(b"no")
    (folder / ".git" / "config").write_bytes(b"no")
    (folder / "link.txt").symlink_to(folder / "b 100%?.txt")
    return folder


def test_every_file_below_is_sent_as_it_is_with_its_digest(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    service = FakeService(READY)
    status = make_corpus([folder], url=URL, options={"clean": "web"}, transport=service)
    assert status == 0
    assert service.files == {"b 100%?.txt": b"second", "a.md": b"third"}
    assert service.request == {"files": ["file_1", "file_2"], "clean": "web"}
    assert f"{URL}/v1/corpora/corpus_1/report" in capsys.readouterr().out


def test_hidden_files_and_links_stay_where_they_are(folder: Path) -> None:
    assert [path.name for path in files_below([folder])] == ["b 100%?.txt", "a.md", "empty.txt"]


def test_a_corpus_that_failed_ends_with_its_message(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    failed = {**READY, "status": "failed", "error": {"message": "no document is left"}}
    assert make_corpus([folder], url=URL, options={}, transport=FakeService(failed)) == 1
    assert "no document is left" in capsys.readouterr().out


def test_what_the_service_refuses_is_said_in_its_own_words(folder: Path) -> None:
    refusal = {"error": {"message": "clean.profile: did you mean 'web'?"}}
    transport = httpx.MockTransport(lambda _: httpx.Response(422, json=refusal))
    with pytest.raises(InvalidRequest, match="did you mean 'web'"):
        make_corpus([folder], url=URL, options={}, transport=transport)


def test_a_service_that_is_not_there_is_named(folder: Path) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    with pytest.raises(Unavailable, match=URL):
        make_corpus([folder], url=URL, options={}, transport=httpx.MockTransport(refuse))


def test_nothing_to_send_is_told_before_anything_is_sent(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="nowhere"):
        make_corpus([tmp_path / "nowhere"], url=URL, options={})
    with pytest.raises(InvalidRequest, match="no file"):
        make_corpus([tmp_path], url=URL, options={})
