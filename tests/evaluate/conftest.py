"""Predictions made from arrays, of the kinds that the tests of this room need."""

import numpy as np
import pytest
from astropy.table import Table

from labkit.predictions import Predictions

MEMBER = ("non-member", "member")


class Made:
    """Makers of predictions, so that tests need no import of each other."""

    @staticmethod
    def predicted(p, member=None, *, ids=None, name="cnn", seed=0, fold=-1, split="test", classes=MEMBER):
        """One run on objects G0000 and so on, whose class is unknown where `member` is None."""
        p, known = np.asarray(p, dtype=float), member is not None
        return Predictions.from_arrays(
            [f"G{i:04d}" for i in range(len(p))] if ids is None else ids,
            np.column_stack([1 - p, p]),
            classes=classes,
            true=np.array(classes)[np.asarray(member, dtype=int)] if known else [""] * len(p),
            experiment=name,
            seed=seed,
            fold=fold,
            split=split,
            positive=classes[1],
        )

    @classmethod
    def in_folds(cls, p, member, *, folds=5, ids=None, **options):
        """Out-of-fold predictions of one seed."""
        number = np.arange(len(p)) % folds
        ids = np.array([f"G{i:04d}" for i in range(len(p))]) if ids is None else ids
        parts = [(fold, number == fold) for fold in range(folds)]
        return Predictions.concatenate(
            cls.predicted(p[here], member[here], ids=ids[here], fold=fold, **options) for fold, here in parts
        )

    @staticmethod
    def field(n=400, *, seed=0, error=0.1):
        """Truth, scores of which a share is on the wrong side, and the catalogue of two clusters."""
        rng = np.random.default_rng(seed)
        member = rng.random(n) < 0.45
        score = np.where(member == (rng.random(n) > error), 0.9, 0.1)
        ids, hosts = [f"G{i:04d}" for i in range(n)], np.where(rng.random(n) < 0.3, "A", "B")
        return member, score, Table({"object_id": ids, "cluster": hosts})


@pytest.fixture(scope="session")
def made():
    return Made
