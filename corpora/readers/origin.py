"""Where bytes come from: an uploaded file, or a member of an archive in it; and what is too much.

Compressions and archives can stand in each other, so one set of limits must hold over the whole
chain. Each file and each member counts what its decompressors give, against its own stored size;
what comes out of a member is counted by everything that it lies in as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from core.errors import BadData
from corpora.readers.record import DropReason, excerpt

MAX_ARCHIVES_DEEP: Final = 2
"""An archive in an archive is opened, one in that is not."""
MAX_COMPRESSIONS: Final = 3
"""How often the same bytes may be compressed; some files decompress to themselves for ever."""

_LABEL_LENGTH = 200


@dataclass(frozen=True, slots=True)
class DecompressionLimits:
    """Beyond these a compressed file counts as a bomb. Text seldom shrinks by more than 20."""

    max_bytes: int = 2**38
    max_ratio: int = 250
    free_bytes: int = 2**25
    """The ratio is not looked at before this much came out; more than one page may have."""
    max_window_bytes: int = 2**27
    """What a decompressor may allocate to look back at."""
    max_scratch_bytes: int = 2**35
    """Of what needs random access and has to lie on disk decompressed: zip and Parquet."""


DEFAULT_LIMITS = DecompressionLimits()


class Origin:
    """A file, or a member of one, while it is read.

    Attributes:
        name: what it is called by; its ending tells the format of text.
        member: what its places begin with; None for the file itself.
        failure: the error that ended its reading, if one did. It concerns nothing around it.
    """

    def __init__(
        self,
        name: str,
        *,
        num_bytes: int,
        limits: DecompressionLimits = DEFAULT_LIMITS,
        parent: Origin | None = None,
    ) -> None:
        """``num_bytes`` is its size as it is stored; ``parent`` is the archive, for a member."""
        self.name = name
        self.limits = limits
        self.failure: BadData | None = None
        self._parent = parent
        self._num_in = num_bytes
        self._num_out = 0
        inner = excerpt(name, length=_LABEL_LENGTH)
        self.member: str | None = None
        if parent:
            self.member = f"{parent.member}/{inner}" if parent.member else inner
        self._label = inner if parent is None else f"{parent.file_label}: {self.member}"
        self.num_archives: int = parent.num_archives + 1 if parent else 0

    @property
    def file_label(self) -> str:
        """How messages call the uploaded file."""
        return self._parent.file_label if self._parent else self._label

    def gave(self, num_bytes: int) -> None:
        """Count bytes that came out of a decompressor.

        Raises:
            BadData: it is a bomb, or the file around it is.
        """
        self._num_out += num_bytes
        limits = self.limits
        if self._num_out > limits.max_bytes:
            raise self._bomb(f"more than {limits.max_bytes} bytes")
        if self._num_out > limits.free_bytes and self._num_out > limits.max_ratio * self._num_in:
            raise self._bomb(f"more than {limits.max_ratio} times its own size")
        if self._parent:
            self._parent.gave(num_bytes)

    def damaged(self, why: str) -> BadData:
        """The error for what cannot be read."""
        return self.error(f"cannot be read: {why}", code="file_damaged")

    def error(self, what: str, *, code: DropReason, param: str = "files") -> BadData:
        """The error that ends the reading of this file or member, and is remembered as its own."""
        self.failure = BadData(f"{self._label} {what}", code=code, param=param)
        return self.failure

    def _bomb(self, size: str) -> BadData:
        return self.error(
            f"decompresses to {size}, which is not allowed", code="decompression_bomb"
        )
