"""``python -m corpora.readers.html_process``: pages in, their main texts out, frame by frame.

A limited child of ``corpora.readers.extractor``. Its first frame says that it is ready; each other
begins with a byte that says whether it is a text.
"""

from __future__ import annotations

from typing import Final

from corpora.sandbox import Confinement

READY: Final = b"r"
TEXT: Final = b"t"
FAILED: Final = b"f"


def main() -> None:
    """Answer every page until there are no more."""
    confinement = Confinement()
    from corpora.extract import main_text  # noqa: PLC0415  within the limits

    confinement.send(READY)
    while (page := confinement.receive()) is not None:
        try:
            answer = TEXT + main_text(page.decode()).encode(errors="replace")
        except Exception:  # noqa: BLE001  whatever the library says, the page gave no text
            answer = FAILED
        confinement.send(answer)


if __name__ == "__main__":
    main()
