"""Settings of a process, from ``PRETRAINER_*`` environment variables.

Everything has a default that makes the embedded service work; production differs by URLs alone.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


def default_data_dir() -> Path:
    """Where the embedded service keeps everything (XDG base directory specification)."""
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "pretrainer"


class Settings(BaseSettings):
    """What the processes of one installation agree on."""

    model_config = SettingsConfigDict(
        env_prefix="PRETRAINER_", frozen=True, extra="ignore", env_ignore_empty=True
    )

    data_dir: Path = Field(
        default_factory=default_data_dir, description="Database, bytes, logs and scratch space"
    )
    database_url: str = Field(default="", description="SQLAlchemy URL; default: SQLite in data_dir")
    broker_url: str = Field(default="", description="Redis URL; default: the private Valkey")
    store_url: str = Field(default="", description="file:///..., s3://bucket/prefix, gs://, az://")
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    allow_unauthenticated: bool = Field(
        default=False, description="Serve beyond loopback without keys: behind a guard of your own"
    )
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["text", "json"] = Field(
        default="text", description="Lines for people, or one JSON object a line"
    )
    lease_seconds: float = Field(default=30.0, gt=0, description="How long a silent owner owns")
    heartbeat_seconds: float = Field(default=5.0, gt=0, description="How often a lease is extended")
    drain_seconds: float = Field(default=120.0, gt=0, description="Time to save when asked to stop")
    reconcile_seconds: float = Field(default=2.0, gt=0, description="How often lost work is sought")
    ring_again_seconds: float = Field(default=5.0, gt=0, description="Unclaimed work rings again")
    max_file_bytes: int = Field(default=1 << 40, ge=1, description="The largest upload")
    max_part_bytes: int = Field(default=5 << 30, ge=1, description="The largest part of an upload")
    upload_seconds: float = Field(default=86_400.0, gt=0, description="Time to complete an upload")
    storage_quota_bytes: int | None = Field(
        default=None, ge=0, description="What a project's files may take, unless it has a number"
    )
    min_free_bytes: int = Field(default=1 << 28, ge=0, description="Disk that uploads leave free")
    max_json_bytes: int = Field(default=1 << 20, ge=1024, description="The largest JSON body")
    piece_bytes: int = Field(
        default=64_000_000, ge=1, description="Bytes of files that a worker reads at a time"
    )
    max_cache_bytes: int = Field(
        default=50_000_000_000, ge=0, description="What a worker keeps of a distant store"
    )
    num_devices: int = Field(default=1, ge=1, description="Devices that a training worker has")
    trainer_nice: int = Field(default=10, ge=0, le=19, description="Niceness of child processes")

    @model_validator(mode="after")
    def _fill_in_the_embedded_defaults(self) -> Self:
        data_dir = self.data_dir.expanduser().absolute()
        object.__setattr__(self, "data_dir", data_dir)
        embedded = {
            "database_url": f"sqlite:///{data_dir / 'pretrainer.db'}",
            "store_url": f"file://{data_dir / 'store'}",
        }
        for name, url in embedded.items():
            object.__setattr__(self, name, getattr(self, name) or url)
        return self

    @property
    def scratch_dir(self) -> Path:
        """Where attempts work; everything here can be made again."""
        return self.data_dir / "scratch"

    @property
    def cache_dir(self) -> Path:
        """Where a distant store's bytes are kept on this host; they can be brought again."""
        return self.data_dir / "cache"

    @property
    def kernel_dir(self) -> Path:
        """Where trainers keep the kernels that they compiled; they can be compiled again."""
        return self.data_dir / "kernels"

    @property
    def log_dir(self) -> Path:
        """Where each process and each attempt writes its log."""
        return self.data_dir / "logs"
