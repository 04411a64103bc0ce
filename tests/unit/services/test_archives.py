from __future__ import annotations

import io
import random
import tarfile
from datetime import UTC, datetime
from pathlib import Path

from db.tables import CheckpointFile
from services.archives import Archive, plan_archive
from storage.base import Store
from storage.open import open_store

CONTENTS = {
    "config.json": b"{}",
    "empty": b"",
    "model.safetensors": random.Random(0).randbytes(5000),
    "training_state/" + "x" * 120 + ".json": b"x" * 512,
}


def planned(tmp_path: Path) -> tuple[Store, Archive]:
    store = open_store(f"file://{tmp_path}")
    files = []
    for name, content in CONTENTS.items():
        writer = store.writer(f"checkpoints/j/{name}")
        writer.write(content)
        stored = writer.commit()
        files.append(
            CheckpointFile(
                checkpoint_id="c", name=name, num_bytes=stored.num_bytes, sha256=stored.sha256
            )
        )
    moment = datetime(2030, 1, 1, tzinfo=UTC)
    plan = plan_archive(files, prefix="checkpoints/j/", folder="ckpt_1", modified_at=moment)
    return store, plan


def test_the_stream_is_a_tar_file_of_the_folder_as_long_as_announced(tmp_path: Path) -> None:
    store, archive = planned(tmp_path)
    whole = b"".join(archive.read(store, start=0, end=archive.num_bytes))
    assert len(whole) == archive.num_bytes
    with tarfile.open(fileobj=io.BytesIO(whole)) as tar:
        members = tar.getmembers()
        assert {member.name for member in members} == {f"ckpt_1/{name}" for name in CONTENTS}
        for member in members:
            content = tar.extractfile(member)
            assert content is not None
            assert content.read() == CONTENTS[member.name.removeprefix("ckpt_1/")]


def test_any_stretch_is_what_it_is_in_the_whole(tmp_path: Path) -> None:
    store, archive = planned(tmp_path)
    whole = b"".join(archive.read(store, start=0, end=archive.num_bytes))
    generator = random.Random(1)
    for _ in range(100):
        start, end = sorted(generator.sample(range(archive.num_bytes + 1), 2))
        assert b"".join(archive.read(store, start=start, end=end)) == whole[start:end]
