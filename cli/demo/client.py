"""The service as its users see it: requests and answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Self

import httpx

from cli.demo.failure import DemoFailed

_TIMEOUT: Final = httpx.Timeout(60.0)
_MOST_RECONNECTIONS: Final = 20


class Client:
    """One connection to the service; errors carry the service's own message."""

    def __init__(self, base_url: str, *, transport: httpx.BaseTransport | None = None) -> None:
        """``transport`` stands in for the network where there is none."""
        self._http = httpx.Client(
            base_url=base_url, timeout=_TIMEOUT, trust_env=False, transport=transport
        )

    def __enter__(self) -> Self:
        """Nothing is opened before the first request."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection."""
        self._http.close()

    def get(self, path: str, **query: str | int) -> Any:  # noqa: ANN401 - whatever the JSON holds
        """GET a JSON answer."""
        return _checked(self._http.get(path, params=query)).json()

    def post(self, path: str, body: Any) -> Any:  # noqa: ANN401 - JSON in, JSON out
        """POST a JSON body."""
        return _checked(self._http.post(path, json=body)).json()

    def upload(self, path: Path) -> Any:  # noqa: ANN401 - JSON out
        """Upload a file; the answer is its object."""
        with path.open("rb") as content:
            answer = self._http.post(
                "/v1/files", data={"purpose": "pretrain"}, files={"file": (path.name, content)}
            )
        return _checked(answer).json()

    def download(self, path: str, target: Path) -> None:
        """Save an answer's bytes."""
        target.parent.mkdir(parents=True, exist_ok=True)
        with self._http.stream("GET", path) as answer, target.open("wb") as file:
            if answer.is_error:
                answer.read()
            _checked(answer)
            for chunk in answer.iter_bytes():
                file.write(chunk)

    def events(self, job_id: str) -> Iterator[dict[str, Any]]:
        """A job's events as they happen, each once, up to its last."""
        last_id: str | None = None
        for _ in range(_MOST_RECONNECTIONS):
            headers = {"Accept": "text/event-stream"}
            if last_id is not None:
                headers["Last-Event-ID"] = last_id
            try:
                with self._http.stream(
                    "GET", f"/v1/jobs/{job_id}/events", headers=headers
                ) as answer:
                    if answer.status_code == httpx.codes.NO_CONTENT:
                        return
                    if answer.is_error:
                        answer.read()
                    _checked(answer)
                    for event in _parsed(answer.iter_lines()):
                        last_id = event["id"]
                        yield event
            except httpx.TransportError:
                continue  # the stream goes on from `Last-Event-ID`
        raise DemoFailed(f"The event stream of {job_id} broke off again and again.")


def _parsed(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """Server-sent events: ``data:`` lines up to an empty one; ``:`` begins a comment."""
    data: list[str] = []
    for line in lines:
        if line.startswith("data:"):
            data.append(line.removeprefix("data:").removeprefix(" "))
        elif not line and data:
            yield json.loads("\n".join(data))
            data = []


def _checked(answer: httpx.Response) -> httpx.Response:
    if answer.is_error:
        request = answer.request
        raise DemoFailed(
            f"{request.method} {request.url.path}: {answer.status_code} {answer.text[:2000]}"
        )
    return answer
