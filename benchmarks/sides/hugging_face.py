"""The side of ``transformers.Trainer``: ``python -m benchmarks.sides.hugging_face CASE ANSWER``.

Runs in a virtual environment of its own. Its defaults, but for the batch, the precision and what
would interrupt training.
"""

from __future__ import annotations

import resource
import tempfile
import time
from pathlib import Path

import torch
import transformers

from benchmarks.sides.speed_case import SpeedCase, answer_steps

_SEQUENCES_AT_A_TIME = 8  # Trainer's default


class StepClock(transformers.TrainerCallback):
    """Notes when each step ended."""

    def __init__(self) -> None:
        """Nothing has happened yet."""
        self.ended_at: list[float] = []

    def on_train_begin(self, *_: object, **__: object) -> None:
        """Training begins."""
        self.ended_at.append(time.perf_counter())

    def on_step_end(self, *_: object, **__: object) -> None:
        """The optimizer has moved the weights."""
        self.ended_at.append(time.perf_counter())


class Windows(torch.utils.data.Dataset[dict[str, torch.Tensor]]):
    """The text, window by window."""

    def __init__(self, tokens_NT: torch.Tensor) -> None:
        """``(N, T)``."""
        self._tokens_NT = tokens_NT

    def __len__(self) -> int:
        """N."""
        return len(self._tokens_NT)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        """One window."""
        return {"input_ids": self._tokens_NT[index]}


def main() -> None:
    """Train and answer."""
    case = SpeedCase.read()
    torch.set_num_threads(case.threads)
    config = transformers.AutoConfig.for_model(
        **{name: value for name, value in case.config.items() if name != "architectures"}
    )
    is_decoder = case.shape["architecture"] == "decoder"
    kind = transformers.AutoModelForCausalLM if is_decoder else transformers.AutoModelForMaskedLM
    at_a_time = min(_SEQUENCES_AT_A_TIME, case.sequences_per_step)
    clock = StepClock()
    with tempfile.TemporaryDirectory() as out:
        trainer = transformers.Trainer(
            model=kind.from_config(config),  # type: ignore[no-untyped-call]
            args=transformers.TrainingArguments(
                output_dir=out,
                max_steps=case.num_steps,
                per_device_train_batch_size=at_a_time,
                gradient_accumulation_steps=case.sequences_per_step // at_a_time,
                learning_rate=1e-3,
                bf16=case.precision == "bf16",
                torch_compile=case.compiled,
                use_cpu=not torch.cuda.is_available(),
                save_strategy="no",
                report_to=[],
                disable_tqdm=True,
            ),
            train_dataset=Windows(_windows(case)),
            data_collator=_collator(case),
            callbacks=[clock],
        )
        trainer.train()
    answer_steps(
        case,
        clock.ended_at,
        versions={"transformers": transformers.__version__, "torch": torch.__version__},
        resident_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        device_bytes=torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None,
    )


def _windows(case: SpeedCase) -> torch.Tensor:
    tokens: torch.Tensor = torch.load(Path(case.directory) / "windows.pt")
    return tokens[:, :-1].contiguous()


def _collator(case: SpeedCase) -> transformers.DataCollatorForLanguageModeling:
    tokenizer = transformers.PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_file=str(Path(case.directory) / "tokenizer.json"),
        pad_token="<|pad|>",
        mask_token="[MASK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
    )
    is_decoder = case.shape["architecture"] == "decoder"
    return transformers.DataCollatorForLanguageModeling(
        tokenizer, mlm=not is_decoder, mlm_probability=None if is_decoder else 0.3
    )


if __name__ == "__main__":
    main()
