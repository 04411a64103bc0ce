"""Which tokens of a stranger's tokenizer play which part, by the files beside it. Torch-free."""

from __future__ import annotations

import json
from typing import Final

from core.errors import BadData

ROLE_FILES: Final = ("special_tokens_map.json", "tokenizer_config.json")
"""The later one counts more."""
ROLES: Final = ("eos_token", "pad_token", "mask_token", "cls_token", "sep_token")
_LONGEST_TOKEN: Final = 200


def read_roles(data: bytes, *, file: str) -> dict[str, str]:
    """The text of each token that a file gives a role.

    Raises:
        BadData: it is no JSON (``config_damaged``).
    """
    try:
        raw = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadData(f"{file} is no JSON: {error}", code="config_damaged") from None
    found: dict[str, str] = {}
    for role in ROLES:
        token = raw.get(role) if isinstance(raw, dict) else None
        text = token.get("content") if isinstance(token, dict) else token
        if isinstance(text, str) and len(text) <= _LONGEST_TOKEN:
            found[role] = text
    return found
