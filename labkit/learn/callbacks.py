"""Callbacks of a training: keep the best and the last epoch, and report progress."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint, ProgressBar
from pytorch_lightning.callbacks.progress.tqdm_progress import Tqdm

from labkit.learn.checkpoint import write_state
from labkit.runfolder import HEADLESS

__all__ = ["KeepBestAndLast", "Progress"]

logger = logging.getLogger(__name__)


class KeepBestAndLast(Checkpoint):
    """Write the weights of the best epoch, and the whole state of the last one to resume from.

    Parameters
    ----------
    folder : path
        Folder of the model.
    monitor : str
        ``"validation_loss"`` or ``"validation_accuracy"``.
    """

    def __init__(self, folder: str | Path, *, monitor: str) -> None:
        self.folder, self.monitor = Path(folder), monitor
        self.best_score: float | None = None
        self.best_epoch = -1

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Keep the epoch if it is the best so far; the first of equals stays."""
        score = pl_module.history[-1][self.monitor]
        sign = -1 if self.monitor.endswith("loss") else 1
        if self.best_score is None or sign * score > sign * self.best_score:
            self.best_score, self.best_epoch = score, trainer.current_epoch
            about = {"epoch": self.best_epoch, self.monitor: score}
            write_state(
                self.folder / "weights.safetensors", {"network": pl_module.network.state_dict()}, about=about
            )
        trainer.save_checkpoint(self.folder / "last.safetensors")

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

    Parameters
    ----------
    bar : bool
        Show a bar where standard error is a terminal or a notebook.
    title : str
        What is trained.
    lines : int
        Lines that a headless notebook writes, at least 1.
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
