"""How uvicorn is told to log like every other process: by a file, its only way."""

from __future__ import annotations

import json
from pathlib import Path

from core.settings import Settings


def write_log_config(settings: Settings) -> Path:
    """Write the `logging.config` dictionary for the API's process, and say where it is."""
    through_root = {"handlers": [], "propagate": True}
    config = {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {
            "stderr": {"()": "core.log.make_handler", "log_format": settings.log_format},
        },
        "root": {"handlers": ["stderr"], "level": settings.log_level.upper()},
        "loggers": {"uvicorn": through_root, "uvicorn.access": through_root},
    }
    settings.log_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = settings.log_dir / "api.config.json"
    path.write_text(json.dumps(config, indent=2))
    return path
