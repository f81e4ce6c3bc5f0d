"""The Lightning task, with the optimisers and the learning-rate schedule of the papers."""

import math
from collections.abc import Iterable
from functools import partial
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.lr_scheduler import LambdaLR

from labkit.errors import TrainingError
from labkit.experiment import SGD, Adadelta, AdamW, Experiment, RightAngles
from labkit.learn.augment import augment
from labkit.learn.device import as_input
from labkit.learn.networks import build_network
from labkit.learn.resident import seed_of
from labkit.learn.start import freeze, parameter_groups
from labkit.learn.targets import gaussian_losses

#: Smallest gain of the monitored quantity that counts as improvement (Keras' `min_delta`).
_MIN_DELTA = 1e-4
_RISE = 0.25  # share of a one-cycle schedule in which the rate rises


def build_optimiser(
    parameters: Iterable[nn.Parameter] | list[dict[str, Any]], settings: SGD | Adadelta | AdamW
) -> torch.optim.Optimizer:
    """The optimiser of an experiment, at its initial learning rate, which `KerasSchedule` moves.

    torch multiplies the SGD velocity by the present learning rate, Keras each gradient by the rate of its
    own step; at a decay of 1e-6 a step the difference is below 1e-5 of a step.
    """
    rate = settings.learning_rate
    if isinstance(settings, SGD):
        nesterov = settings.nesterov and settings.momentum > 0
        return torch.optim.SGD(parameters, lr=rate, momentum=settings.momentum, nesterov=nesterov)
    if isinstance(settings, Adadelta):
        # epsilon is Keras' of that time, torch's is 1e-6
        return torch.optim.Adadelta(parameters, lr=rate, rho=settings.rho, eps=1e-7)
    return torch.optim.AdamW(parameters, lr=rate, weight_decay=settings.weight_decay)


class KerasSchedule:
    r"""Keras' time decay of every step, with Keras' reduction on a plateau.

    Step k (from 0) uses :math:`\eta_k = \eta / (1 + d\,k)` with the decay d. When the monitored quantity
    (Kosiba et al.: validation accuracy; Angora et al., appendix A.2: validation loss) has not improved for
    `plateau_patience` epochs, :math:`\eta` becomes :math:`\max(f\,\eta, \eta_{min})`. For Table 4's minimal
    rate, which lets the rule never act, see `labkit.experiment.SGD`.
    """

    def __init__(self, settings: SGD | Adadelta | AdamW) -> None:
        self.settings = settings
        self.base_rate = settings.learning_rate
        self.best = -float("inf")
        self.waited = 0

    def rate(self, step: int) -> float:
        """Learning rate of a step, counted from 0."""
        return self.base_rate / (1 + self.settings.decay * step)

    def end_epoch(self, gain: float) -> None:
        """Take note of an epoch's score, higher is better, and reduce the base rate on a plateau."""
        if gain > self.best + _MIN_DELTA:
            self.best, self.waited = gain, 0
            return
        self.waited += 1
        if self.waited >= self.settings.plateau_patience:
            self.waited = 0
            reduced = max(self.base_rate * self.settings.plateau_factor, self.settings.minimal_learning_rate)
            self.base_rate = min(self.base_rate, reduced)

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` needs to go on."""
        return {"base_rate": self.base_rate, "best": self.best, "waited": self.waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self.base_rate, self.best, self.waited = state["base_rate"], state["best"], state["waited"]


def one_cycle(step: int, steps: int) -> float:
    """Share of the peak rate at a step, counted from 0: half a cosine up, one three times as long down.

    torch's own OneCycleLR divides by zero where a training has four steps.
    """
    top = max(1, round(_RISE * steps))
    phase = (step + 1) / top if step < top else (steps - step) / (steps - top + 1)
    return (1 - math.cos(math.pi * phase)) / 2


class TrainingTask(pl.LightningModule):
    """Train a network of an experiment with cross entropy, or with a likelihood where it learns numbers.

    Batches are dictionaries with ``image`` (uint8, shape (n, band, y, x)), ``label`` (int64, shape (n,)) and
    maybe ``target``. Where labels are soft, these are fractions, shape (n, classes): the loss is then the
    cross entropy with them, while accuracy counts the hard labels. Where numbers are learned, these are
    standardised, shape (n, targets); the history holds their negative log-likelihood and, instead of the
    accuracy, the ``error``, the root mean square in units of the training set's scatter. Everything random
    in an epoch (dropout, augmentation) follows from the run's seed and the epoch's number, so a resumed run
    continues exactly as an unbroken one. `sky` is the grey level of empty sky; `identity` holds JSON-able
    facts that must be equal for a checkpoint to be resumed.
    """

    def __init__(
        self, experiment: Experiment, *, seed: int = 0, sky: int = 0, identity: dict[str, Any] | None = None
    ) -> None:
        super().__init__()
        self.experiment, self.seed, self.sky = experiment, seed, sky
        self.identity = dict(identity or {})
        self.precision = "fp32"  # what the training computes in; a resumed one keeps it
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_of(seed, 0, 1))
            self.network = build_network(experiment)
        self._frozen = freeze(self.network, experiment)
        self.schedule = KerasSchedule(experiment.optimiser)
        self._one_cycle = getattr(experiment.optimiser, "schedule", "plateau") == "one cycle"
        self.history: list[dict[str, float]] = []
        self._draws = torch.Generator()
        self._totals: dict[str, tuple[int, Tensor]] = {}  # images, (sum of losses, number right or squares)

    def configure_optimizers(self) -> Any:
        """The experiment's optimiser; `KerasSchedule` moves its learning rate, or `one_cycle`."""
        settings = self.experiment.optimiser
        optimiser = build_optimiser(parameter_groups(self.network, self.experiment), settings)
        if not self._one_cycle:
            return optimiser
        for group in optimiser.param_groups:
            group["lr"] *= group.get("lr_scale", 1.0)
        cycle = LambdaLR(optimiser, partial(one_cycle, steps=int(self.trainer.estimated_stepping_batches)))
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": cycle, "interval": "step"}}

    def on_train_epoch_start(self) -> None:
        """Keep the running means of frozen layers, too."""
        for layer in self._frozen:
            layer.eval()

    def forward(self, images: Tensor) -> Tensor:
        """The network's outputs, shape (n, outputs), of images as bytes, shape (n, band, y, x)."""
        return self.network(as_input(images, sky=self.sky))

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """Loss of one augmented batch."""
        images, settings = batch["image"], self.experiment.augmentation
        if settings is not None and not (isinstance(settings, RightAngles) and settings.drawn == "once"):
            images = augment(images, settings, generator=self._draws)
        return self._shared_step("train", batch | {"image": images})

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Add one batch to the validation totals."""
        self._shared_step("validation", batch)

    def _shared_step(self, stage: str, batch: dict[str, Tensor]) -> Tensor:
        outputs, labels = self(batch["image"]).float(), batch["label"]
        if self.experiment.targets:
            loss, noted, second = gaussian_losses(outputs, batch["target"])
        else:
            loss = functional.cross_entropy(outputs, batch.get("target", labels))
            noted, second = loss.detach(), (outputs.detach().argmax(1) == labels).sum()
        summed = torch.stack([noted * len(labels), second]).double()
        n, total = self._totals.get(stage, (0, 0))
        self._totals[stage] = (n + len(labels), total + summed)
        return loss

    def _means(self, stage: str) -> dict[str, float]:
        """Mean loss, and accuracy or error, since the last call; the only wait for the device in an epoch."""
        n, total = self._totals.pop(stage)
        loss, second = (total / n).tolist()
        quality = {"error": second**0.5} if self.experiment.targets else {"accuracy": second}
        return {f"{stage}_loss": loss} | {f"{stage}_{name}": value for name, value in quality.items()}

    def on_train_batch_start(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Seed an epoch's random numbers and set the step's learning rate."""
        if batch_idx == 0:
            self._totals.pop("train", None)
            torch.manual_seed(seed_of(self.seed, self.current_epoch, 2))
            self._draws.manual_seed(seed_of(self.seed, self.current_epoch, 3))
        rate = self.schedule.rate(self.global_step)
        for group in () if self._one_cycle else self.trainer.optimizers[0].param_groups:
            group["lr"] = rate * group.get("lr_scale", 1.0)

    def on_validation_epoch_start(self) -> None:
        """Begin the validation totals anew."""
        self._totals.pop("validation", None)

    def on_validation_epoch_end(self) -> None:
        """Log the epoch and move the schedule."""
        rate = self.schedule.rate(self.global_step)
        if self._one_cycle:
            rate = max(group["lr"] for group in self.trainer.optimizers[0].param_groups)
        row = {"epoch": self.current_epoch, "learning_rate": rate}
        row |= (self._means("train") if "train" in self._totals else {}) | self._means("validation")
        if bad := [name for name, value in row.items() if not math.isfinite(value)]:
            raise TrainingError(
                f"{bad[0]} must be finite, got {row[bad[0]]} in epoch {self.current_epoch} (counted from 0) "
                f"at learning rate {row['learning_rate']:.3g}; lower optimiser.learning_rate "
                "or use precision='fp32'"
            )
        self.log_dict({name: value for name, value in row.items() if name != "epoch"})
        watched = self.experiment.plateau_monitor
        self.schedule.end_epoch(-row[watched] if watched.endswith("loss") else row[watched])
        self.history.append(row)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what a resumed run needs to the checkpoint."""
        finished = self.trainer.should_stop or self.current_epoch + 1 >= self.experiment.epochs
        checkpoint["labkit"] = {
            "identity": self.identity,
            "precision": self.precision,
            "finished": bool(finished),
            "history": self.history,
            "schedule": self.schedule.state_dict(),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.history = list(checkpoint["labkit"]["history"])
        self.schedule.load_state_dict(checkpoint["labkit"]["schedule"])
