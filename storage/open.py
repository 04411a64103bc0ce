"""A store by URL."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from core.errors import InvalidRequest
from storage.base import Store
from storage.local import LocalStore

if TYPE_CHECKING:
    from obstore.store import ClientConfig

_CLIENT: Final[ClientConfig] = {
    "connect_timeout": timedelta(seconds=5),
    # Each read has its time, not the whole answer: a download lasts as long as its reader likes,
    # and the client gives up on what took longer than its default of 30 s, tried for 3 minutes.
    "read_timeout": timedelta(seconds=30),
    "timeout": timedelta(days=1),
    "allow_http": True,  # whoever gives a plain endpoint means it
}


def open_store(url: str, *, holds: bool = False) -> Store:
    """``file:///dir``, ``s3://bucket/prefix``, ``gs://...``, ``az://...`` or ``memory:///``.

    Credentials, region and endpoint of a bucket come from its vendor's environment variables, such
    as ``AWS_ACCESS_KEY_ID`` and ``AWS_ENDPOINT_URL``. With ``holds``, what is brought from a bucket
    to this host stays here as long as this process lives.

    Raises:
        InvalidRequest: no store is named by such a URL.
    """
    parts = urlsplit(url)
    if parts.scheme == "file":
        path = Path(unquote(parts.path))
        if parts.netloc or not path.is_absolute():
            raise InvalidRequest(
                f"{url!r} names no directory; write file:///absolute/path", param="store_url"
            )
        return LocalStore(path)
    # Imported here: with a local store, nobody needs to load a client for three clouds.
    import obstore.store  # noqa: PLC0415
    from obstore.exceptions import BaseError  # noqa: PLC0415

    from storage.object_store import ObjectStore  # noqa: PLC0415

    try:
        return ObjectStore(obstore.store.from_url(url, client_options=_CLIENT), holds=holds)
    except (BaseError, ValueError) as error:
        raise InvalidRequest(f"{url!r} names no store: {error}", param="store_url") from error
