"""Numbers to learn instead of classes: their values, their scale in training, the loss of mean and width."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from labkit.errors import InputError
from labkit.predictions import target_column
from labkit.sample import Sample
from labkit.tables import numbers

#: For each target the ``unit`` of its column, and ``mean`` and ``scatter`` of the training set.
Scales = dict[str, dict[str, Any]]
_BETA = 0.5
_WIDEST = 6.0  # of the logarithm of a width, in units of the training set's scatter


def target_values(
    targets: Sequence[str], sample: Sample, *, units: Mapping[str, str] | None = None
) -> np.ndarray:
    """Value of each target of each object, (object, target) float64, NaN where it is unknown.

    In the column's own unit, or converted to that of `units`. A column that is missing, not of numbers, of
    another kind of unit, infinite, or not above zero where its logarithm is wanted is refused.
    """
    columns = []
    for target in targets:
        name, logarithmic = target_column(target)
        if name not in sample.catalogue.colnames:
            raise InputError(
                f"sample must have a column {name!r} with the numbers of target {target!r}, got "
                f"{sample.catalogue.colnames}; add it to the catalogue, or name another in targets"
            )
        values = numbers(sample.catalogue[name], (units or {}).get(target))
        bad = np.isinf(values) | (logarithmic & (values <= 0))
        if bad.any():
            rule = "above zero, as its logarithm is learned" if logarithmic else "finite"
            raise InputError(
                f"column {name!r} must be {rule}, got {int(bad.sum())} objects where it is not, first "
                f"{str(sample.object_ids[bad][0])!r}: {values[bad][0]}; mend them, or mask them to leave the "
                "objects out"
            )
        columns.append(np.log10(values) if logarithmic else values)
    return np.column_stack(columns)


def target_scales(targets: Sequence[str], sample: Sample, values: np.ndarray) -> Scales:
    """Unit, mean and scatter of each target, of the `values` (n, target) that a run trains on."""
    scales: Scales = {}
    for target, column in zip(targets, values.T, strict=True):
        if not np.ptp(column) > 0:
            raise InputError(
                f"target {target!r} must differ between the training objects, got {column[0]:.4g} for all "
                f"{len(column)}; name another target or train on more objects"
            )
        unit = str(getattr(sample.catalogue[target_column(target)[0]], "unit", None) or "")
        scales[target] = {"unit": unit, "mean": float(column.mean()), "scatter": float(column.std())}
    return scales


def standardise(scales: Scales, values: np.ndarray) -> np.ndarray:
    """Values (n, target) less the training set's mean, in units of its scatter."""
    mean, scatter = _mean_and_scatter(scales)
    return (values - mean) / scatter


def from_standard(scales: Scales, moments: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means and widths (n, target) in the targets' own scale, from means and variances (2, n, target)."""
    mean, scatter = _mean_and_scatter(scales)
    return moments[0] * scatter + mean, np.sqrt(moments[1]) * scatter


def _mean_and_scatter(scales: Scales) -> tuple[np.ndarray, np.ndarray]:
    mean, scatter = np.array([[one["mean"], one["scatter"]] for one in scales.values()]).T
    return mean, scatter


def mean_and_variance(outputs: Tensor) -> tuple[Tensor, Tensor]:
    """Means and variances, (n, target) each, from a network's outputs: means, then logarithms of widths."""
    mean, log_width = outputs.chunk(2, dim=1)
    return mean, torch.exp(2 * log_width.clamp(-_WIDEST, _WIDEST))


def gaussian_losses(outputs: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What is minimised, the negative log-likelihood, and the sum of squared errors (mean over targets).

    The likelihood is that of a normal distribution for each target. Its gradient cares little for objects
    whose width is large, so that bad fits stay bad. What is minimised is therefore the beta-NLL: each term
    times its variance^beta, taken as a constant, with beta = 0.5 (Seitzer et al. 2022, ICLR,
    arXiv:2203.09168).
    """
    mean, variance = mean_and_variance(outputs)
    terms = functional.gaussian_nll_loss(mean, wanted, variance, full=True, reduction="none")
    squares = (mean.detach() - wanted) ** 2
    return (terms * variance.detach() ** _BETA).mean(), terms.detach().mean(), squares.mean(1).sum()
