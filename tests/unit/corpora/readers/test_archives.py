"""Archives of every kind, friendly and hostile, read as uploaded files that hold text alone."""

from __future__ import annotations

import gzip
import io
import os
import stat
import struct
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from core.corpus_options import CorpusOptions
from core.errors import BadData
from corpora.readers.origin import DEFAULT_LIMITS, DecompressionLimits
from corpora.readers.record import BadBytes, Dropped, Record
from corpora.readers.source import SourceFile, read_records

Found = list[tuple[str, str]]
TEXT = "Text enough to be text.\n"
STORED = zipfile.ZIP_STORED


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Found]:
    """The place of every record, and its text or the reason why it has none."""

    def read_bytes(
        data: bytes,
        *,
        limits: DecompressionLimits = DEFAULT_LIMITS,
        noticed: list[BadBytes] | None = None,
    ) -> Found:
        scratch = tmp_path / "scratch"
        scratch.mkdir(exist_ok=True)
        path = tmp_path / "stored"
        path.write_bytes(data)
        found = read_records(
            SourceFile(path, filename="user.bin", sha256="0" * 64, id="file_1"),
            options=CorpusOptions(),
            notice=lambda bad: None if noticed is None else noticed.append(bad),
            limits=limits,
            scratch=scratch,
        )
        try:
            return [(r.place, r.text if isinstance(r, Record) else r.reason) for r in found]
        finally:
            assert not list(scratch.iterdir())
            assert {entry.name for entry in tmp_path.iterdir()} == {"stored", "scratch"}

    return read_bytes


def zipped(members: dict[str, bytes | str], *, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


def tarred(members: dict[str, bytes | str], *, form: int = tarfile.PAX_FORMAT) -> bytes:
    return tar_of([(tarfile.TarInfo(name), data) for name, data in members.items()], form=form)


def tar_of(
    members: list[tuple[tarfile.TarInfo, bytes | str]], *, form: int = tarfile.PAX_FORMAT
) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as archive:
        for member, content in members:
            data = content.encode() if isinstance(content, str) else content
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return file.getvalue()


def tarred_and_zipped(members: dict[str, bytes | str]) -> bytes:
    return gzip.compress(tarred(members))


every_archive = pytest.mark.parametrize(
    "pack",
    [zipped, tarred, tarred_and_zipped],
    ids=["zip", "tar", "tar.gz"],
)


@every_archive
@pytest.mark.parametrize(
    "name",
    ["../up.txt", "/etc/passwd", "a/../../b.txt", "..\\up.txt", "C:\\up.txt", "c:up.txt", ".."],
)
def test_names_that_lead_out_of_a_folder_are_dropped_and_their_neighbours_read(
    read: Any, pack: Any, name: str
) -> None:
    found = read(pack({"a.txt": "first", name: TEXT, "b.txt": "last"}))
    assert [text for _, text in found] == ["first", "unsafe_name", "last"]


@every_archive
def test_names_are_labels_safe_to_show(read: Any, pack: Any) -> None:
    found = read(pack({"\u202eevil\n\x1b[31m.txt": TEXT, "long/" * 100 + "x": TEXT}))
    assert all(place.isprintable() and len(place) <= 200 for place, _ in found)
    assert [text for _, text in found] == [TEXT, TEXT]


def test_zip_names_in_old_code_pages_are_understood(read: Any) -> None:
    data = zipped({"caf_.txt": TEXT}).replace(b"caf_.txt", b"caf\x82.txt")
    assert read(data) == [("café.txt", TEXT)]


def test_links_and_devices_are_dropped(read: Any) -> None:
    kinds = [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
    members: list[tuple[tarfile.TarInfo, bytes | str]] = []
    for number, kind in enumerate(kinds):
        member = tarfile.TarInfo(f"{number}")
        member.type = kind
        member.linkname = "/etc/passwd"
        members.append((member, b""))
    members.append((tarfile.TarInfo("last.txt"), TEXT))
    assert read(tar_of(members)) == [
        ("0", "link"),
        ("1", "link"),
        ("2", "special_file"),
        ("3", "special_file"),
        ("4", "special_file"),
        ("last.txt", TEXT),
    ]


def test_links_in_zip_archives_are_dropped(read: Any) -> None:
    link = zipfile.ZipInfo("link")
    link.create_system = 3
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(link, "/etc/passwd")
        archive.writestr("a.txt", TEXT)
    assert read(file.getvalue()) == [("link", "link"), ("a.txt", TEXT)]


def test_encrypted_members_are_dropped(read: Any) -> None:
    data = bytearray(zipped({"secret.txt": TEXT, "open.txt": TEXT}))
    for magic, flags_at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(magic) + flags_at] |= 1
    assert read(bytes(data)) == [("secret.txt", "encrypted"), ("open.txt", TEXT)]


def test_members_of_unknown_compression_are_dropped(read: Any) -> None:
    data = bytearray(zipped({"a.txt": TEXT, "b.txt": TEXT}))
    deflate64 = 9
    data[data.index(b"PK\x01\x02") + 10] = deflate64
    assert read(bytes(data)) == [("a.txt", "unsupported_compression"), ("b.txt", TEXT)]


def test_a_damaged_member_in_the_middle_of_a_zip_is_dropped_and_the_others_go_on(
    read: Any,
) -> None:
    middle = os.urandom(1000).hex()
    for method in (zipfile.ZIP_DEFLATED, STORED):
        data = bytearray(
            zipped({"a.txt": "first", "b.txt": middle, "c.txt": "last"}, method=method)
        )
        data[data.index(b"b.txt") + 300] ^= 0xFF
        assert read(bytes(data)) == [
            ("a.txt", "first"),
            ("b.txt", "file_damaged"),
            ("c.txt", "last"),
        ]


def test_lines_before_the_damage_in_a_member_are_read(read: Any) -> None:
    lines = b"".join(b'{"text": "%d"}\n' % number for number in range(20_000))
    damaged = gzip.compress(lines)[:-1000]
    found = read(tarred({"a.jsonl.gz": damaged, "b.txt": TEXT}))
    assert found[0] == ("a.jsonl.gz line 1", "0")
    assert found[-2:] == [("a.jsonl.gz", "file_damaged"), ("b.txt", TEXT)]
    assert 1000 < len(found) < 20_000


@pytest.mark.parametrize("claimed", [0, 5, 10**6, 2**32 - 2])
def test_a_zip_member_that_lies_about_its_size_is_dropped(read: Any, claimed: int) -> None:
    data = bytearray(zipped({"a.txt": TEXT * 10, "b.txt": TEXT}))
    entry = data.index(b"PK\x01\x02")
    data[entry + 24 : entry + 28] = struct.pack("<L", claimed)
    assert read(bytes(data)) == [("a.txt", "file_damaged"), ("b.txt", TEXT)]


def test_a_zip_member_that_claims_to_lie_elsewhere_is_dropped(read: Any) -> None:
    data = bytearray(zipped({"a.txt": TEXT, "b.txt": TEXT}))
    entry = data.index(b"PK\x01\x02")
    data[entry + 42 : entry + 46] = struct.pack("<L", 10)
    assert read(bytes(data)) == [("a.txt", "file_damaged"), ("b.txt", TEXT)]


@pytest.mark.parametrize("offset", [2**62, 2**63 - 1, 2**63, 2**64 - 1])
def test_a_zip_member_that_claims_to_lie_beyond_any_file_is_dropped(read: Any, offset: int) -> None:
    data = bytearray(zipped({"a.txt": TEXT, "b.txt": TEXT}))
    entry, end = data.index(b"PK\x01\x02"), data.index(b"PK\x05\x06")
    extra = struct.pack("<2HQ", 1, 8, offset)
    size = end - entry + len(extra)
    data[end + 12 : end + 16] = struct.pack("<L", size)
    data[entry + 30 : entry + 32] = struct.pack("<H", len(extra))
    data[entry + 42 : entry + 46] = b"\xff" * 4
    after_name = entry + 46 + len("a.txt")
    data[after_name:after_name] = extra
    assert read(bytes(data)) == [("a.txt", "file_damaged"), ("b.txt", TEXT)]


def test_a_zip_whose_members_overlap_is_refused(read: Any) -> None:
    kernel = zipped({"a.txt": os.urandom(500).hex()})
    start = kernel.index(b"PK\x01\x02")
    end = kernel.index(b"PK\x05\x06")
    entries = kernel[start:end] * 10
    bomb = (
        kernel[:start]
        + entries
        + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 10, 10, len(entries), start, 0)
    )
    with pytest.raises(BadData, match=r"user\.bin cannot be read: .* overlap"):
        read(bomb)


def test_a_zip_of_many_members_needs_no_memory_for_them(tmp_path: Path) -> None:
    kernel = zipped({"a": b""}, method=STORED)
    start, end = kernel.index(b"PK\x01\x02"), kernel.index(b"PK\x05\x06")
    num_members = 3_000
    entries = kernel[start:end] * num_members
    path = tmp_path / "stored"
    path.write_bytes(
        kernel[:start]
        + entries
        + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, len(entries), start, 0)
    )
    file = SourceFile(path, filename="a.zip", sha256="0" * 64, id="file_1")
    del entries
    tracemalloc.start()
    found = read_records(file, options=CorpusOptions(), notice=lambda _: None)
    assert sum(isinstance(record, Dropped) for record in found) == num_members
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**21


def test_a_zip_behind_other_bytes_of_its_own_is_read_from_its_directory(read: Any) -> None:
    inner = zipped({"a.txt": TEXT})
    # the first member's header stands for the recognisable beginning
    assert read(b"PK\x03\x04 something before it" + inner) == [("a.txt", TEXT)]


@pytest.mark.parametrize("num_bytes", [4, 11, 21])
def test_a_zip_of_a_few_bytes_names_its_file(read: Any, num_bytes: int) -> None:
    with pytest.raises(BadData, match=r"user\.bin cannot be read: .* no directory"):
        read((b"PK\x05\x06" + bytes(20))[:num_bytes])


def test_zip64_archives_are_read(read: Any) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("a.txt", "w", force_zip64=True) as member:
            member.write(TEXT.encode())
        archive.writestr("b.txt", TEXT)
    data = file.getvalue()
    end = data.index(b"PK\x05\x06")
    size, offset = struct.unpack("<2L", data[end + 12 : end + 20])
    end_64 = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 2, 2, size, offset)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, end, 1)
    all_ones = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 65535, 65535, 2**32 - 1, 2**32 - 1, 0)
    assert read(data[:end] + end_64 + locator + all_ones) == [("a.txt", TEXT), ("b.txt", TEXT)]


@pytest.mark.parametrize("pack", [zipped, tarred])
@pytest.mark.parametrize("kept", [0.3, 0.5, 0.7])
def test_an_archive_that_is_cut_off_names_its_file(read: Any, pack: Any, kept: float) -> None:
    data = pack({f"{n}.txt": os.urandom(600).hex() for n in range(20)})
    with pytest.raises(BadData, match=r"user\.bin") as caught:
        read(data[: int(len(data) * kept)])
    assert caught.value.error_code == "file_damaged"


def test_a_tar_that_is_cut_off_between_members_is_noticed(read: Any) -> None:
    data = tarred({"a.txt": TEXT, "b.txt": TEXT}, form=tarfile.USTAR_FORMAT)
    with pytest.raises(BadData, match="the tar archive is cut off"):
        read(data[:1024])


def test_a_compressed_archive_that_is_cut_off_names_its_file_even_within_a_member(
    read: Any,
) -> None:
    data = gzip.compress(tarred({f"{n}.gz": gzip.compress(os.urandom(600)) for n in range(50)}))
    with pytest.raises(BadData, match=r"^user\.bin cannot be read: it ends in the middle"):
        read(data[: len(data) // 2])


def test_an_archive_in_an_archive_is_read_and_what_is_in_that_is_dropped(read: Any) -> None:
    third = zipped({"deep.txt": TEXT})
    second = tarred({"third.zip": third, "b.txt": "second"})
    assert read(zipped({"second.tar": second, "a.txt": "first"})) == [
        ("second.tar/third.zip", "nested_too_deep"),
        ("second.tar/b.txt", "second"),
        ("a.txt", "first"),
    ]


def test_a_damaged_archive_in_an_archive_is_dropped(read: Any) -> None:
    inner = tarred({"a.txt": TEXT * 1000, "b.txt": TEXT})
    found = read(
        zipped({"cut.tar": inner[:2000], "c.zip": b"PK\x03\x04" + bytes(50), "d.txt": TEXT})
    )
    assert found == [("cut.tar", "file_damaged"), ("c.zip", "file_damaged"), ("d.txt", TEXT)]


def test_what_is_compressed_again_and_again_is_refused(read: Any) -> None:
    data = TEXT.encode()
    for _ in range(3):
        data = gzip.compress(data)
    assert read(data) == [("whole file", TEXT)]
    with pytest.raises(BadData, match="compressed more than 3 times"):
        read(gzip.compress(data))


@every_archive
def test_a_member_that_is_a_bomb_is_dropped_and_its_neighbours_read(read: Any, pack: Any) -> None:
    limits = DecompressionLimits(free_bytes=2**20, max_ratio=50)
    bomb = zstandard.compress(b'{"text": "x"}\n' * 2**18)
    ballast = os.urandom(2**17).hex()
    found = read(pack({"a.txt": TEXT, "b.jsonl.zst": bomb, "c.txt": ballast}), limits=limits)
    assert found[0] == ("a.txt", TEXT)
    assert found[-2:] == [("b.jsonl.zst", "decompression_bomb"), ("c.txt", ballast)]


def test_many_members_that_are_no_bombs_alone_are_one_together(read: Any) -> None:
    limits = DecompressionLimits(free_bytes=2**20, max_ratio=50)
    members: dict[str, bytes | str] = {f"{n}.txt": "x" * 2**19 for n in range(20)}
    with pytest.raises(BadData, match=r"^user\.bin decompresses to more than 50 times") as caught:
        read(zipped(members), limits=limits)
    assert caught.value.error_code == "decompression_bomb"


def test_what_would_fill_the_disk_is_refused(read: Any) -> None:
    limits = DecompressionLimits(max_scratch_bytes=1000)
    with pytest.raises(BadData, match="longer than 1000 bytes"):
        read(gzip.compress(zipped({"a.txt": os.urandom(1000).hex()})), limits=limits)


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_dialect_of_tar_is_read(read: Any, form: int) -> None:
    folder = "folder" * 13
    name = f"{folder}/{'name' * 16}.txt"
    assert read(tarred({name: TEXT, "b.txt": TEXT * 100}, form=form)) == [
        (name, TEXT),
        ("b.txt", TEXT * 100),
    ]


def test_a_tar_without_a_magic_is_known_by_its_checksum(read: Any) -> None:
    data = bytearray(tarred({"a.txt": TEXT}, form=tarfile.USTAR_FORMAT))
    data[257:265] = bytes(8)
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data[:512])
    assert read(bytes(data)) == [("a.txt", TEXT)]


def test_a_tar_header_that_wants_gigabytes_for_a_name_is_refused(read: Any) -> None:
    member = tarfile.TarInfo("././@LongLink")
    member.type = tarfile.GNUTYPE_LONGNAME
    member.size = 2**33
    with pytest.raises(BadData, match="header in the tar archive is too long"):
        read(member.tobuf(format=tarfile.GNU_FORMAT) + b"x" * 5000)


def test_a_tar_member_that_claims_exabytes_is_found_cut_off(read: Any) -> None:
    member = tarfile.TarInfo("a.bin")
    member.size = 2**62
    with pytest.raises(BadData, match="the tar archive is cut off"):
        read(member.tobuf(format=tarfile.GNU_FORMAT) + bytes(5000))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.REGTYPE])
def test_a_refused_tar_member_is_not_believed_about_its_size(read: Any, kind: bytes) -> None:
    member = tarfile.TarInfo("../up.txt")
    member.type = kind
    member.size = 2**80
    inner = member.tobuf(format=tarfile.GNU_FORMAT) + bytes(5000)
    assert read(zipped({"in.tar": inner, "b.txt": TEXT})) == [
        ("in.tar", "file_damaged"),
        ("b.txt", TEXT),
    ]


def test_the_last_of_countless_words_in_a_tar_header_counts(read: Any) -> None:
    words = tarfile.TarInfo("words")
    words.type = tarfile.XHDTYPE
    members: list[tuple[tarfile.TarInfo, bytes | str]] = [
        (words, b"6 a=b\n" * 150_000 + b"17 path=last.txt\n"),
        (tarfile.TarInfo("first.txt"), TEXT),
    ]
    assert read(tar_of(members, form=tarfile.USTAR_FORMAT)) == [("last.txt", TEXT)]


def test_sparse_members_are_dropped(read: Any) -> None:
    member = tarfile.TarInfo("sparse.txt")
    member.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.realsize": str(2**60)}
    assert read(tar_of([(member, b"0\n"), (tarfile.TarInfo("b.txt"), TEXT)])) == [
        ("sparse.txt", "special_file"),
        ("b.txt", TEXT),
    ]


@every_archive
def test_an_archive_without_members_is_one_dropped_record(read: Any, pack: Any) -> None:
    empty = pack({}) if pack is zipped else pack({"folder/": b""})
    if pack is zipped:
        assert read(empty) == [("whole file", "empty")]
    else:
        assert read(empty) == [("folder/", "empty")]


@every_archive
def test_binary_members_are_dropped_with_their_size(read: Any, pack: Any) -> None:
    assert read(pack({"a.png": b"\x89PNG" + bytes(5000), "b.txt": TEXT})) == [
        ("a.png", "not_text"),
        ("b.txt", TEXT),
    ]


def test_bad_bytes_of_a_member_are_reported_with_its_name(read: Any) -> None:
    noticed: list[BadBytes] = []
    data = TEXT.encode() * 10 + b"caf\xe9\n"
    read(zipped({"docs/a.txt": data}), noticed=noticed)
    assert noticed == [BadBytes(f"docs/a.txt line 11, byte {len(data) - 2}", "undecodable", 1)]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("[Content_Types].xml", "<?xml version='1.0'?><Types/>"),
        ("_rels/.rels", "<?xml version='1.0'?><Relationships/>"),
        ("mimetype", "application/vnd.oasis.opendocument.text"),
    ],
)
def test_a_document_of_an_office_program_is_one_dropped_record(
    read: Callable[..., Found], name: str, content: str
) -> None:
    document = zipped({name: content.encode(), "content.xml": TEXT.encode()}, method=STORED)
    assert read(document) == [("whole file", "office_document")]
    outer = zipped({"a.docx": document, "b.txt": TEXT.encode()})
    assert read(outer) == [("a.docx", "office_document"), ("b.txt", TEXT)]


def test_a_book_made_of_pages_is_read_as_the_archive_that_it_is(read: Callable[..., Found]) -> None:
    epub = zipped({"mimetype": b"application/epub+zip", "a.txt": TEXT.encode()}, method=STORED)
    assert read(epub) == [("mimetype", "application/epub+zip"), ("a.txt", TEXT)]
