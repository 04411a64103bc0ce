from __future__ import annotations

from storage import keys
from storage.base import valid_key, valid_prefix


def test_every_key_is_valid_and_every_prefix_lies_where_it_says() -> None:
    assert valid_key(keys.file_blob("blob_1")) == "files/blob_1"
    assert valid_prefix(keys.corpus("corpus_1")) == "corpora/corpus_1/"
    assert valid_prefix(keys.tokenizer("tokenizer_1")) == "tokenizers/tokenizer_1/"
    assert valid_prefix(keys.dataset("ab" * 32)) == f"datasets/{'ab' * 32}/"


def test_attempts_at_the_same_step_write_to_different_prefixes_of_their_job() -> None:
    first, second = keys.checkpoint("job_1", 1000, 7), keys.checkpoint("job_1", 1000, 8)
    assert valid_prefix(first) == "checkpoints/job_1/step-00001000-f7/"
    assert first != second
    assert first.startswith(keys.job_checkpoints("job_1"))


def test_prefixes_sort_by_step() -> None:
    prefixes = [keys.checkpoint("job_1", step, 1) for step in (2, 10, 99_999_999)]
    assert sorted(prefixes) == prefixes


def test_every_key_of_a_checkpoint_tells_whose_it_is() -> None:
    prefix = keys.checkpoint("job_1", 1000, 7)
    address = keys.CheckpointAddress.of(f"{prefix}training_state/state.json")
    assert address == keys.CheckpointAddress(job_id="job_1", step=1000, fence=7)
    assert address.prefix == prefix
    assert keys.CheckpointAddress.of("checkpoints/job_1/notes.txt") is None
