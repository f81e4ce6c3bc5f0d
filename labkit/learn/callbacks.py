"""What a training tells Lightning: keep the best and the last epoch, safely, and report progress."""

from __future__ import annotations

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
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint, ProgressBar
from pytorch_lightning.callbacks.progress.tqdm_progress import Tqdm
from pytorch_lightning.plugins.io import CheckpointIO

from labkit.learn.checkpoint import read_state, write_state
from labkit.runfolder import HEADLESS

logger = logging.getLogger(__name__)


def move_staged(staging: Path, folder: Path) -> None:
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
            move_staged(self.staging, self.folder)
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
            self._bar = Tqdm(
                total=trainer.max_epochs,
                initial=trainer.current_epoch,
                desc=self.title,
                unit="epoch",
                mininterval=0.5,
            )

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Move the bar on, or log a line."""
        row = pl_module.history[-1]
        if self._bar is None:
            epoch, epochs = row["epoch"] + 1, trainer.max_epochs or 1
            values = ", ".join(f"{name} {value:.4g}" for name, value in row.items() if name != "epoch")
            line = f"{self.title}: epoch {epoch} of {epochs}: {values}"
            logger.info(line)
            if self._headless and (self.lines * epoch) // epochs > (self.lines * (epoch - 1)) // epochs:
                sys.stderr.write(f"{line}\n")
        else:
            shown = ("train_loss", "validation_loss", "validation_accuracy")
            self._bar.set_postfix({name: f"{row[name]:.3f}" for name in shown}, refresh=False)
            self._bar.update()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Close the bar."""
        self._close()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Close the bar, so that what is printed next stands on its own line."""
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


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
