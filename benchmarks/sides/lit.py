"""The side of ``litgpt``'s pre-training: ``python -m benchmarks.sides.lit CASE ANSWER``.

Runs in a virtual environment of its own. Its defaults, which compile, but for model and batch; the
precision is its own choice unless the case is one of fp32.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import litgpt  # type: ignore[import-not-found]  # in an environment of its own
import torch
from litgpt.args import EvalArgs, TrainArgs  # type: ignore[import-not-found]
from litgpt.data import DataModule  # type: ignore[import-not-found]
from litgpt.pretrain import setup  # type: ignore[import-not-found]
from torch.utils.data import DataLoader, IterableDataset

from benchmarks.sides.speed_case import SpeedCase, answer_steps

_SEQUENCES_AT_A_TIME = 4  # its default


class Windows(IterableDataset[torch.Tensor]):
    """The text, window by window, again and again; notes when a step takes its first window."""

    def __init__(self, tokens_NT: torch.Tensor, *, per_step: int) -> None:
        """``(N, T)``."""
        self._tokens_NT = tokens_NT
        self._per_step = per_step
        self.taken_at: list[float] = []

    def __iter__(self) -> Iterator[torch.Tensor]:
        """Each window, for ever."""
        number = 0
        while True:
            if number % self._per_step == 0:
                self.taken_at.append(time.perf_counter())
            yield self._tokens_NT[number % len(self._tokens_NT)]
            number += 1


class Text(DataModule):  # type: ignore[misc]
    """The same windows to train on and to look at."""

    def __init__(self, case: SpeedCase) -> None:
        """Read them."""
        super().__init__()
        tokens: torch.Tensor = torch.load(Path(case.directory) / "windows.pt")
        self.windows = Windows(tokens, per_step=case.sequences_per_step)
        self._held_out = tokens[:_SEQUENCES_AT_A_TIME]
        self._batch_size = _SEQUENCES_AT_A_TIME

    def connect(
        self, tokenizer: object = None, batch_size: int = 1, max_seq_length: int | None = None
    ) -> None:
        """Take the size of a micro-batch."""
        del tokenizer, max_seq_length
        self._batch_size = batch_size

    def train_dataloader(self) -> DataLoader[torch.Tensor]:
        """To train on."""
        return DataLoader(self.windows, batch_size=self._batch_size)

    def val_dataloader(self) -> DataLoader[torch.Tensor]:
        """To look at before the first step."""
        return DataLoader(list(self._held_out), batch_size=self._batch_size)  # type: ignore[arg-type]


def main() -> None:
    """Train and answer."""
    case = SpeedCase.read()
    torch.set_num_threads(case.threads)
    text, shape = Text(case), case.shape
    config = litgpt.Config(
        name="benchmark",
        block_size=shape["context_length"],
        vocab_size=shape["vocab_size"],
        padded_vocab_size=shape["vocab_size"],
        n_layer=shape["layers"],
        n_head=shape["heads"],
        n_query_groups=shape["kv_heads"],
        n_embd=shape["width"],
        intermediate_size=shape["ffn_width"],
        rotary_percentage=1.0,
        parallel_residual=False,
        bias=False,
        norm_class_name="RMSNorm",
        mlp_class_name="LLaMAMLP",
        norm_eps=1e-6,
        norm_qk=True,
    )
    # its last checkpoint reads the command line once more
    arguments, sys.argv = sys.argv, ["litgpt", "benchmark"]
    with tempfile.TemporaryDirectory() as out:
        setup(
            model_name="benchmark",
            model_config=config,
            out_dir=Path(out),
            precision="32-true" if case.precision == "fp32" else None,
            data=text,
            train=TrainArgs(
                # one more step, whose first window says when the last one ended
                max_tokens=case.batch_tokens * (case.num_steps + 1),
                global_batch_size=case.sequences_per_step,
                micro_batch_size=_SEQUENCES_AT_A_TIME,
                lr_warmup_steps=2,
                max_norm=1.0,
                tie_embeddings=bool(shape["tie_embeddings"]),
            ),
            eval=EvalArgs(interval=10**9, max_iters=1, final_validation=False),
            logger_name="csv",
        )
    sys.argv = arguments
    answer_steps(
        case,
        text.windows.taken_at[: case.num_steps + 1],
        versions={"litgpt": version("litgpt"), "torch": torch.__version__},
        resident_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    )


if __name__ == "__main__":
    main()
