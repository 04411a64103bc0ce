"""``transformers.Trainer``'s side of the quality benchmark.

``python -m benchmarks.sides.quality_trainer CASE ANSWER``, in a virtual environment of its own:
AdamW with the settings that are usual for language models, warm-up and a cosine fitted to the time.
"""

from __future__ import annotations

import math
import time
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file

from benchmarks.sides.case import answer
from benchmarks.sides.quality_case import QualityCase

_SEQUENCES_AT_A_TIME = 8  # Trainer's default
_WARMUP = 0.02


class Clock(transformers.TrainerCallback):
    """Ends training when its time is over, and says how much of it has gone."""

    def __init__(self, seconds: float) -> None:
        """The time runs from now on."""
        self._seconds = seconds
        self._started = time.perf_counter()
        self.elapsed = 0.0

    def rate_factor(self, _step: int) -> float:
        """The share of the peak rate: warm-up and cosine over the time."""
        progress = min(1.0, (time.perf_counter() - self._started) / self._seconds)
        if progress < _WARMUP:
            return progress / _WARMUP
        return 0.5 * (1 + math.cos(math.pi * (progress - _WARMUP) / (1 - _WARMUP)))

    def on_step_end(
        self, args: object, state: object, control: transformers.TrainerControl, **_: object
    ) -> None:
        """Stop once the time is over."""
        del args, state
        self.elapsed = time.perf_counter() - self._started
        control.should_training_stop = self.elapsed >= self._seconds


class Windows(torch.utils.data.Dataset[dict[str, torch.Tensor]]):
    """The text, window by window."""

    def __init__(self, tokens_NT: torch.Tensor) -> None:
        """``(N, T)``."""
        self._tokens_NT = tokens_NT

    def __len__(self) -> int:
        """N."""
        return len(self._tokens_NT)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        """One window; the model itself shifts its labels."""
        return {"input_ids": self._tokens_NT[index], "labels": self._tokens_NT[index]}


def main() -> None:
    """Train and answer."""
    case = QualityCase.read()
    torch.set_num_threads(case.threads)
    transformers.set_seed(case.seed)
    config = transformers.AutoConfig.for_model(
        **{name: value for name, value in case.config.items() if name != "architectures"}
    )
    model = transformers.AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=case.learning_rate, betas=(0.9, 0.95), weight_decay=0.1
    )
    at_a_time = min(_SEQUENCES_AT_A_TIME, case.sequences_per_step)
    windows = Windows(torch.load(Path(case.directory) / "windows.pt"))
    clock = Clock(case.seconds)
    trainer = transformers.Trainer(
        model=model,
        args=transformers.TrainingArguments(
            output_dir=case.out,
            max_steps=10**6,
            per_device_train_batch_size=at_a_time,
            gradient_accumulation_steps=case.sequences_per_step // at_a_time,
            bf16=case.precision == "bf16",
            torch_compile=case.compiled,
            use_cpu=not torch.cuda.is_available(),
            seed=case.seed,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
        ),
        train_dataset=windows,
        optimizers=(
            optimizer,
            torch.optim.lr_scheduler.LambdaLR(optimizer, clock.rate_factor),
        ),
        callbacks=[clock],
    )
    trainer.train()
    weights = {
        name: parameter.detach().float().cpu().contiguous()
        for name, parameter in model.named_parameters()
    }
    save_file(weights, Path(case.out) / "model.safetensors", {"format": "pt"})
    answer(
        seconds=clock.elapsed,
        num_steps=trainer.state.global_step,
        versions={"transformers": transformers.__version__, "torch": torch.__version__},
    )


if __name__ == "__main__":
    main()
