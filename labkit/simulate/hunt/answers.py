"""What the Hunt's questions look like to a volunteer: the evidence for each answer, and the biases.

The evidence for a wrong answer is the log odds with which a volunteer of average skill prefers it to the
right one. It follows from what the object is physically: kind, counts, extent, redshift, place in the field.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from labkit.errors import InputError
from labkit.simulate.candidates.hunt_plan import expected_counts
from labkit.simulate.sky.clusters import LOW_Z
from labkit.votes import DecisionTree

__all__ = ["Evidence", "HuntBiases", "hunt_evidence"]

_NEEDED = ("true_class", "flux", "exposure", "background", "off_axis", "redshift", "core_radius")
#: Background of the three cameras together over that of PN alone.
_ALL_CAMERAS = 1.9
#: Where the significance of a source is measured, arcmin.
_RADIUS = 0.5


@dataclass(frozen=True)
class HuntBiases:
    """Biases of the volunteers, after Kosiba et al. (2020), section 5.1.

    All are log odds of a wrong answer against the right one for a volunteer of average skill who reads the
    help; a slope is per factor e. The paper names the biases but gives no sizes: these were tuned, together
    with `Crowd` and the overlap of `labkit.simulate.candidates.hunt_plan`, until Table 1 came out like the
    published. Over eight simulated Hunts on four surveys the true positives of the 404 are 68 +- 7 unweighted
    and 110 +- 7 weighted (published 69 and 102), those of the 170 are 48 +- 5 (published 55), false positives
    2 +- 2 (published 1), and volunteers find 500 +- 25 clusters among the 1,600 (published 506).

    Parameters
    ----------
    no_emission, no_emission_slope : float
        Emission taken for none at a significance of 10, and its growth to fainter sources.
    gap, gap_slope : float
        A gap between chips taken for the edge on axis, and its growth with the off-axis angle, per arcmin.
    point_like, point_like_slope : float
        Extended emission taken for point-like at 20 arcsec core radius and a significance of 10, and its
        growth to smaller extents and, equally, to fainter sources.
    nearby_galaxy, nearby_galaxy_slope : float
        A cluster with a prominent brightest galaxy taken for one nearby galaxy at redshift 0.1, and its
        growth to smaller redshifts.
    nothing_there, nothing_there_slope : float
        A distant cluster taken for none at redshift 0.3, where the plates show no galaxies any more, and its
        growth with redshift, per 0.1.
    confusion : float
        Every other wrong answer.
    artefact : float
        Emission seen in an artefact.
    extended : float
        A point source taken for extended; close pairs 1 more.
    wishful : float
        A cluster seen where there is none.
    scatter : float
        Standard deviation from object to object, for what the catalogue does not hold: neighbours, gaps, the
        brightest galaxy.
    """

    no_emission: float = -3.2
    no_emission_slope: float = 1.5
    gap: float = -3.4
    gap_slope: float = 0.08
    point_like: float = -2.8
    point_like_slope: float = 1.2
    nearby_galaxy: float = -1.8
    nearby_galaxy_slope: float = 0.8
    nothing_there: float = -1.0
    nothing_there_slope: float = 0.4
    confusion: float = -2.0
    artefact: float = -1.0
    extended: float = -0.5
    wishful: float = -0.4
    scatter: float = 1.0


@dataclass(frozen=True, eq=False)
class Evidence:
    """Evidence for the answers to a tree's questions.

    Parameters
    ----------
    odds : ndarray, shape (objects, answers)
        Log odds of each answer against the right one of its question; 0 for the right one.
    right : ndarray of bool, shape (objects, answers)
        The right answer of each question.
    """

    odds: NDArray[np.float64]
    right: NDArray[np.bool_]


def hunt_evidence(
    catalogue: Table, tree: DecisionTree, biases: HuntBiases, rng: np.random.Generator
) -> Evidence:
    """What volunteers have to go by for each object of a simulated survey.

    Parameters
    ----------
    catalogue : Table, n rows
        Of `labkit.simulate.simulate_survey`; experts' labels are not read.
    tree : DecisionTree
        The tree of the Hunt.
    biases : HuntBiases
        How the wrong answers tempt.
    rng : numpy.random.Generator
        Of the scatter from object to object.

    Returns
    -------
    Evidence
        For each object and answer of the tree.

    Raises
    ------
    InputError
        If a column is missing, or the tree lacks an ending answer of the Hunt.
    """
    if missing := [name for name in _NEEDED if name not in catalogue.colnames]:
        raise InputError(
            f"catalogue must have the columns {_NEEDED}, got none of {missing}; simulate a survey"
        )
    questions = _questions(_Objects.of(catalogue), biases)
    names = [choice.leaf or choice.text for choice in tree.choices]
    if unknown := sorted({name for answers in questions for name in answers} ^ set(names)):
        raise InputError(f"tree must have the answers of the Hunt, got {tree.name!r}; not in both: {unknown}")
    odds, right = np.empty((2, len(catalogue), len(names)))
    for answers in questions:
        for name, (wrong, is_right) in answers.items():
            odds[:, names.index(name)], right[:, names.index(name)] = wrong, is_right
    odds += rng.normal(0, biases.scatter, odds.shape)
    return Evidence(np.where(right > 0, 0.0, odds), right > 0)


@dataclass(frozen=True, eq=False)
class _Objects:
    """What there is to see of each object; arrays of one value an object."""

    edge: np.ndarray
    artefact: np.ndarray
    galaxy: np.ndarray
    cluster: np.ndarray
    double: np.ndarray
    redshift: np.ndarray  # 0 where there is none
    fainter: np.ndarray  # ln of a significance of 10 over the object's
    smaller: np.ndarray  # ln of 20 arcsec over the core radius, 0 where there is none
    off_axis: np.ndarray

    @classmethod
    def of(cls, catalogue: Table) -> _Objects:
        kind = np.asarray(catalogue["true_class"], dtype=str)
        columns = {name: _plain(catalogue, name) for name in _NEEDED[1:]}
        seconds, off_axis = 1e3 * columns["exposure"], columns["off_axis"]
        counts = expected_counts(columns["flux"], exposure_s=seconds, off_axis=off_axis)
        counts = np.nan_to_num(counts).clip(min=1.0)
        beneath = np.pi * _RADIUS**2 * _ALL_CAMERAS * columns["background"] * seconds
        galaxy = kind == "nearby galaxy"
        return cls(
            edge=kind == "edge",
            artefact=kind == "artefact",
            galaxy=galaxy,
            cluster=np.isfinite(columns["redshift"]) & ~galaxy,
            double=kind == "double source",
            redshift=np.nan_to_num(columns["redshift"]),
            fainter=np.log(10 * np.sqrt(counts + beneath) / counts),
            smaller=np.nan_to_num(np.log(20 / columns["core_radius"])),
            off_axis=off_axis,
        )


def _plain(catalogue: Table, name: str) -> NDArray[np.float64]:
    return np.asarray(getattr(catalogue[name], "value", catalogue[name]), dtype=float)


_Answer = tuple[NDArray[np.float64] | float, NDArray[np.bool_]]


def _questions(seen: _Objects, biases: HuntBiases) -> list[dict[str, _Answer]]:
    """For each question, the log odds of each answer where it is wrong, and where it is right."""
    other = biases.confusion
    missed = biases.no_emission + biases.no_emission_slope * seen.fainter
    gap = biases.gap + biases.gap_slope * seen.off_axis
    point_like = biases.point_like + biases.point_like_slope * (seen.smaller + seen.fainter)
    one_galaxy = biases.nearby_galaxy - biases.nearby_galaxy_slope * np.log(seen.redshift.clip(0.01) / 0.1)
    nothing = biases.nothing_there + biases.nothing_there_slope * (seen.redshift - LOW_Z) / 0.1
    extended, near = seen.cluster | seen.galaxy, (seen.cluster | seen.galaxy) & (seen.redshift < LOW_Z)
    return [
        {
            "X-ray emission": (biases.artefact, ~seen.edge & ~seen.artefact),
            "no emission": (missed, seen.artefact),
            "edge": (gap, seen.edge),
        },
        {
            "Extended": (biases.extended + seen.double, extended),
            "point": (point_like, ~extended),
        },
        {
            "Galaxies or an empty field": (other, ~seen.galaxy),
            "nearby galaxy": (np.where(seen.cluster, one_galaxy, other), seen.galaxy),
            "no optical image": (other - 2, np.zeros_like(near)),
        },
        {
            "Bright and large": (other, near),
            "Faint or hardly seen": (other, ~near),
        },
        {
            "nearby cluster": (biases.wishful, seen.cluster),
            "not a nearby cluster": (other, ~seen.cluster),
        },
        {
            "distant cluster": (biases.wishful, seen.cluster),
            "not a distant cluster": (nothing, ~seen.cluster),
        },
    ]
