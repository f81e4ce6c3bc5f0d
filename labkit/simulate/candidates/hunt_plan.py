"""Which candidates the volunteers of the Hunt saw: some of the experts', and further ones of their own."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
from astropy.table import Table
from numpy.typing import ArrayLike, NDArray

from labkit.errors import InputError
from labkit.instruments.epic import COUNT_RATE_TO_FLUX, vignetting
from labkit.simulate.candidates.plan import SurveyCounts, list_classes

__all__ = ["KOSIBA_HUNT", "HuntCounts", "expected_counts", "plan_further", "seen_by_volunteers"]

#: How much the overlap outside the test split leans to faint clusters: chance ~ signal^-this.
_FAINT = 2.0


@dataclass(frozen=True)
class HuntCounts:
    """Sizes and composition of the Hunt beside a survey.

    Kosiba et al. (2020) had 1,600 candidates in the Hunt. 404 of them were the experts', too, with 146 low-z
    and 108 high-z clusters: the 170 of the test split, and 234 others.

    Parameters
    ----------
    test : tuple of int
        Clusters and non-clusters of the test split that the volunteers saw, or all if there are fewer.
    overlap : tuple of int
        Low-z clusters, high-z clusters and non-clusters of the training and validation splits that they saw.
    further : int
        Candidates that only the volunteers saw.
    cluster_share : float
        Share of true clusters among those; as among the experts' (Table 2).

    Raises
    ------
    InputError
        If a number is negative, or the share is not between 0 and 1.
    """

    test: tuple[int, int] = (85, 85)
    overlap: tuple[int, int, int] = (84, 85, 65)
    further: int = 1196
    cluster_share: float = 0.66

    def __post_init__(self) -> None:
        for name, size in (("test", 2), ("overlap", 3)):
            if len(numbers := getattr(self, name)) != size or min(numbers) < 0:
                raise InputError(f"{name} must be {size} numbers from 0 up, got {numbers}")
        if self.further < 0:
            raise InputError(f"further must be 0 or more, got {self.further}")
        if not 0 <= self.cluster_share <= 1:
            raise InputError(f"cluster_share must be between 0 and 1, got {self.cluster_share}")

    def describe(self) -> dict[str, object]:
        """The numbers as JSON-able values."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    def scaled(self, share: float) -> HuntCounts:
        """The same Hunt beside a smaller or larger survey; the test objects stay, as many as there are.

        Parameters
        ----------
        share : float
            Size of that survey over the size of the one that these numbers go with.

        Returns
        -------
        HuntCounts
            Sizes rounded.

        Raises
        ------
        InputError
            If `share` is not above zero.
        """
        if not share > 0:
            raise InputError(f"share must be above 0, got {share}")
        low, high, others = (round(share * number) for number in self.overlap)
        return replace(self, overlap=(low, high, others), further=round(share * self.further))


def expected_counts(flux: ArrayLike, *, exposure_s: ArrayLike, off_axis: ArrayLike) -> NDArray[np.float64]:
    """About how many counts of a source the three cameras record together, chip gaps left aside.

    Parameters
    ----------
    flux : array_like
        erg/s/cm2, 0.5-2 keV.
    exposure_s : array_like
        Exposure time, seconds.
    off_axis : array_like
        Off-axis angle, arcmin.

    Returns
    -------
    ndarray
        Counts.
    """
    return np.asarray(flux) / COUNT_RATE_TO_FLUX * np.asarray(exposure_s) * vignetting(off_axis)


def plan_further(rng: np.random.Generator, hunt: HuntCounts, counts: SurveyCounts) -> Table:
    """Decide what the candidates are that only the volunteers saw, in random order.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    hunt : HuntCounts
        Number, and share of clusters.
    counts : SurveyCounts
        Gives the share of low-z clusters and the mix of the others.

    Returns
    -------
    Table
        The columns of `labkit.simulate.candidates.plan.plan_survey`; label and split are empty.
    """
    clusters = round(hunt.cluster_share * hunt.further)
    classes = list_classes(clusters, hunt.further - clusters, low_z=counts.low_z, mix=counts.mix)
    nothing = np.full(hunt.further, "")
    return Table(
        {
            "label": nothing,
            "split": nothing,
            "true_class": rng.permutation(classes),
            "label_is_wrong": np.zeros(hunt.further, dtype=bool),
        }
    )


def seen_by_volunteers(
    rng: np.random.Generator, plan: Table, signal: NDArray[np.float64], hunt: HuntCounts
) -> NDArray[np.bool_]:
    """Choose the experts' candidates that are in the Hunt, too.

    The clusters of the test split are those confirmed by spectra, which tend to be the large and bright ones
    (section 5.1). Those of the overlap outside it are the ones not confirmed, so faint ones are more likely
    to be chosen: chance ~ signal^-2. That reading is ours; it is what Table 1 asks for, where volunteers
    found 55 of 85 clusters in the test split, and 47 of the other 169.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    plan : Table
        Rows of `labkit.simulate.candidates.plan.plan_survey`.
    signal : ndarray, shape (n,)
        Brightness of each in any unit, above zero; read for labelled clusters outside the test split.
    hunt : HuntCounts
        How many of each; all where there are fewer.

    Returns
    -------
    ndarray of bool, shape (n,)
        Whether the candidate is in the Hunt.
    """
    label, tested = np.asarray(plan["label"]), np.asarray(plan["split"] == "test")
    low, high = label == "low-z cluster", label == "high-z cluster"
    groups = [tested & (low | high), tested & ~(low | high)]
    groups += [~tested & low, ~tested & high, ~tested & ~(low | high)]
    chosen = np.zeros(len(plan), dtype=bool)
    for number, group in enumerate(groups):
        rows = np.flatnonzero(group)
        wanted = min((*hunt.test, *hunt.overlap)[number], len(rows))
        chance = signal[rows] ** -_FAINT if number in (2, 3) else np.ones(len(rows))
        chosen[rng.choice(rows, wanted, replace=False, p=chance / chance.sum()) if wanted else []] = True
    return chosen


#: The Hunt of Kosiba et al. (2020), sections 2 and 5.1: 1,600 candidates, beside the survey of Table 2.
KOSIBA_HUNT = HuntCounts()
