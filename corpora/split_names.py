"""The splits of a corpus and of a dataset."""

from __future__ import annotations

from typing import Literal, get_args

SplitName = Literal["train", "validation"]
SPLIT_NAMES: tuple[SplitName, ...] = get_args(SplitName)
