"""Calibration: what makes probabilities hold, a small file that travels with the models that it is of.

`labkit.evaluate.fit_calibration` fits one to held-out objects; applying one needs numpy only.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from labkit.errors import InputError, MissingDataError, boundary
from labkit.paths import write_file
from labkit.predictions import Predictions

FORMAT = "labkit-calibration-1"
#: Beside the card or the checkpoints of the models that it is of.
FILE = "calibration.json"
#: Ways to calibrate, those of two classes last.
METHODS = ("temperature", "beta", "isotonic")
#: Probabilities are held this far from 0 and 1, which say "never" and "always" and have no log-odds.
LEAST = 1e-6


@dataclass(frozen=True)
class Calibration:
    """How the mean probabilities of some models become frequencies, among objects like the held-out ones.

    Parameters
    ----------
    method : {"temperature", "beta", "isotonic"}
        See `labkit.evaluate.fit_calibration`.
    parameters : tuple of float
        T and the offsets of the log of all classes but the first; or a, b, c; or the probabilities before and
        after of the knots of an isotonic line.
    classes, positive
        Those of the predictions that it was fitted to.
    shares : dict of str to float
        Of the classes among the held-out objects, which the calibrated probabilities assume.
    models : tuple of str
        Digests of the weights of the models; names of experiments that are no networks of labkit.
    draws : tuple of tuple of float
        Parameters that resampled held-out objects give.
    bands, split : str
        Bands of the models; split of the held-out objects.
    objects, clipped : int
        Number of held-out objects, and of their probabilities that were within `LEAST` of 0 or 1.
    log_loss : dict of str to float
        Cross-validated, nats for each object, of every method that was tried, and "before".
    labkit : str
        Version that fitted it.
    """

    method: str
    parameters: tuple[float, ...]
    classes: tuple[str, ...]
    positive: str | None
    shares: dict[str, float]
    models: tuple[str, ...]
    draws: tuple[tuple[float, ...], ...]
    bands: str
    split: str
    objects: int
    clipped: int
    log_loss: dict[str, float]
    labkit: str

    def __str__(self) -> str:
        """How it was made, in a line."""
        held = f" of split {self.split!r}" if self.split else ""
        return f"{self.method}, fitted to {self.objects} objects{held} by labkit {self.labkit}"

    def apply(self, predictions: Predictions) -> Predictions:
        """Calibrated probabilities of each object, from the mean over its runs, as one run.

        Parameters
        ----------
        predictions : Predictions
            Of the same models (or method), classes and bands.

        Returns
        -------
        Predictions
            ``table.meta["made"]`` says how they are calibrated, and the share of the positive class that
            they assume.

        Raises
        ------
        InputError
            If they are of other models or classes, or are calibrated already.
        """
        self.check(predictions)
        one = predictions.mean_of_runs()
        share = {} if self.positive is None else {"prevalence": self.shares[self.positive]}
        about = {"calibrated": str(self)} | share
        return one.with_probabilities(calibrated(self.method, self.parameters, one.probabilities), **about)

    def check(self, predictions: Predictions) -> None:
        """Refuse predictions of other models or classes, and such as are calibrated already."""
        if made := [one["calibrated"] for one in _made(predictions) if "calibrated" in one]:
            raise InputError(
                f"predictions must not be calibrated yet, got such by {made[0]}; give the original ones"
            )
        if (predictions.classes, predictions.positive) != (self.classes, self.positive):
            raise InputError(
                f"predictions must be of the calibration's classes {self.classes}, positive "
                f"{self.positive!r}, got {predictions.classes}, positive {predictions.positive!r}; "
                "calibrate these predictions"
            )
        if (found := models_of(predictions)) != self.models:
            raise InputError(
                f"predictions must be of the calibrated models {', '.join(self.models)} (bands "
                f"{self.bands or 'unknown'}), got {', '.join(found)} (bands {bands_of(predictions)}); "
                "predict with these models, or calibrate the ones that predicted"
            )

    def save(self, path: str | Path) -> Path:
        """Write it as JSON."""
        return write_file(path, json.dumps({"format": FORMAT} | asdict(self)) + "\n")

    @classmethod
    def load(cls, path: str | Path) -> Calibration:
        """Read what `save` wrote; a folder stands for the file in it."""
        path = Path(path) / FILE if Path(path).is_dir() else Path(path)
        if not path.is_file():
            raise MissingDataError(
                f"calibration must be a file, got {str(path)!r}, which is not there; make it by "
                "`labkit calibrate`"
            )
        with boundary(f"{str(path)!r} must be a calibration", "make it by `labkit calibrate`"):
            facts = json.loads(path.read_text(encoding="utf-8"))
            if facts.pop("format") != FORMAT:
                raise InputError(f"{str(path)!r} must have the format {FORMAT}; calibrate again")
            for name in ("parameters", "classes", "models"):
                facts[name] = tuple(facts[name])
            return cls(**facts | {"draws": tuple(map(tuple, facts["draws"]))})


def _made(predictions: Predictions) -> list[dict]:
    return predictions.table.meta.get("made", [])


def models_of(predictions: Predictions) -> tuple[str, ...]:
    """Digests of the models whose rows are there, or names of experiments without, in alphabetical order."""
    digests = {name: one for record in _made(predictions) for name, one in record.get("models", {}).items()}
    return tuple(sorted({digests.get(run.name, run.experiment) for run, _ in predictions.runs()}))


def bands_of(predictions: Predictions) -> str:
    """The bands that the predictions' models see, as they were recorded."""
    return "; ".join(dict.fromkeys(one["bands"] for one in _made(predictions) if one.get("bands")))


def calibrated(method: str, parameters: Sequence[float], p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Calibrated probabilities, shape (n, k); ``beta`` and ``isotonic`` are of the second of two classes."""
    p = np.clip(p, LEAST, 1 - LEAST)
    if method == "temperature":
        temperature, *offsets = parameters
        power = np.log(p) / temperature + np.array([0.0, *offsets])
        result = np.exp(power - power.max(axis=1, keepdims=True))
        return result / result.sum(axis=1, keepdims=True)
    second = p[:, 1]
    if method == "beta":
        a, b, c = parameters
        odds = a * np.log(second) - b * np.log1p(-second) + c
        found = 1 / (1 + np.exp(-np.clip(odds, -700, 700)))
    else:
        before, after = np.reshape(parameters, (2, -1))
        found = np.interp(second, before, after)
    return np.column_stack([1 - found, found])
