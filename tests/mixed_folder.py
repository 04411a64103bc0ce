"""A folder as users have it: real text of this machine, in every format and compression.

Every Python installation has the sources of the standard library, its reference topics and a
generator of HTML; a Debian system adds changelogs, licences and manuals as their packages ship
them. The WARC is written by warcio and the Parquet file by DuckDB: by other makers than the
libraries that the readers use.
"""

from __future__ import annotations

import csv
import gzip
import importlib
import inspect
import io
import json
import lzma
import pydoc
import shutil
import tarfile
import zipfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any, Final

import duckdb
import zstandard
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

DEBIAN: Final = Path("/usr/share/doc")
_MODULES: Final = """abc argparse ast base64 bisect bz2 calendar codecs collections configparser
contextlib copy csv dataclasses datetime decimal difflib email enum fractions functools glob gzip
hashlib heapq html http inspect io json locale logging lzma mailbox mimetypes netrc numbers operator
optparse os pathlib pickle platform plistlib pprint queue quopri random re sched secrets selectors
shelve shlex shutil socket ssl statistics string struct subprocess tarfile tempfile textwrap
threading timeit token trace traceback types unittest urllib.parse uuid warnings weakref
webbrowser xml.dom xml.sax zipfile""".split()  # noqa: SIM905 - ninety quotation marks less
_MOST_DEBIAN_FILES: Final = 60
_LARGEST_DEBIAN_FILE: Final = 200_000
_WARC_TIME: Final = "2024-01-01T00:00:00Z"


def write_mixed_folder(folder: Path) -> list[Path]:
    """Fill ``folder`` with about five megabytes of text; answers its files, sorted."""
    folder.mkdir(parents=True)
    sources = {name: inspect.getsource(importlib.import_module(name)) for name in _MODULES}
    pages = {name: _page_of(name) for name in _MODULES[::4]}
    names = iter(sources)
    _write_topics(folder / "topics.jsonl.zst")
    _write_tar(folder / "sources.tar.xz", {name: sources[name] for name in islice(names, 25)})
    _write_zip(folder / "more sources.zip", {name: sources[name] for name in islice(names, 25)})
    for name in islice(names, 8):
        (folder / f"{name}.py").write_text(sources[name])
    page_names = iter(pages)
    (folder / "bare.html").write_text(pages[next(page_names)])
    (folder / "packed.html.gz").write_bytes(gzip.compress(pages[next(page_names)].encode()))
    (folder / "packed.html.xz").write_bytes(lzma.compress(pages[next(page_names)].encode()))
    _write_warc(folder / "crawl.warc.gz", {name: pages[name] for name in islice(page_names, 6)})
    _write_wet(folder / "crawl.warc.wet.gz", {name: _text_of(pages[name]) for name in page_names})
    _write_csv(folder / "docstrings.csv.xz", list(_docstrings())[::2])
    _write_parquet(folder / "docstrings.parquet", list(_docstrings())[1::2])
    _write_encodings(folder, topics["formatstrings"])
    shutil.copy(folder / "bare.html", folder / "a copy of bare.html")
    near = topics["assignment"].replace("assignment", "assigning", 3)
    (folder / "nearly assignment.md").write_text(f"{near}\n\nOne more sentence.\n")
    _copy_debian(folder / "debian")
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _page_of(module_name: str) -> str:
    """A module's reference as a whole page of HTML."""
    writer = pydoc.HTMLDoc()
    content = writer.document(importlib.import_module(module_name))
    return writer.page(f"{module_name}: the reference", content)


def _docstrings() -> Iterator[str]:
    """One for each public name of each module that has one of more than a line."""
    for module_name in _MODULES:
        for name, value in sorted(vars(importlib.import_module(module_name)).items()):
            text = inspect.getdoc(value) or ""
            if not name.startswith("_") and text.count("\n") > 1:
                yield text


def _write_topics(path: Path) -> None:
    """Good lines, and one of each kind that gives no document."""
    lines = [json.dumps({"text": topics[name], "topic": name}) for name in sorted(topics)]
    lines[3:3] = ['{"text": "no end', '{"title": "no text"}', '{"text": 7}', '{"text": "  "}']
    path.write_bytes(zstandard.compress("".join(f"{line}\n" for line in lines).encode()))


def _write_tar(path: Path, texts: dict[str, str]) -> None:
    """Members, and two that no archive should have."""
    with tarfile.open(path, "w:xz", format=tarfile.PAX_FORMAT) as archive:
        for name, text in texts.items():
            _add(archive, f"python/{name}.py", text.encode())
        _add(archive, "../outside.txt", b"A name that climbs out of the archive.")
        link = tarfile.TarInfo("python/link.txt")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def _write_zip(path: Path, texts: dict[str, str]) -> None:
    """Members, every other one compressed once more by itself."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for index, (name, text) in enumerate(texts.items()):
            if index % 2:
                archive.writestr(f"{name}.txt", text)
            else:
                archive.writestr(f"{name}.txt.gz", gzip.compress(text.encode(), mtime=0))


def _write_warc(path: Path, pages: dict[str, str]) -> None:
    """Requests and their responses; one response is a picture."""
    with path.open("wb") as file:
        writer = WARCWriter(file, gzip=True)
        writer.write_record(writer.create_warcinfo_record(path.name, {"software": "warcio"}))
        for name, page in pages.items():
            url = f"http://docs.example/{name}.html"
            _write_request(writer, url)
            _write_response(writer, url, page.encode(), media_type="text/html; charset=utf-8")
        picture = b"\x89PNG\r\n\x1a\n" + bytes(200)
        _write_response(writer, "http://docs.example/a.png", picture, media_type="image/png")


def _write_request(writer: WARCWriter, url: str) -> None:
    headers = StatusAndHeaders("GET / HTTP/1.1", [("Host", "docs.example")], is_http_request=True)
    _write_record(writer, url, b"", kind="request", http_headers=headers)


def _write_response(writer: WARCWriter, url: str, content: bytes, *, media_type: str) -> None:
    fields = [("Content-Type", media_type), ("Content-Length", str(len(content)))]
    headers = StatusAndHeaders("200 OK", fields, protocol="HTTP/1.1")
    _write_record(writer, url, content, kind="response", http_headers=headers)


def _write_record(
    writer: WARCWriter, url: str, content: bytes, *, kind: str, **fields: Any
) -> None:
    record = writer.create_warc_record(
        url,
        kind,
        payload=io.BytesIO(content),
        length=len(content),  # unknown, it would be measured through a file that is never closed
        warc_headers_dict={"WARC-Date": _WARC_TIME},
        **fields,
    )
    writer.write_record(record)


def _write_wet(path: Path, texts: dict[str, str]) -> None:
    with path.open("wb") as file:
        writer = WARCWriter(file, gzip=True)
        for name, text in texts.items():
            url = f"http://docs.example/{name}.html"
            _write_record(
                writer, url, text.encode(), kind="conversion", warc_content_type="text/plain"
            )


def _text_of(page: str) -> str:
    """A page without its tags, roughly."""
    lines = (piece.partition(">")[2].strip() for piece in page.split("<"))
    return "\n".join(line for line in lines if line)


def _write_csv(path: Path, texts: list[str]) -> None:
    with lzma.open(path, "wt", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["number", "text"])
        writer.writerows(enumerate(texts))


def _write_parquet(path: Path, texts: list[str]) -> None:
    with duckdb.connect() as database:
        database.execute("CREATE TABLE docstrings (number INTEGER, text VARCHAR)")
        database.executemany("INSERT INTO docstrings VALUES (?, ?)", list(enumerate(texts)))
        database.execute("INSERT INTO docstrings VALUES (-1, NULL)")
        database.execute(f"COPY docstrings TO '{path}' (FORMAT parquet, COMPRESSION zstd)")


def _write_encodings(folder: Path, text: str) -> None:
    (folder / "utf16.txt").write_bytes(f"Größe\n{text}".encode("utf-16"))
    legacy = f"{text[:400]}\nGröße\n{text[400:]}"
    (folder / "latin1.txt").write_bytes(legacy.encode("latin-1", "replace"))
    (folder / "with bom.md").write_bytes(f"\ufeff# Título\n\n{topics['lists']}".encode())
    (folder / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4)
    (folder / "nothing.txt").write_bytes(b" \n")


def _copy_debian(folder: Path) -> None:
    """Some packages' documentation, just as it lies there; nothing on other systems."""
    small = (
        path
        for path in sorted(DEBIAN.rglob("*"))
        if path.is_file() and not path.is_symlink() and path.stat().st_size < _LARGEST_DEBIAN_FILE
    )
    for path in islice(small, 0, _MOST_DEBIAN_FILES * 8, 8):
        copy = folder / path.relative_to(DEBIAN)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
