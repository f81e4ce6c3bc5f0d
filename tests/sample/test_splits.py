"""Objects dealt to training, validation and test set: in proportion, whole groups, the same every time."""

import io
from collections import Counter
from contextlib import redirect_stdout, suppress

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable
from hypothesis import given
from hypothesis import strategies as st

from labkit.cli import main
from labkit.errors import InputError
from labkit.experiment import Experiment
from labkit.learn.parts import split_for_training
from labkit.sample import Sample, with_labels, with_split


def labelled(labels, **columns):
    n = len(labels)
    catalogue = QTable({"object_id": [f"{i:04d}" for i in range(n)], "label": labels, **columns})
    catalogue["ra"] = catalogue["dec"] = np.zeros(n) * u.deg
    return Sample(np.zeros((n, 1, 2, 2), np.uint8), catalogue, bands=["r"], pixel_scale=1 * u.arcsec)


def counts(sample, name="split"):
    return Counter(zip(sample.labels.tolist(), sample.catalogue[name].tolist(), strict=True))


@given(
    numbers=st.tuples(st.integers(1, 80), st.integers(0, 80), st.integers(0, 40)),
    shares=st.tuples(st.floats(0, 0.45), st.floats(0, 0.45)),
    seed=st.integers(0, 5),
)
def test_every_label_has_its_share(numbers, shares, seed):
    labels = np.repeat(["lens", "galaxy", ""], numbers)
    dealt = with_split(labelled(labels), validation=shares[0], test=shares[1], seed=seed)
    found = counts(dealt)
    for label, n in zip(("lens", "galaxy"), numbers[:2], strict=True):
        assert abs(found[label, "test"] - shares[1] * n) <= 1 + 1e-9
        assert abs(found[label, "validation"] - shares[0] * n) <= 2 + 1e-9
        assert sum(found[label, part] for part in ("train", "validation", "test")) == n
    assert found["", ""] == numbers[2]


def test_it_follows_from_the_seed_and_is_recorded():
    sample = labelled(["lens", "galaxy"] * 50)
    one, same, other = (with_split(sample, seed=seed) for seed in (1, 1, 2))
    assert one.catalogue["split"].tolist() == same.catalogue["split"].tolist()
    assert one.catalogue["split"].tolist() != other.catalogue["split"].tolist()
    assert [abs(counts(one)["lens", part] - n) <= 1 for part, n in (("train", 35), ("test", 7.5))] == [
        True
    ] * 2
    assert one.provenance["split"] == {
        "column": "split", "validation": 0.15, "test": 0.15, "group": None, "seed": 1
    }  # fmt: skip
    assert "split" not in sample.catalogue.colnames
    assert one.content_hash != sample.content_hash


def test_groups_are_never_split():
    rng = np.random.default_rng(4)
    host = rng.integers(0, 30, 600)
    labels = np.where(rng.random(600) < 0.2 + 0.4 * (host % 2), "member", "field")
    dealt = with_split(labelled(labels, cluster=host), group="cluster", validation=0.2, test=0.2)
    parts = {}
    for cluster, part in zip(host.tolist(), dealt.catalogue["split"].tolist(), strict=True):
        assert parts.setdefault(cluster, part) == part
    assert set(parts.values()) == {"train", "validation", "test"}
    for name in ("validation", "test"):
        assert np.mean(dealt.catalogue["split"] == name) == pytest.approx(0.2, abs=0.06)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"validation": 0.6, "test": 0.5}, r"must be from 0 and sum to 0\.9 or less, got 0\.6, 0\.5"),
        ({"test": -0.1}, "must be from 0"),
        ({"group": "host"}, r"sample must have the columns \['host'\]"),
        (
            {"group": "empty"},
            "group must be a column with a value for every object that takes part, got 'empty'",
        ),
        ({"group": "one"}, "the share drawn must be enough for a whole group"),
        ({"into": "old"}, "into must name a column without parts, 'old' holds some; name another"),
    ],
)
def test_what_cannot_be_dealt_is_refused(options, message):
    columns = {"empty": [""] * 6, "one": ["a"] * 6, "old": ["train"] * 6}
    with pytest.raises(InputError, match=message):
        with_split(labelled(["lens", "galaxy"] * 3, **columns), **options)


def test_a_sample_without_labels_is_refused():
    with pytest.raises(InputError, match="must have labelled objects to be dealt, got none"):
        with_split(labelled(["", ""]))


def test_misspelt_parts_are_named(small_sample, caplog):
    experiment = Experiment(name="x")
    small_sample.catalogue["split"] = ["train", "val", "Test", ""] * 3
    with pytest.raises(
        InputError, match=r"must name objects for 'validation', got none, but .*'Test'"
    ) as told:
        split_for_training(experiment, small_sample)
    assert "'val' (did you mean 'validation'?)" in str(told.value)
    small_sample.catalogue["split"] = ["train", "validation", "tset", ""] * 3
    with suppress(InputError):  # of a class without objects
        split_for_training(experiment, small_sample)
    assert "'tset' in column 'split' is no part (did you mean 'test'?)" in caplog.text
    table = QTable({"object_id": ["X00"], "label": ["edge"], "split": ["valid"]})
    with pytest.raises(InputError, match=r"got 'valid' \(did you mean 'validation'\?\)"):
        with_labels(small_sample, table)


def test_the_command_line_writes_a_sample(tmp_path):
    labelled(["lens", "galaxy"] * 20).save(tmp_path / "raw")
    words = ["split", tmp_path / "raw", tmp_path / "dealt", "--validation", 0.25, "--test", 0.25, "--seed", 3]
    with redirect_stdout(io.StringIO()) as out, pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    assert (ended.value.code or 0) == 0
    assert "lens, train: 10\nlens, validation: 5\n" in out.getvalue()
    assert Counter(Sample.load(tmp_path / "dealt").catalogue["split"].tolist())["test"] == 10
