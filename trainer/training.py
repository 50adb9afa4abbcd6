"""A whole training run: check everything, continue where the last run stopped, train the stages, leave the results.

```
train/<stage>/checkpoint-000123/   model in transformers' layout, optimizer.pt, state.json
train/metrics.jsonl  train/loss.png  train/summary.json
train/model/                       the final model with its tokenizer
```
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from tokenizers import Tokenizer

from trainer import checkpoint as ckpt
from trainer.data.tokens import sha256
from trainer.device import compile_layers, device_name, repeatable, resolve_device
from trainer.errors import CheckpointError, DataError, RequestError
from trainer.files import publish_folder, write_atomic
from trainer.generate import continue_text
from trainer.heldout import HeldOut
from trainer.loop import Loop, Position
from trainer.metrics import Metrics
from trainer.models import build, save_hf
from trainer.models.config import DecoderConfig
from trainer.models.decoder import Decoder
from trainer.optimizers import afm
from trainer.plot import plot_losses
from trainer.progress import TrainProgress
from trainer.recipe import TrainConfig
from trainer.stages.pretrain import PretrainStage
from trainer.summary import StageSummary, Summary
from trainer.timeline import plot_timeline, waited


@dataclass(frozen=True)
class Plan:
    """A checked run: every input was opened and agrees with the others; nothing has been written."""

    config: TrainConfig
    model: DecoderConfig
    stages: list[PretrainStage]
    """All stages of the recipe, in order."""
    selected: list[str]
    heldout: HeldOut
    tokenizer: Path
    tokenizer_sha256: str
    device: torch.device

    def settings(self, stage: PretrainStage) -> dict[str, Any]:
        """What a checkpoint of the stage depends on; a resume with anything else is refused."""
        names = [other.name for other in self.stages]
        upto = names[: names.index(stage.name) + 1]
        return {
            "model": self.model.model_dump(mode="json"),
            "seed": self.config.seed,
            "z_loss": self.config.z_loss,
            "optimizer": self.config.optimizer.model_dump(mode="json"),
            "stages": {name: self.config.stages[name].model_dump(mode="json") for name in upto},
            **({"compile": True} if self.config.compile and self.device.type == "cuda" else {}),
        }


def plan(run: Path, config: TrainConfig, stages: Sequence[str] | None = None) -> Plan:
    """Open and compare all inputs of a run: token folders, tokenizer, sizes, device.

    Raises:
        RequestError: an unknown stage, a vocabulary that does not fit, a warm-up longer than its stage, an unknown
        device. DataError: token folders or the tokenizer are missing, changed, or disagree with each other.
    """
    device = resolve_device(config.device)
    unknown = sorted(set(stages or ()) - set(config.stages))
    if unknown:
        raise RequestError(f"no stage {', '.join(unknown)} in the recipe; train.stages has {', '.join(config.stages)}")
    tokens = run / "tokens"
    built = [
        PretrainStage(
            name,
            settings,
            tokens / name,
            seed=config.seed,
            z_loss=config.z_loss,
            prefetch=config.prefetch,
            index=run / "packing",
        )
        for name, settings in config.stages.items()
    ]
    heldout = HeldOut(
        tokens / config.heldout.stage,
        sequence_length=config.heldout_sequence_length,
        batch_size=config.heldout.batch_size,
        max_tokens=config.heldout.max_tokens,
    )
    first = built[0].loader.stage
    for other in [*(stage.loader.stage for stage in built), heldout.loader.stage]:
        if other.manifest.tokenizer.sha256 != first.manifest.tokenizer.sha256:
            raise DataError(
                f"{other.manifest_path}: made with tokenizer {other.manifest.tokenizer.sha256}, but "
                f"{first.manifest_path} with {first.manifest.tokenizer.sha256}; all stages and the held-out set need "
                "one tokenizer"
            )
    if not first.tokenizer_path.is_file():
        raise DataError(f"{first.tokenizer_path}: not found; {first.manifest_path} names it as its tokenizer")
    digest = sha256(first.tokenizer_path)
    if digest != first.manifest.tokenizer.sha256:
        raise DataError(
            f"{first.tokenizer_path}: the tokenizer has changed: sha256 is {digest}, {first.manifest_path} expects "
            f"{first.manifest.tokenizer.sha256}"
        )
    vocabulary = first.manifest.vocab_size
    if config.model.vocab_size is not None and config.model.vocab_size < vocabulary:
        raise RequestError(
            f"train.model.vocab_size is {config.model.vocab_size}, but the tokenizer has {vocabulary} tokens"
        )
    longest = max(stage.settings.sequence_length for stage in built)
    model = config.model.resolve(vocab_size=vocabulary, sequence_length=longest)
    selected = [name for name in config.stages if stages is None or name in stages]
    return Plan(config, model, built, selected, heldout, first.tokenizer_path, digest, device)


def train(
    run: Path | str,
    config: TrainConfig,
    stages: Sequence[str] | None = None,
    out: Path | str | None = None,
    resume: bool = True,
    *,
    console: Console | None = None,
) -> Summary:
    """Train the stages of a recipe on a run folder's tokens and return (and write) the summary.

    Args:
        run: folder with `tokens/<stage>/` and `tokenizer/`.
        config: the recipe's `train:` section.
        stages: only these, in the recipe's order; a stage after the first needs the one before it finished in `out`.
        out: results; default `run/train`.
        resume: continue from the last checkpoint in `out`; False trains the selected stages again.
        console: where progress goes; default standard error.

    Raises:
        TrainerError: see `trainer.errors`; everything that can be checked is checked before the first step.
    """
    planned = plan(Path(run), config, stages)
    folder = Path(run) / "train" if out is None else Path(out)
    progress = TrainProgress(console or Console(stderr=True))
    with repeatable(planned.device, config.threads):
        return _Run(planned, folder, progress, resume).execute()


class _Run:
    def __init__(self, planned: Plan, out: Path, progress: TrainProgress, resume: bool) -> None:
        self.plan, self.out, self.progress = planned, out, progress
        self.names = [stage.name for stage in planned.stages]
        if not resume:
            self._forget(self.names.index(planned.selected[0]))
        for name in self.names:
            ckpt.clean(out / name)
        latest = [(i, found[-1]) for i, name in enumerate(self.names) if (found := ckpt.checkpoints(out / name))]
        self.at, self.checkpoint = latest[-1] if latest else (-1, None)
        self.state = None if self.checkpoint is None else ckpt.read_state(self.checkpoint)
        if self.state is not None:
            self._check_resume(self.state)
        self.metrics = Metrics(out / "metrics.jsonl")

    def execute(self) -> Summary:
        todo = [name for name in self.plan.selected if not self._finished(name)]
        self._check_order(todo)
        config = self.plan.config
        self.out.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(config.seed)
        if self.checkpoint is None:
            model = build(self.plan.model, seed=config.seed, device=self.plan.device)
        else:
            model = ckpt.load_model(self.checkpoint, self.plan.device)
        if config.compile:
            compile_layers(model, self.plan.device)
        parameters = sum(parameter.numel() for parameter in model.parameters())
        self.progress.say(f"{parameters:,} parameters on {device_name(self.plan.device)}")
        completed = [] if self.state is None else list(self.state.completed)
        loop = Loop(
            model, config.optimizer, self.plan.heldout, self.metrics, self.progress, self.out,
            config.evaluate_every, config.checkpoint_every,
        )  # fmt: skip
        for name in todo:
            completed = self._train_stage(loop, self.plan.stages[self.names.index(name)], completed)
        return self._finish(model, completed, parameters)

    def _train_stage(self, loop: Loop, stage: PretrainStage, completed: list[StageSummary]) -> list[StageSummary]:
        model, config, index = loop.model, self.plan.config, self.names.index(stage.name)
        optimizer = afm.build(
            model,
            config.optimizer,
            width=self.plan.model.width,
            peak_lr=stage.peak_lr,
            weight_decay=stage.weight_decay,
        )
        if self.state is not None and self.checkpoint is not None and index == self.at:
            stage.load_state_dict(self.state.loader)
            ckpt.load_optimizer(self.checkpoint, optimizer)
            ckpt.load_random(self.checkpoint)
            saved = self.state
            position = Position(saved.step, saved.seconds, saved.train_seconds, saved.heldout_start, saved.heldout_last)
            self.metrics.rewind(self.names, stage.name, position.step)
            self.progress.say(f"{stage.name}: resumed from {self.checkpoint}")
        else:
            if stage.settings.carry_optimizer and index:
                before = ckpt.checkpoints(self.out / self.names[index - 1])[-1]
                ckpt.load_optimizer(before, optimizer, groups=False)
            self.metrics.rewind(self.names, stage.name, -1)
            # The tokens are fixed: a stage starts with the held-out loss that the one before it ended with.
            start = completed[-1].heldout_end if completed else self.plan.heldout.loss(model)
            self.metrics.append({"stage": stage.name, "step": 0, "heldout_loss": start})
            position = Position(0, 0.0, 0.0, start, start)
        done = list(completed)

        def checkpoint(now: Position) -> None:
            nonlocal done
            if now.step == stage.steps:
                tokens = stage.steps * stage.tokens_per_step
                finished = StageSummary(
                    stage=stage.name,
                    steps=stage.steps,
                    tokens=tokens,
                    heldout_start=now.heldout_start,
                    heldout_end=now.heldout_last,
                    seconds=round(now.seconds, 3),
                    tokens_per_second=round(tokens / now.train_seconds, 1),
                    manifest_sha256=stage.loader.stage.digest,
                    order_sha256=stage.loader.order_digest,
                    data_seconds=round(waited(self.metrics.rows, stage.name), 3),
                )
                done = [*completed, finished]
            state = ckpt.CheckpointState(
                stage=stage.name,
                step=now.step,
                steps=stage.steps,
                loader=stage.state_dict(now.step),
                seconds=now.seconds,
                train_seconds=now.train_seconds,
                heldout_start=now.heldout_start,
                heldout_last=now.heldout_last,
                completed=done,
                settings=self.plan.settings(stage),
                tokenizer_sha256=self.plan.tokenizer_sha256,
                torch=str(torch.__version__),
            )
            folder, keep = self.out / stage.name, config.keep_checkpoints
            ckpt.save(folder, model, optimizer, state, tokenizer=self.plan.tokenizer, keep=keep)

        loop.run(stage, optimizer, position, checkpoint)
        plot_losses(self.metrics.rows, self.out / "loss.png")
        plot_timeline(self.metrics.rows, self.out / "timeline.png")
        self.progress.say(
            f"{stage.name}: held-out loss {done[-1].heldout_start:.4f} -> {done[-1].heldout_end:.4f}, "
            f"{done[-1].seconds:.1f} s"
        )
        return done

    def _finish(self, model: Decoder, completed: list[StageSummary], parameters: int) -> Summary:
        config, tokenizer = self.plan.config, Tokenizer.from_file(str(self.plan.tokenizer))
        wanted = config.generate.model_dump()
        generated = continue_text(model, tokenizer, wanted.pop("prompt"), stop_at_eos=False, **wanted)
        final, temporary, old = (
            self.out / "model",
            self.out / f".tmp-model-{os.getpid()}",
            self.out / ".old-model",
        )
        for leftover in (*self.out.glob(".tmp-model-*"), old):
            shutil.rmtree(leftover, ignore_errors=True)
        save_hf(model, temporary, self.plan.tokenizer)
        if final.exists():
            final.rename(old)
        publish_folder(temporary, final)
        shutil.rmtree(old, ignore_errors=True)
        summary = Summary(
            stages=completed,
            parameters=parameters,
            device=device_name(self.plan.device),
            generated=generated,
            model=final.name,
        )
        plot_losses(self.metrics.rows, self.out / "loss.png")
        write_atomic(self.out / "summary.json", (summary.model_dump_json(indent=2) + "\n").encode())
        self.progress.say(f"generated {generated.tokens} tokens:\n{generated.prompt}{generated.text}")
        return summary

    def _finished(self, name: str) -> bool:
        index = self.names.index(name)
        return index < self.at or (index == self.at and self.state is not None and self.state.finished)

    def _check_order(self, todo: list[str]) -> None:
        ready = self.at if self.state is not None and not self.state.finished else self.at + 1
        for name in todo:
            if self.names.index(name) != ready:
                raise RequestError(
                    f"stage {name} starts from the end of {self.names[self.names.index(name) - 1]}, which is not "
                    f"finished in {self.out}; train that stage first"
                )
            ready += 1

    def _check_resume(self, state: ckpt.CheckpointState) -> None:
        again = "restore it, or train again with resume=False (--no-resume)"
        stage = self.plan.stages[self.at]
        difference = _first_difference(state.settings, self.plan.settings(stage), "train")
        if difference is not None:
            field, was, now = difference
            raise CheckpointError(f"{self.checkpoint}: cannot resume: {field} was {was!r} and is {now!r} now; {again}")
        if state.tokenizer_sha256 != self.plan.tokenizer_sha256:
            raise CheckpointError(
                f"{self.checkpoint}: cannot resume: the tokenizer was {state.tokenizer_sha256} and is "
                f"{self.plan.tokenizer_sha256} now; {again}"
            )
        for summary in state.completed:
            loader = self.plan.stages[self.names.index(summary.stage)].loader
            # Documents may have been taken down since: the order is what must be the same.
            if loader.order_digest != summary.order_sha256:
                raise CheckpointError(
                    f"{self.checkpoint}: cannot resume: stage {summary.stage} was trained on a mixture whose manifest "
                    f"had sha256 {summary.manifest_sha256}, {loader.stage.manifest_path} has {loader.stage.digest} and "
                    f"lays its documents out in another order; {again}"
                )

    def _forget(self, first: int) -> None:
        """Remove the checkpoints of a stage and of those after it, which grew out of it."""
        for name in self.names[first:]:
            ckpt.clean(self.out / name)
            for path in ckpt.checkpoints(self.out / name):
                shutil.rmtree(path)


def _first_difference(was: Any, now: Any, path: str) -> tuple[str, Any, Any] | None:
    """Path and both values of the first field in which two JSON values differ."""
    if isinstance(was, dict) and isinstance(now, dict):
        for key in sorted({*was, *now}):
            found = _first_difference(was.get(key), now.get(key), f"{path}.{key}")
            if found is not None:
                return found
        return None
    return None if was == now else (path, was, now)
