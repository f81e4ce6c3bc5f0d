"""The test for a shift on simulated features: false alarms, class mixes, shifts of images, novel objects."""

import numpy as np
import pytest
from astropy.table import Table
from scipy.special import expit

from labkit.errors import InputError
from labkit.evaluate import domain_shift

STATISTICS = ["noise (xray)", "brightness (xray)"]


def described(seed, n=150, *, share=0.5, noise=0.0, move=0.0, prefix="N"):
    """Twenty features of clusters and others, with their probabilities; what a network gives, in short."""
    rng = np.random.default_rng(seed)
    there = rng.random(n) < share
    level = rng.normal(np.where(there, 2.5, 0), 1)
    mixing = np.random.default_rng(0).normal(size=(3, 20))
    latent = np.column_stack([level, rng.normal(size=n), rng.exponential(size=n)])
    table = Table({"object_id": [f"{prefix}{seed}-{i}" for i in range(n)]})
    for number, column in enumerate((np.maximum(latent @ mixing, 0) + move).T):
        table[f"feature_{number}"] = column
    table[STATISTICS[0]] = rng.normal(10 + noise, 1, n)
    table[STATISTICS[1]] = np.exp(0.3 * level + rng.normal(0, 0.3, n))
    p = expit(2 * (2.5 * level - 3.125))
    table["p_other"], table["p_cluster"] = 1 - p, p
    table["true"] = np.where(there, "cluster", "other")
    table.meta["statistics"] = STATISTICS
    return table


def compare(seed, n=150, **change):
    reference, new = described(2 * seed), described(2 * seed + 1, n, **change)
    return domain_shift(reference, new, rng=np.random.default_rng(seed), permutations=199)


def test_of_200_unshifted_samples_few_raise_an_alarm_at_one_per_cent():
    found = [compare(seed, 40 + seed) for seed in range(200)]
    assert sum(one.kind != "none" for one in found) <= 6  # 1 expected, with so few permutations
    assert sum(one.p_value <= 0.05 for one in found) <= 20  # 10 expected
    assert np.mean([one.p_value for one in found]) == pytest.approx(0.5, abs=0.07)  # uniform
    assert np.mean([one.auc for one in found]) < 0.52
    novel = np.concatenate([np.asarray(one.novelty["p"]) for one in found])
    for share in (0.05, 0.5):
        assert np.mean(novel <= share) == pytest.approx(share, abs=0.02)


def test_another_class_mix_is_told_from_other_images():
    found = [compare(seed, 300, share=0.1) for seed in range(300, 330)]
    kinds = [one.kind for one in found]
    assert kinds.count("class mix") >= 27
    assert kinds.count("images") <= 2
    assert np.mean([one.mix["cluster"] for one in found]) == pytest.approx(0.1, abs=0.02)
    one = found[kinds.index("class mix")]
    assert "another class mix, about" in str(one)


def test_other_images_are_stopped_and_it_is_said_in_which_respect():
    noisy = [compare(seed, noise=1.5) for seed in range(400, 410)]
    assert {one.kind for one in noisy} == {"images"}
    assert {one.respects["statistic"][0] for one in noisy} == {STATISTICS[0]}
    assert "unlike the reference of the training: more noise (xray)" in str(noisy[0])
    assert noisy[0].respects["auc"][0] > 0.75
    both = compare(420, share=0.1, noise=1.5)
    assert both.kind == "images"
    moved = compare(421, move=1.0)  # seen by the network only
    assert (moved.kind, moved.p_value) == ("images", 1 / 200)
    assert "in no simple statistic" in str(moved)


def test_an_object_unlike_any_is_novel():
    reference, new = described(500), described(501)
    for name in new.colnames[1:21]:
        new[name][0] *= -3
    found = domain_shift(reference, new, rng=np.random.default_rng(1), permutations=19)
    assert found.novelty["object_id"][0] == "N501-0"
    assert found.novelty["p"][0] == pytest.approx(1 / 151)
    assert (np.asarray(found.novelty["p"]) > 1 / 151).mean() > 0.9


def test_too_few_objects_are_refused_and_numbers_need_no_classes():
    with pytest.raises(InputError, match="20 objects at least to be compared, got 150 and 19"):
        domain_shift(described(1), described(2, 19), rng=np.random.default_rng(1))
    tables = [described(seed) for seed in (1, 2)]
    for table in tables:
        table.remove_columns(["p_other", "p_cluster", "true"])
    found = domain_shift(*tables, rng=np.random.default_rng(1), permutations=99)
    assert (found.kind, found.mix) == ("none", {})
