from __future__ import annotations

import contextlib
import random

import pytest

from api.multipart import MultipartForm
from core.errors import InvalidRequest, MalformedRequest, TooLarge

BOUNDARY = "XyZ"
CONTENT_TYPE = f"multipart/form-data; boundary={BOUNDARY}"


class Files:
    """Where the files of a form end up."""

    def __init__(self) -> None:
        self.received: list[tuple[str, str, bytearray]] = []

    def open(self, field: str, filename: str) -> Sink:
        self.received.append((field, filename, bytearray()))
        return Sink(self.received[-1][2])


class Sink:
    def __init__(self, content: bytearray) -> None:
        self._content = content

    def write(self, data: bytes) -> None:
        self._content += data


def part(name: str, content: bytes, filename: str | None = None) -> bytes:
    label = f'; filename="{filename}"' if filename is not None else ""
    disposition = f'Content-Disposition: form-data; name="{name}"{label}'
    return f"--{BOUNDARY}\r\n{disposition}\r\n\r\n".encode() + content + b"\r\n"


END = f"--{BOUNDARY}--\r\n".encode()


def read(
    body: bytes, *, cut: int = 1 << 20, max_text_bytes: int = 1000
) -> tuple[dict[str, str], Files]:
    files = Files()
    form = MultipartForm(CONTENT_TYPE, open_file=files.open, max_text_bytes=max_text_bytes)
    for start in range(0, len(body), cut):
        form.feed(body[start : start + cut])
    form.close()
    return form.fields, files


def test_fields_may_stand_before_and_after_the_file() -> None:
    body = part("a", b"1") + part("file", b"bytes", "x.txt") + part("purpose", "é".encode()) + END
    fields, files = read(body)
    assert fields == {"a": "1", "purpose": "é"}
    assert files.received == [("file", "x.txt", bytearray(b"bytes"))]


@pytest.mark.parametrize("cut", [1, 2, 3, 7, 64])
def test_a_body_may_be_cut_anywhere(cut: int) -> None:
    content = b"\r\n--Xy\r\n-" + random.Random(0).randbytes(500) + b"\r\n--XyZ"[:-1]
    body = part("file", content, "x.bin") + part("purpose", b"pretrain") + END
    fields, files = read(body, cut=cut)
    assert bytes(files.received[0][2]) == content
    assert fields == {"purpose": "pretrain"}


def test_several_files_are_kept_apart() -> None:
    _, files = read(
        part("file", b"1", "a") + part("file", b"", "b") + part("file", b"3", "c") + END
    )
    assert [(name, bytes(content)) for _, name, content in files.received] == [
        ("a", b"1"), ("b", b""), ("c", b"3"),
    ]  # fmt: skip


def test_a_file_without_a_name_is_a_file_all_the_same() -> None:
    _, files = read(part("file", b"bytes") + END)
    assert files.received == [("file", "", bytearray(b"bytes"))]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no form at all",
        part("file", b"bytes", "x"),
        part("file", b"bytes", "x") + b"--XyZ",
        b'--XyZ\r\nContent-Disposition: form-data; name="a\xff"\r\n\r\n1\r\n' + END,
        b"--XyZ\r\nContent-Disposition: attachment\r\n\r\n1\r\n" + END,
        part("text", b"\xff") + END,
        part("text", b"\x00") + END,
        b"--XyZ\r\nX: " + b"y" * 1_000_000,
    ],
)
def test_what_is_no_form_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedRequest):
        read(body)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"--Other\r\n\r\n1\r\n--Other--\r\n", "its boundary is not the one in Content-Type"),
        (b"--XyZ\r\nX: y\r\n\r\n1\r\n" + END, "no part with a name"),
        (b"", "no part with a name"),
        (part("a", b"1"), "ends before its last boundary"),
    ],
)
def test_what_is_wrong_with_a_form_is_said(body: bytes, message: str) -> None:
    with pytest.raises(MalformedRequest, match=message):
        read(body)


def test_a_field_given_twice_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="twice"):
        read(part("a", b"1") + part("a", b"2") + END)


def test_text_is_bounded() -> None:
    with pytest.raises(TooLarge):
        read(part("a", b"x" * 600) + part("b", b"x" * 600) + END, max_text_bytes=1000)


def test_the_number_of_parts_is_bounded() -> None:
    with pytest.raises(TooLarge):
        read(b"".join(part(f"p{index}", b"") for index in range(1001)) + END)


@pytest.mark.parametrize("content_type", ["", "text/plain", "multipart/form-data", "multipart/"])
def test_another_content_type_is_refused(content_type: str) -> None:
    with pytest.raises(MalformedRequest, match="boundary"):
        MultipartForm(content_type, open_file=Files().open, max_text_bytes=1)


def test_random_damage_never_does_more_than_refuse() -> None:
    generator = random.Random(0)
    whole = part("purpose", b"pretrain") + part("file", b"bytes" * 20, "x.txt") + END
    for _ in range(2000):
        damaged = bytearray(whole)
        for _ in range(generator.randint(1, 4)):
            damaged[generator.randrange(len(damaged))] = generator.randrange(256)
        with contextlib.suppress(MalformedRequest, InvalidRequest, TooLarge):
            read(bytes(damaged))
