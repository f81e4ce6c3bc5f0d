"""Volunteers of a citizen-science project: how much each of them does, and how well."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from labkit.errors import InputError

__all__ = ["KINDS", "Crowd", "Volunteers", "assign", "draw_volunteers"]

#: Those who read the help, who do not read it, who guess, and who answer against the evidence.
KINDS = ("reader", "skimmer", "random", "malicious")


@dataclass(frozen=True)
class Crowd:
    """What kind of volunteers a project attracts.

    Skills are in units of the log odds of the right answer.

    Parameters
    ----------
    skimmers : float
        Share who do not read the help: about 20 % of the beta testers did not (section 5.1).
    random, malicious : float
        Share who guess, and who answer against the evidence (section 2.3 expects some of them).
    unread : float
        How much skill those who do not read lack on every question.
    skill : float
        Standard deviation of the skill from volunteer to volunteer.
    question_skill : float
        The same from question to question of one volunteer.
    activity : float
        Standard deviation of the natural logarithm of the activity: few volunteers do most of the work.

    Raises
    ------
    InputError
        If a number is negative, or the shares add up to more than 1.
    """

    skimmers: float = 0.2
    random: float = 0.02
    malicious: float = 0.01
    unread: float = 1.5
    skill: float = 1.1
    question_skill: float = 0.4
    activity: float = 1.6

    def __post_init__(self) -> None:
        if wrong := {f.name: getattr(self, f.name) for f in fields(self) if not getattr(self, f.name) >= 0}:
            raise InputError(f"numbers of a crowd must be 0 or more, got {wrong}")
        if (total := self.skimmers + self.random + self.malicious) > 1:
            raise InputError(f"skimmers, random and malicious must add up to at most 1, got {total}")


@dataclass(frozen=True, eq=False)
class Volunteers:
    """Drawn volunteers.

    Parameters
    ----------
    names : ndarray of str, shape (n,)
        User names.
    kind : ndarray of str, shape (n,)
        One of `KINDS`.
    activity : ndarray, shape (n,)
        Relative chance of being the next to classify.
    skill : ndarray, shape (n, questions)
        Log odds that a volunteer adds to the right answer of each question.
    """

    names: np.ndarray
    kind: np.ndarray
    activity: NDArray[np.float64]
    skill: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.names)

    @property
    def trust(self) -> NDArray[np.float64]:
        """What the evidence counts for: 1, 0 for those who guess, -1 for those who answer against it."""
        return np.select([self.kind == "random", self.kind == "malicious"], [0.0, -1.0], 1.0)

    def table(self, tasks: tuple[str, ...]) -> Table:
        """One row a volunteer: ``user_name``, ``kind``, ``activity``, ``skill_<task>``."""
        skills = {f"skill_{task}": self.skill[:, number] for number, task in enumerate(tasks)}
        return Table({"user_name": self.names, "kind": self.kind, "activity": self.activity, **skills})


def draw_volunteers(
    rng: np.random.Generator, number: int, *, questions: int, crowd: Crowd | None = None
) -> Volunteers:
    """Draw volunteers with their activity and their skill on every question.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    number : int
        Volunteers.
    questions : int
        Questions of the project.
    crowd : Crowd, optional
        What kind of volunteers.

    Returns
    -------
    Volunteers
        The volunteers; the shares of the kinds are exact to one volunteer.

    Raises
    ------
    InputError
        If `number` is not positive.
    """
    if number < 1:
        raise InputError(f"number of volunteers must be 1 or more, got {number}")
    crowd = crowd or Crowd()
    shares = np.cumsum([crowd.malicious, crowd.random, crowd.skimmers, 1.0])
    place = (rng.permutation(number) + 0.5) / number
    kind = np.array(KINDS[::-1])[np.searchsorted(shares, place).clip(max=3)]
    skill = rng.normal(0, crowd.skill, (number, 1)) + rng.normal(0, crowd.question_skill, (number, questions))
    return Volunteers(
        names=np.array([f"sim-volunteer-{row:0{len(str(number))}d}" for row in range(number)]),
        kind=kind,
        activity=np.exp(rng.normal(0, crowd.activity, number)),
        skill=skill - crowd.unread * (kind == "skimmer")[:, None],
    )


def assign(
    rng: np.random.Generator, activity: NDArray[np.float64], *, objects: int, per_object: int
) -> NDArray[np.int64]:
    """Who classifies what: different volunteers for each object, the active ones more often.

    Everyone gets an object at least once where there are as many places. The others are drawn without
    replacement, by the largest of log activity plus Gumbel noise.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    activity : ndarray, shape (n,)
        Relative chance of each volunteer.
    objects : int
        Number of objects.
    per_object : int
        Different volunteers for each.

    Returns
    -------
    ndarray of int64, shape (objects, per_object)
        Numbers of volunteers.

    Raises
    ------
    InputError
        If there are fewer volunteers than `per_object`.
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
