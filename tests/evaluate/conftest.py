"""Predictions made from arrays, of the kinds that the tests of this room need."""

from __future__ import annotations

import numpy as np
import pytest

from labkit.predictions import Predictions

MEMBER = ("non-member", "member")


def predicted(p, member, *, ids=None, name="cnn", seed=0, fold=-1, split="test", classes=MEMBER):
    """One run on objects G0000 and so on."""
    p, member = np.asarray(p, dtype=float), np.asarray(member, dtype=bool)
    return Predictions.from_arrays(
        [f"G{i:04d}" for i in range(len(p))] if ids is None else ids,
        np.column_stack([1 - p, p]),
        classes=classes,
        true=np.where(member, classes[1], classes[0]),
        experiment=name,
        seed=seed,
        fold=fold,
        split=split,
        positive=classes[1],
    )


def in_folds(p, member, *, folds=5, seed=0, name="cnn", classes=MEMBER):
    """Out-of-fold predictions of one seed."""
    number, ids = np.arange(len(p)) % folds, np.array([f"G{i:04d}" for i in range(len(p))])
    return Predictions.concatenate(
        predicted(p[here], member[here], ids=ids[here], seed=seed, fold=f, name=name, classes=classes)
        for f in range(folds)
        for here in [number == f]
    )


def field(n=400, *, seed=0, error=0.1):
    """Truth, scores of which a share is on the wrong side, and the catalogue of two clusters."""
    from astropy.table import Table

    rng = np.random.default_rng(seed)
    member = rng.random(n) < 0.45
    score = np.where(member == (rng.random(n) > error), 0.9, 0.1)
    ids, hosts = [f"G{i:04d}" for i in range(n)], np.where(rng.random(n) < 0.3, "A", "B")
    return member, score, Table({"object_id": ids, "cluster": hosts})


@pytest.fixture
def made():
    """The makers above, so that tests need no import of each other."""

    class Made:
        pass

    Made.predicted, Made.in_folds, Made.field = map(staticmethod, (predicted, in_folds, field))
    return Made
