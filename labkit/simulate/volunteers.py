"""Volunteers of the Hunt: how much each of them does, how well, and what tempts them to wrong answers.

The evidence for a wrong answer is the log odds with which a volunteer of average skill prefers it to the
right one. It follows from what the object is physically: kind, counts, extent, redshift, place in the field.

About 20 % of the beta testers did not read the help (Kosiba et al. 2020, section 5.1); some are expected to
guess or to mean ill (section 2.3). The paper names the biases of the volunteers and gives no sizes: the
numbers of ``hunt.toml`` were tuned, with the overlap of `labkit.simulate.survey`, until Table 1 came out like
the published. Over eight simulated Hunts on four surveys the true positives of the 404 are 68 +- 7 unweighted
and 110 +- 7 weighted (published 69 and 102), those of the 170 are 48 +- 5 (published 55), false positives
2 +- 2 (published 1), and volunteers find 500 +- 25 clusters among the 1,600 (published 506).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from astropy.table import Table
from numpy.random import Generator
from numpy.typing import NDArray

from labkit.errors import InputError
from labkit.simulate.numbers import check_share, read_numbers
from labkit.simulate.xmm import expected_counts
from labkit.simulate.xray import LOW_Z
from labkit.tables import numbers, text
from labkit.votes import DecisionTree

#: Those who read the help, who do not read it, who guess, and who answer against the evidence.
KINDS = ("reader", "skimmer", "random", "malicious")


def hunt_numbers(changes: Mapping[str, Mapping[str, float]] | None = None) -> dict[str, dict[str, float]]:
    """The numbers of ``hunt.toml`` on "biases", "crowd" and "disorder", some of them changed by name."""
    groups = {name: dict(read_numbers("hunt")[name]) for name in ("biases", "crowd", "disorder")}
    for group in groups.values():
        del group["source"]
    for name, values in (changes or {}).items():
        if name not in groups or (unknown := sorted(set(values) - set(groups[name]))):
            known = {group: list(values) for group, values in groups.items()}
            raise InputError(
                f"changes must be numbers of {known}, got {unknown if name in groups else name!r}"
            )
        groups[name] |= values
    crowd = groups["crowd"]
    if wrong := {name: value for name, value in crowd.items() if not value >= 0}:
        raise InputError(f"numbers of a crowd must be 0 or more, got {wrong}")
    if (total := crowd["skimmers"] + crowd["random"] + crowd["malicious"]) > 1:
        raise InputError(f"skimmers, random and malicious must add up to at most 1, got {total}")
    check_share(**groups["disorder"])
    return groups


@dataclass(frozen=True, eq=False)
class Volunteers:
    """Drawn volunteers."""

    names: np.ndarray  # (n,) user names
    kind: np.ndarray  # (n,) one of `KINDS`
    activity: NDArray[np.float64]  # (n,) relative chance of being the next to classify
    #: (n, questions) log odds that a volunteer adds to the right answer of each question
    skill: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.names)

    @property
    def trust(self) -> NDArray[np.float64]:
        """What the evidence counts for: 1, 0 for those who guess, -1 for those who answer against it."""
        return np.select([self.kind == "random", self.kind == "malicious"], [0.0, -1.0], 1.0)

    def table(self, tasks: tuple[str, ...]) -> Table:
        """One row per volunteer: ``user_name``, ``kind``, ``activity``, ``skill_<task>``."""
        skills = {f"skill_{task}": self.skill[:, number] for number, task in enumerate(tasks)}
        return Table({"user_name": self.names, "kind": self.kind, "activity": self.activity, **skills})


def draw_volunteers(rng: Generator, number: int, *, questions: int, crowd: Mapping[str, float]) -> Volunteers:
    """Draw volunteers with their activity and skill on every question; shares of kinds are exact to one."""
    shares = np.cumsum([crowd["malicious"], crowd["random"], crowd["skimmers"], 1.0])
    place = (rng.permutation(number) + 0.5) / number
    kind = np.array(KINDS[::-1])[np.searchsorted(shares, place).clip(max=3)]
    skill = rng.normal(0, crowd["skill"], (number, 1)) + rng.normal(
        0, crowd["question_skill"], (number, questions)
    )
    return Volunteers(
        names=np.array([f"sim-volunteer-{row:0{len(str(number))}d}" for row in range(number)]),
        kind=kind,
        activity=np.exp(rng.normal(0, crowd["activity"], number)),
        skill=skill - crowd["unread"] * (kind == "skimmer")[:, None],
    )


def assign(
    rng: Generator, activity: NDArray[np.float64], *, objects: int, per_object: int
) -> NDArray[np.int64]:
    """Who classifies what: different volunteers for each object, the active ones more often.

    Everyone gets an object at least once where there are as many places. The others are drawn without
    replacement, by the largest of log activity plus Gumbel noise.
    """
    if not 1 <= per_object <= len(activity):
        raise InputError(
            f"answers_per_object must lie between 1 and the number of volunteers, {len(activity)}, "
            f"got {per_object}"
        )
    chosen = np.empty((objects, per_object), dtype=np.int64)
    first = np.arange(len(activity)) % max(objects, 1)
    for start in range(0, objects, 1000):
        rows = np.arange(start, min(start + 1000, objects))
        keys = np.log(activity) + rng.gumbel(size=(len(rows), len(activity)))
        keys[first == rows[:, None]] += 1e6
        chosen[rows] = np.argpartition(-keys, per_object - 1, axis=1)[:, :per_object]
    return chosen


_NEEDED = ("true_class", "flux", "exposure", "background", "off_axis", "redshift", "m500", "core_radius")
_ALL_CAMERAS = 1.9  # background of the three cameras together over that of PN alone
_RADIUS = 0.5  # where the significance of a source is measured, arcmin


@dataclass(frozen=True, eq=False)
class Evidence:
    """Evidence for the answers to a tree's questions."""

    #: (objects, answers) log odds of each answer against the right one of its question; 0 for the right one
    odds: NDArray[np.float64]
    right: NDArray[np.bool_]  # (objects, answers) the right answer of each question


def hunt_evidence(
    catalogue: Table, tree: DecisionTree, biases: Mapping[str, float], rng: Generator
) -> Evidence:
    """What volunteers have to go by for each object of a simulated survey; its labels are not read."""
    if missing := [name for name in _NEEDED if name not in catalogue.colnames]:
        raise InputError(
            f"catalogue must have the columns {_NEEDED}, got none of {missing}; simulate a survey"
        )
    questions = _questions(catalogue, biases)
    names = [choice.leaf or choice.text for choice in tree.choices]
    if unknown := sorted({name for answers in questions for name in answers} ^ set(names)):
        raise InputError(f"tree must have the answers of the Hunt, got {tree.name!r}; not in both: {unknown}")
    odds, right = np.empty((2, len(catalogue), len(names)))
    for answers in questions:
        for name, (wrong, is_right) in answers.items():
            odds[:, names.index(name)], right[:, names.index(name)] = wrong, is_right
    odds += rng.normal(0, biases["scatter"], odds.shape)
    return Evidence(np.where(right > 0, 0.0, odds), right > 0)


_Answer = tuple[NDArray[np.float64] | float, NDArray[np.bool_]]


def _questions(catalogue: Table, biases: Mapping[str, float]) -> list[dict[str, _Answer]]:
    """For each question, the log odds of each answer where it is wrong, and where it is right."""
    kind, column = text(catalogue["true_class"]), {name: numbers(catalogue[name]) for name in _NEEDED[1:]}
    edge, artefact = kind == "edge", np.isin(kind, ("artefact", "background fluctuation"))
    cluster, redshift = np.isfinite(column["m500"]), np.nan_to_num(column["redshift"])
    galaxy = np.isfinite(column["redshift"]) & ~cluster
    seconds, off_axis = 1e3 * column["exposure"], column["off_axis"]
    counts = expected_counts(column["flux"], exposure_s=seconds, off_axis=off_axis)
    counts = np.nan_to_num(counts).clip(min=1.0)
    beneath = np.pi * _RADIUS**2 * _ALL_CAMERAS * column["background"] * seconds
    fainter = np.log(10 * np.sqrt(counts + beneath) / counts)  # a significance of 10 over the object's
    smaller = np.nan_to_num(np.log(20 / column["core_radius"]))
    other, wishful = biases["confusion"], biases["wishful"]
    missed = biases["no_emission"] + biases["no_emission_slope"] * fainter
    gap = biases["gap"] + biases["gap_slope"] * off_axis
    point_like = biases["point_like"] + biases["point_like_slope"] * (smaller + fainter)
    one_galaxy = biases["nearby_galaxy"] - biases["nearby_galaxy_slope"] * np.log(redshift.clip(0.01) / 0.1)
    nothing = biases["nothing_there"] + biases["nothing_there_slope"] * (redshift - LOW_Z) / 0.1
    extended = cluster | galaxy
    near, pair = extended & (redshift < LOW_Z), kind == "double source"
    return [
        {
            "X-ray emission": (biases["artefact"], ~edge & ~artefact),
            "no emission": (missed, artefact),
            "edge": (gap, edge),
        },
        {"Extended": (biases["extended"] + pair, extended), "point": (point_like, ~extended)},
        {
            "Galaxies or an empty field": (other, ~galaxy),
            "nearby galaxy": (np.where(cluster, one_galaxy, other), galaxy),
            "no optical image": (other - 2, np.zeros_like(near)),
        },
        {"Bright and large": (other, near), "Faint or hardly seen": (other, ~near)},
        {"nearby cluster": (wishful, cluster), "not a nearby cluster": (other, ~cluster)},
        {"distant cluster": (wishful, cluster), "not a distant cluster": (nothing, ~cluster)},
    ]
