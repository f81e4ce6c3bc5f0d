"""Optimisers and the learning-rate schedule of Kosiba et al. 2020 (Table 4) and Angora et al. 2020."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from labkit.experiment import SGD, Adadelta, AdamW

#: Smallest gain of the monitored quantity that counts as improvement (Keras' `min_delta`).
MIN_DELTA = 1e-4


def build_optimiser(
    parameters: Iterable[nn.Parameter], settings: SGD | Adadelta | AdamW
) -> torch.optim.Optimizer:
    """The optimiser of an experiment, at its initial learning rate.

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

    Step k (from 0) uses :math:`\eta_k = \eta / (1 + d\,k)` with the decay d. When the monitored
    quantity (Kosiba et al.: validation accuracy; Angora et al., appendix A.2: validation loss) has not
    improved for `plateau_patience` epochs, :math:`\eta` becomes :math:`\max(f\,\eta, \eta_{min})`.

    Table 4 gives the custom network a minimal rate equal to the initial one, 1e-4, so its plateau
    rule never acts; the authors' released script has 1e-5 there. The paper is followed.
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
        if gain > self.best + MIN_DELTA:
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
