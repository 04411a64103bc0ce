"""The limited children of all readers, for as long as files are read."""

from __future__ import annotations

from typing import Self

from corpora.readers.extractor import HtmlExtractor
from corpora.readers.parquet_children import ParquetChildren


class Children:
    """Children for pages and for tables, which start when they are needed.

    A context manager; starting a child takes longer than reading most files, so that one should be
    made for many files.
    """

    def __init__(self, *, pages: HtmlExtractor | None = None) -> None:
        self.pages = pages or HtmlExtractor()
        self.tables = ParquetChildren()

    def __enter__(self) -> Self:
        """Nothing more."""
        return self

    def __exit__(self, *_: object) -> None:
        """End them."""
        self.pages.close()
        self.tables.close()
