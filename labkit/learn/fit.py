"""Train an Experiment on a Sample: stop when you like, resume where it was, use the best epoch.

What identifies a training (the experiment's digest, seed, fold, Sample and labels), its history and whether
it is finished stand in ``last.safetensors`` of the model's folder. An equal call goes on from there.
"""

import logging
import os
import shutil
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, Checkpoint, EarlyStopping, ProgressBar
from pytorch_lightning.callbacks.progress.tqdm_progress import Tqdm
from pytorch_lightning.plugins.io import CheckpointIO

from labkit.errors import InputError
from labkit.experiment import Experiment
from labkit.learn.augment import further_positions
from labkit.learn.checkpoint import read_about, read_state, write_state
from labkit.learn.device import choose_device, choose_precision, reused_memory, sky_level
from labkit.learn.loggers import check_logger, open_logger
from labkit.learn.model import Fitted, Model, model_folder
from labkit.learn.parts import Part, parts_digest, split_for_training, training_scales
from labkit.learn.reference import keep_reference
from labkit.learn.resident import (
    BalancedBatches,
    OrderedBatches,
    Resident,
    ShuffledBatches,
    hold,
    seed_of,
    shared_images,
)
from labkit.learn.start import begin_with, read_start, weights_digest
from labkit.learn.targets import Scales, standardise
from labkit.learn.task import TrainingTask
from labkit.paths import file_hash
from labkit.runfolder import HEADLESS, RunFolder
from labkit.sample import Sample

log = logging.getLogger(__name__)


def train(
    experiment: Experiment,
    sample: Sample,
    *,
    run: str | Path | RunFolder,
    seed: int | None = None,
    fold: int | None = None,
    device: str | torch.device = "auto",
    resume: bool = True,
    start: str | Path | Fitted | None = None,
    other: Literal["refuse", "replace"] = "refuse",
    progress: bool = True,
    logger: str | None = None,
    callbacks: tuple[Callback, ...] = (),
) -> Fitted:
    """Train one network and keep its best epoch.

    An epoch is as many batches as fill the training set once, class-balanced (Kosiba et al. 2020,
    section 5.2) or shuffled, then validation. On the CPU, a training that was killed and is resumed gives
    the same weights, bit for bit, as one that was not. The images stay on the device for the next run on the
    same objects (`labkit.learn.release`).

    Parameters
    ----------
    experiment : Experiment
        What to train.
    sample : Sample
        Normalised images (uint8) with labels and, without folds, parts.
    run : path or RunFolder
        Run folder; the model is kept in its ``checkpoints``, see `model_folder`.
    seed, fold : int, optional
        Of this run; default the experiment's first seed and, with folds, the first fold.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"cuda:<n>"``.
    resume : bool
        Go on with, or return, what an equal call left; False starts again.
    start : path or Fitted, optional
        Trained model to fine-tune, or its folder; the experiment's own `start` by default.
    other : {"refuse", "replace"}
        What to do where the folder holds another training of that name, seed and fold. It is replaced when
        the first epoch of this one is kept, not before.
    progress : bool
        A bar where someone watches; otherwise a log line per epoch.
    logger : {"csv", "tensorboard", "mlflow"}, optional
        Where the numbers of each epoch go, too: ``logs`` in the run folder, or the server that
        ``MLFLOW_TRACKING_URI`` names.
    callbacks : tuple of Lightning callbacks
        Further callbacks.

    Returns
    -------
    Fitted
        The model of the best epoch and the history. After an interrupt, of the epochs so far.

    Raises
    ------
    InputError
        If Sample, Experiment and start do not fit, such as by a target that no object has or all have alike,
        the folder holds another training, or the logger's package is not installed.
    TrainingError
        If the loss is no longer finite.
    KeyboardInterrupt
        If training is stopped before its first epoch ends.
    """
    check_logger(logger)
    start = start.folder if isinstance(start, Fitted) else start
    experiment = experiment if start is None else experiment.changed(start=start)
    seed = experiment.seeds[0] if seed is None else seed
    fold = (0 if experiment.folds else -1) if fold is None else fold
    where = choose_device(device)
    parts = split_for_training(experiment, sample, fold=fold)
    scales = training_scales(experiment, sample, parts)
    beginning = read_start(experiment)
    folder = model_folder(run, experiment, seed, fold)
    folder.mkdir(parents=True, exist_ok=True)
    labels = parts_digest(sample, parts)
    identity = {"experiment": experiment.digest, "seed": seed, "fold": fold}
    identity |= {"sample": sample.content_hash, "labels": labels}
    identity["start"] = None if beginning is None else weights_digest(beginning)
    identity["units"] = {target: scale["unit"] for target, scale in scales.items()}
    if isinstance(experiment.pretrained, str) and Path(experiment.pretrained).is_file():
        identity["pretrained"] = file_hash(experiment.pretrained)

    def fitted(*, interrupted: bool = False) -> Fitted:
        """What is in the folder, with its reference."""
        found = _fitted(folder, interrupted=interrupted)
        keep_reference(found.model, folder, sample, parts, device=where)
        return found

    staging = _staging(folder)
    last = _state_to_resume(folder, identity, resume=resume, replace=other == "replace")
    if last is not None and read_about(last)["finished"]:
        log.info("%s is trained already: %s", experiment.name, folder)
        return fitted()
    sky = sky_level(sample.provenance.get("normalisation"))
    drawn_from = seed if fold < 0 else seed_of(seed, fold, 4)  # folds differ in their first weights, too
    task = TrainingTask(experiment, seed=drawn_from, sky=sky, identity=identity)
    started_from = None if beginning is None else begin_with(task.network, experiment, beginning)
    began_with = read_about(last).get("precision") if last is not None else None  # maybe on another machine
    task.precision = began_with or choose_precision(
        experiment.precision, task.network, image_size=experiment.image_size, device=where
    )
    model = Model.of(
        experiment, task.network, sample, seed=seed, fold=fold, trained_on=labels, precision=task.precision,
        target_scales=scales, started_from=started_from,
    )  # fmt: skip
    staging.mkdir()
    model.describe(staging if last is None else folder)
    title = f"{experiment.name}, seed {seed}" + (f", fold {fold}" if fold >= 0 else "")
    shown = Progress(bar=progress, title=title, lines=max(1, 10 // len(experiment.runs)))
    keeper = KeepBestAndLast(folder, monitor=experiment.monitor, staging=staging if last is None else None)
    noted = open_logger(logger, Path(run), folder, experiment)
    about: dict[str, Any] = {"callbacks": (shown, *callbacks, keeper), "logger": noted}
    try:
        _run(task, sample, parts, scales, where, last, default_root_dir=folder, **about)
    except (StopError, SystemExit) as error:
        if isinstance(error, SystemExit) and not isinstance(error.__context__, KeyboardInterrupt):
            raise
        if keeper.staging is not None:
            kept = "the older one of that name stays" if (folder / "weights.safetensors").is_file() else ""
            raise KeyboardInterrupt(
                f"training of {experiment.name!r} was stopped before its first epoch ended, "
                f"so there is no model yet{kept and '; ' + kept}"
            ) from None
        log.info("%s was stopped; the best epoch so far is in %s", experiment.name, folder)
        return fitted(interrupted=True)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return fitted()


def _state_to_resume(folder: Path, identity: dict[str, Any], *, resume: bool, replace: bool) -> Path | None:
    """The state of an equal training that is there; None to begin one, whatever is there."""
    last = folder / "last.safetensors"
    if not resume or not last.is_file():
        return None
    found = read_about(last).get("identity", {})
    differing = [name for name in identity if found.get(name) != identity[name]]
    if differing and not replace:
        raise InputError(
            f"run must be a folder of this training, but {str(folder)!r} holds one with another "
            f"{' and '.join(differing)}; choose another run folder or experiment name, "
            "or other='replace'"
        )
    return None if differing else last


def _staging(folder: Path) -> Path:
    """An empty folder for the files of a new training, after what a killed call left there is put right."""
    staging = folder / ".new"
    if (staging / "last.safetensors").is_file():  # killed between its first epoch's last file and its place
        _move_staged(staging, folder)
    shutil.rmtree(staging, ignore_errors=True)
    return staging


def _run(
    task: TrainingTask,
    sample: Sample,
    parts: dict[str, Part],
    scales: Scales,
    device: torch.device,
    last: Path | None,
    *,
    callbacks: tuple[Callback, ...],
    **about: Any,
) -> None:
    """Hold the images and let Lightning train; `about` are further options of its Trainer."""
    experiment, on_gpu = task.experiment, device.type == "cuda"
    if (patience := experiment.early_stopping_patience) is not None:
        mode = "min" if experiment.monitor.endswith("loss") else "max"
        rule: dict[str, Any] = {"patience": patience, "mode": mode, "check_on_train_epoch_end": True}
        callbacks = (*callbacks, EarlyStopping(experiment.monitor, **rule))
    with quiet():
        trainer = pl.Trainer(
            max_epochs=experiment.epochs,
            accelerator="gpu" if on_gpu else "cpu",
            devices=[device.index or 0] if on_gpu else 1,
            precision="bf16-mixed" if task.precision == "bf16" else "32-true",
            callbacks=list(callbacks),
            plugins=[SafeCheckpointIO()],
            num_sanity_val_steps=0,
            enable_model_summary=False,
            benchmark=on_gpu,
            **about,
        )
    held, rows = _hold(experiment, sample, parts, scales, device)
    places, positions = further_positions(experiment, sample, parts["train"].rows)
    kind = {"balanced": BalancedBatches, "shuffled": ShuffledBatches}[experiment.batches]
    chosen = {"rows": rows["train"][torch.from_numpy(places)], "positions": torch.from_numpy(positions)}
    batches = kind(held, batch_size=experiment.batch_size, seed=task.seed, **chosen)
    watched = OrderedBatches(held, rows=rows[experiment.validated_on])
    devices = [device] if on_gpu else []
    with quiet(), stoppable(), reused_memory(), torch.random.fork_rng(devices=devices):
        trainer.fit(task, batches, watched, ckpt_path=last)


def _hold(
    experiment: Experiment, sample: Sample, parts: dict[str, Part], scales: Scales, device: torch.device
) -> tuple[Resident, dict[str, torch.Tensor]]:
    """Every object of any part, held once, and the rows of each part among them."""
    objects = np.concatenate([part.rows for part in parts.values()])
    order = np.argsort(objects)  # the same objects in the same order for every fold
    images = shared_images(experiment, sample, objects[order], device=device)
    codes = np.concatenate([part.codes for part in parts.values()])[order]
    target = None
    if found := [part.target for part in parts.values() if part.target is not None]:
        target = np.concatenate(found)[order]
        target = standardise(scales, target) if scales else target
    rows = {
        name: torch.from_numpy(np.searchsorted(objects[order], part.rows)) for name, part in parts.items()
    }
    return hold(images, codes, target=target), rows


def _fitted(folder: Path, *, interrupted: bool = False) -> Fitted:
    history = read_about(folder / "last.safetensors")["history"]
    best = read_about(folder / "weights.safetensors")["epoch"]
    return Fitted(Model.load(folder), history, best, folder, interrupted)


def _move_staged(staging: Path, folder: Path) -> None:
    """Give the files of a new training their places, the state last, so that a killed move can be ended."""
    for name in ("model.json", "weights.safetensors", "last.safetensors"):
        if (staging / name).exists():
            (staging / name).replace(folder / name)
    shutil.rmtree(staging, ignore_errors=True)


class KeepBestAndLast(Checkpoint):
    """Write the weights of the best epoch, and the whole state of the last one to resume from.

    The files of a new training begin in a `staging` folder, which may hold ``model.json``. Once its first
    epoch is there, all of them take the places of older ones in `folder`: an older training of the same name
    stays whole until then.
    """

    def __init__(self, folder: Path, *, monitor: str, staging: Path | None = None) -> None:
        self.folder, self.staging, self.monitor = folder, staging, monitor
        self.best_score: float | None = None
        self.best_epoch = -1

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Keep the epoch if it is the best so far; the first of equals stays."""
        folder = self.staging or self.folder
        score = pl_module.history[-1][self.monitor]
        sign = -1 if self.monitor.endswith("loss") else 1
        if self.best_score is None or sign * score > sign * self.best_score:
            self.best_score, self.best_epoch = score, trainer.current_epoch
            about = {"epoch": self.best_epoch, self.monitor: score}
            state = {"network": pl_module.network.state_dict()}
            write_state(folder / "weights.safetensors", state, about=about)
        trainer.save_checkpoint(folder / "last.safetensors")
        if self.staging is not None:
            _move_staged(self.staging, self.folder)
            self.staging = None

    def state_dict(self) -> dict[str, Any]:
        """Best score and epoch."""
        return {"best_score": self.best_score, "best_epoch": self.best_epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a state."""
        self.best_score, self.best_epoch = state_dict["best_score"], state_dict["best_epoch"]


class Progress(ProgressBar):
    """One bar for a person who watches, one log line an epoch for everyone else.

    A notebook that runs headlessly (its kernel has `HEADLESS` in its environment) writes `lines` lines over
    the training instead, which the batch's log shows.
    """

    def __init__(self, *, bar: bool, title: str, lines: int = 10) -> None:
        super().__init__()
        self.title, self.lines = title, lines
        self._headless = bar and HEADLESS in os.environ
        self._wanted = bar and not self._headless and (sys.stderr.isatty() or "ipykernel" in sys.modules)
        self._bar: Any = None

    def disable(self) -> None:
        """Show no bar (Lightning calls this on all processes but one)."""
        self._wanted = False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Open the bar."""
        if self._wanted:
            options = {"desc": self.title, "unit": "epoch", "mininterval": 0.5}
            self._bar = Tqdm(total=trainer.max_epochs, initial=trainer.current_epoch, **options)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Move the bar on, or log a line."""
        row = pl_module.history[-1]
        if self._bar is None:
            epoch, epochs = row["epoch"] + 1, trainer.max_epochs or 1
            values = ", ".join(f"{name} {value:.4g}" for name, value in row.items() if name != "epoch")
            line = f"{self.title}: epoch {epoch} of {epochs}: {values}"
            log.info(line)
            if self._headless and (self.lines * epoch) // epochs > (self.lines * (epoch - 1)) // epochs:
                sys.stderr.write(f"{line}\n")
        else:
            shown = ("train_loss", "validation_loss", "validation_accuracy", "validation_error")
            self._bar.set_postfix({name: f"{row[name]:.3f}" for name in shown if name in row}, refresh=False)
            self._bar.update()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Close the bar, so that what is printed next stands on its own line."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def on_exception(self, trainer: pl.Trainer, pl_module: Any, exception: BaseException) -> None:
        """Close the bar."""
        self.on_train_end(trainer, pl_module)


class SafeCheckpointIO(CheckpointIO):
    """Lets a Lightning Trainer write and resume from safe checkpoints.

    The entry ``"labkit"`` of the checkpoint, where there is one, can be read alone by `read_about`.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Write Lightning's checkpoint with `write_state`."""
        write_state(path, checkpoint, about=checkpoint.get("labkit"))

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read Lightning's checkpoint with `read_state`."""
        return read_state(path)

    def remove_checkpoint(self, path: str | Path) -> None:
        """Delete a checkpoint."""
        Path(path).unlink(missing_ok=True)


class StopError(Exception):
    """The user's stop, raised instead of KeyboardInterrupt, at which Lightning ends the process."""


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Lightning's banners and hints out of the user's log; warnings of this set-up do not apply."""
    log = logging.getLogger("pytorch_lightning")
    level = log.level
    log.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)
            warnings.filterwarnings("ignore", message="GPU available but not used")
            warnings.filterwarnings("ignore", message="The number of training batches")  # of a logger
            yield
    finally:
        log.setLevel(level)


@contextmanager
def stoppable() -> Iterator[None]:
    """Turn the stop button (SIGINT) into an exception that leaves the session usable."""

    def stop(signum: int, frame: Any) -> None:
        raise StopError

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before or signal.default_int_handler)
