"""`pretrainer corpus`: a folder of this machine becomes a corpus of a running service.

It does what any program can do over HTTP: each file is uploaded as it is, with its digest, and one
request makes the corpus. The service takes the files apart, whatever their formats.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import httpx

from cli.demo.screen import Screen
from core.errors import InvalidRequest, Unavailable

_TIMEOUT: Final = httpx.Timeout(60.0, read=600.0)
"""A large file is answered when it is whole on disk."""
_POLL_SECONDS: Final = 0.5


def make_corpus(
    paths: Sequence[Path],
    *,
    url: str,
    options: dict[str, Any],
    transport: httpx.BaseTransport | None = None,
) -> int:
    """Upload files and whole folders and make one corpus of them; returns the exit status.

    Args:
        paths: Files, and folders of any depth. Hidden files and links are left out.
        url: Of the service.
        options: What the corpus's request holds besides its files.
        transport: Stands in for the network where there is none.

    Raises:
        InvalidRequest: there is no such path, no file in it, or the service refuses something.
        Unavailable: the service cannot be reached.
    """
    screen = Screen()
    files = list(files_below(paths))
    if not files:
        raise InvalidRequest(f"There is no file in {', '.join(map(str, paths))}.")
    with httpx.Client(
        base_url=url, timeout=_TIMEOUT, trust_env=False, transport=transport
    ) as service:
        try:
            file_ids = _upload(service, files, screen=screen)
            corpus = _checked(service.post("/v1/corpora", json={"files": file_ids, **options}))
            corpus = _wait(service, corpus, screen=screen)
        except httpx.TransportError as error:
            raise Unavailable(f"No service answers at {url}: {error}") from error
    return _tell(corpus, url=url, screen=screen)


def files_below(paths: Iterable[Path]) -> Iterator[Path]:
    """The regular files among and below ``paths``, in the order of their names.

    Raises:
        InvalidRequest: there is no such path.
    """
    for path in paths:
        if path.is_dir():
            yield from (
                found
                for found in sorted(path.rglob("*"))
                if not found.is_symlink()
                and found.is_file()
                and not any(part.startswith(".") for part in found.relative_to(path).parts)
            )
        elif path.is_file():
            yield path
        else:
            raise InvalidRequest(f"There is no file or folder {str(path)!r}.")


def _upload(service: httpx.Client, files: Sequence[Path], *, screen: Screen) -> list[str]:
    total = sum(path.stat().st_size for path in files)
    file_ids, num_sent = [], 0
    with screen.bar(f"uploading {len(files):,} files") as bar:
        for path in files:
            if not path.stat().st_size:
                continue  # holds no text, and the service takes no empty file
            with path.open("rb") as content:
                digest = hashlib.file_digest(content, "sha256").hexdigest()
                content.seek(0)
                answer = service.put(
                    f"/v1/files/{quote(path.name)}",
                    content=content,
                    headers={"x-sha256": digest},
                )
            file_ids.append(_checked(answer)["id"])
            num_sent += path.stat().st_size
            bar.update(num_sent / total, f"{num_sent / 1e6:,.1f} of {total / 1e6:,.1f} MB")
    return file_ids


def _wait(service: httpx.Client, corpus: Any, *, screen: Screen) -> Any:  # noqa: ANN401 - JSON
    with screen.bar("making the corpus") as bar:
        while corpus["status"] in {"queued", "processing"}:
            bar.update(corpus["progress"], corpus["stage"] or "")
            time.sleep(_POLL_SECONDS)
            corpus = _checked(service.get(f"/v1/corpora/{corpus['id']}"))
        bar.update(1.0)
    return corpus


def _tell(corpus: Any, *, url: str, screen: Screen) -> int:  # noqa: ANN401 - JSON
    if corpus["status"] != "ready":
        screen.bad(f"{corpus['id']}: {corpus['error']['message']}")
        return 1
    stats = corpus["stats"]
    screen.numbers({
        "corpus": corpus["id"],
        "documents": f"{stats['num_documents']:,} with {stats['num_bytes'] / 1e6:,.2f} MB",
        "duplicates": f"{stats['num_duplicates']:,}",
        "dropped": f"{sum(stats['dropped'].values()):,}",
        "report": f"{url}/v1/corpora/{corpus['id']}/report",
    })  # fmt: skip
    return 0


def _checked(answer: httpx.Response) -> Any:  # noqa: ANN401 - JSON
    if answer.is_success:
        return answer.json()
    try:
        message = answer.json()["error"]["message"]
    except (ValueError, KeyError, TypeError):
        message = answer.text[:500]
    raise InvalidRequest(f"{answer.request.url.path}: {answer.status_code} {message}")
