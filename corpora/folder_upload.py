"""An uploaded folder of a model: the files of it that are read, one by one or out of an archive.

Files are kept under numbers; what an archive calls them is only a label.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from core.errors import BadData
from corpora.readers.compression import compression_of, decompress
from corpora.readers.decoding import with_head
from corpora.readers.members import Member
from corpora.readers.origin import MAX_COMPRESSIONS, Origin
from corpora.readers.stored import StoredFile
from corpora.readers.tar import is_tar, tar_members
from corpora.readers.zip import is_zip, zip_members

CONFIG_NAME: Final = "config.json"
MAX_TEXT_BYTES: Final = 32 * 2**20
"""Of each JSON file: an honest tokenizer.json has ten million bytes."""
MAX_WEIGHTS_BYTES: Final = 2**37
"""Of all that is taken from an archive."""
MAX_MEMBERS: Final = 100_000

_TEXTS: Final = frozenset(
    {
        CONFIG_NAME,
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "model.safetensors.index.json",
    }
)
_WEIGHTS_ENDING: Final = ".safetensors"
_PICKLE_ENDINGS: Final = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".msgpack", ".h5")


def check_names(names: list[str]) -> None:
    """Whether files of these names can be a model.

    Raises:
        BadData: a file that is needed is missing, two have the same name, or the weights are of a
            format that can run code when it is read.
    """
    for name, count in Counter(names).items():
        if count > 1:
            raise BadData(f"There are {count} files of the name {name!r}.", code="file_name_twice")
    for needed in (CONFIG_NAME, "tokenizer.json"):
        if needed not in names:
            raise BadData(f"There is no {needed} among the files.", code="file_missing")
    if not any(name.endswith(_WEIGHTS_ENDING) for name in names):
        message = "There are no weights among the files: a model comes as safetensors."
        pickles = sorted(name for name in names if name.endswith(_PICKLE_ENDINGS))
        if pickles:
            message += f" {pickles[0]!r} is none: such files can run code, and are never read."
        raise BadData(message, code="weights_not_safetensors")


def wanted_files(files: Mapping[str, Path]) -> dict[str, Path]:
    """Those of the files of a folder that are read, by their names.

    Raises:
        BadData: as :func:`check_names`; or a text is longer than any honest one.
    """
    check_names(list(files))
    wanted = {name: path for name, path in files.items() if _is_wanted(name)}
    for name, path in wanted.items():
        if name in _TEXTS and path.stat().st_size > MAX_TEXT_BYTES:
            raise BadData(
                f"{name} has {path.stat().st_size} bytes; at most {MAX_TEXT_BYTES}.",
                code="file_too_large",
            )
    return wanted


def unpack_folder(archive: Path, *, filename: str, directory: Path) -> dict[str, Path]:
    """Take a model's files out of a tar or zip archive, compressed or not.

    They are those beside the ``config.json`` that lies least deep.

    Args:
        archive: The file.
        filename: What its user called it.
        directory: A new one, for what is taken out.

    Returns:
        The files by their names in the folder.

    Raises:
        BadData: it is no archive, a damaged one, holds links or names that lead out of it, or more
            than it may; or as :func:`check_names`.
    """
    directory.mkdir()
    taken: dict[PurePosixPath, Path] = {}
    names: set[PurePosixPath] = set()
    room = _Room(MAX_WEIGHTS_BYTES)
    with StoredFile(archive) as stored:
        origin = Origin(filename, num_bytes=stored.num_bytes)
        with closing(_members(stored, origin)) as members:
            for number, member in enumerate(members):
                if number >= MAX_MEMBERS:
                    raise BadData(
                        f"{filename} has more than {MAX_MEMBERS} members.", code="archive_too_large"
                    )
                if member.refusal is not None:
                    raise BadData(
                        f"{filename}: the member {member.name[:200]!r} cannot be taken "
                        f"({member.refusal}); an archive of a model holds plain files.",
                        code=member.refusal,
                    )
                name = PurePosixPath(member.name.replace("\\", "/"))
                names.add(name)
                if _is_wanted(name.name) and name not in taken:
                    path = directory / str(number)
                    _write(member, origin, path, room=room)
                    taken[name] = path
    configs = sorted((n for n in names if n.name == CONFIG_NAME), key=lambda n: len(n.parts))
    if not configs:
        raise BadData(f"{filename}: there is no {CONFIG_NAME} in the archive.", code="file_missing")
    folder = configs[0].parent
    check_names([name.name for name in names if name.parent == folder])
    return {name.name: path for name, path in taken.items() if name.parent == folder}


def _is_wanted(name: str) -> bool:
    return name in _TEXTS or name.endswith(_WEIGHTS_ENDING)


@dataclass(slots=True)
class _Room:
    """How many bytes may still be written."""

    num_bytes: int


def _members(stored: StoredFile, origin: Origin) -> Generator[Member]:
    head, pieces = with_head(stored.pieces())
    if is_zip(head):
        yield from zip_members(
            stored.file, num_bytes=stored.num_bytes, origin=origin, read=lambda _: None
        )
        return
    for _ in range(MAX_COMPRESSIONS):
        compression = compression_of(head)
        if compression is None:
            break
        head, pieces = with_head(decompress(pieces, compression, origin=origin))
    if not is_tar(head):
        raise BadData(
            f"{origin.name} is no tar or zip archive. Single files go into `files`.",
            code="archive_not_supported",
        )
    yield from tar_members(pieces, origin=origin)


def _write(member: Member, archive: Origin, path: Path, *, room: _Room) -> None:
    origin = Origin(member.name, num_bytes=member.num_bytes, parent=archive)
    with path.open("wb") as file:
        for piece in member.open(origin):
            room.num_bytes -= len(piece)
            if room.num_bytes < 0:
                raise BadData(
                    f"{archive.name} holds more than {MAX_WEIGHTS_BYTES} bytes.",
                    code="archive_too_large",
                )
            file.write(piece)
