"""Folds are stratified, cover every object once, and share one copy of the images; labels from any column."""

import hashlib

import numpy as np
import pytest
import torch
from astropy.table import MaskedColumn
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from labkit.errors import InputError
from labkit.learn import Model, fold_counts, fold_numbers, fold_sizes, out_of_fold, predict, release, train
from labkit.learn.checkpoint import read_about
from labkit.learn.parts import fold_parts, parts_digest, split_for_training
from labkit.learn.resident import BalancedBatches, OrderedBatches, hold, shared_images
from labkit.learn.task import TrainingTask
from labkit.sample import Sample
from labkit.sample.splits import VALIDATION, deal_folds


@pytest.fixture(autouse=True)
def nothing_held():
    release()
    yield
    release()


@pytest.fixture
def folded(quick):
    return quick.changed(folds=3, epochs=1)


class CountingImages:
    """An array that counts the objects read from it."""

    def __init__(self, images):
        self._images, self.read = images, 0
        self.shape, self.dtype = images.shape, images.dtype

    def __getitem__(self, rows):
        self.read += len(self._images[rows])
        return self._images[rows]


@settings(deadline=None)
@given(
    objects=st.lists(st.tuples(st.integers(-1, 3), st.sampled_from("abc")), min_size=1, max_size=120),
    folds=st.integers(2, 12),
    seed=st.integers(0, 5),
)
def test_every_class_and_stratum_is_spread_evenly(objects, folds, seed):
    codes, groups = (np.array(column) for column in zip(*objects, strict=True))
    numbers = deal_folds(codes, folds=folds, rng=np.random.default_rng(seed), strata=groups)
    assert np.array_equal(numbers < 0, codes < 0)
    strata = [codes >= 0, *(codes == c for c in range(4))]
    strata += [(codes == c) & (groups == g) for c in range(4) for g in "abc"]
    for stratum in strata:
        counts = np.bincount(numbers[stratum & (codes >= 0)], minlength=folds)
        assert counts.max() - counts.min() <= 1


def test_folds_follow_from_their_seed_only(sample, folded):
    numbers = fold_numbers(folded, sample)
    same = folded.changed(seeds=(8, 9), network="mobilenet", name="other")
    assert np.array_equal(numbers, fold_numbers(same, sample))
    assert not np.array_equal(numbers, fold_numbers(folded.changed(fold_seed=1), sample))


def test_strata_are_kept_in_proportion(sample, folded):
    sample.catalogue["host"] = ["A"] * 12 + ["B"] * 24
    numbers = fold_numbers(folded.changed(stratify_by="host"), sample)
    for code in (0, 1):
        for host, expected in (("A", 2), ("B", 4)):
            here = (sample.catalogue["host"] == host) & (np.arange(36) % 2 == code)
            assert np.bincount(numbers[here], minlength=3).tolist() == [expected] * 3
    rows = fold_sizes(folded.changed(stratify_by="host"), sample, by="host")
    assert rows[0] == {"host": "A", "fold 0": 4, "fold 1": 4, "fold 2": 4}
    apart = folded.changed(stratify_by="host", validation_share=0.25)
    counted = [list(row.values())[1:] for row in fold_sizes(apart, sample, by="host")]
    assert [sum(row) for row in counted] == [12, 24]
    assert sum(row[0] for row in counted) == 9, "validation first"
    with pytest.raises(InputError, match=r"must have the columns \['hast'\].*stratify_by must name"):
        fold_numbers(folded.changed(stratify_by="hast"), sample)


def test_validation_is_the_next_fold_and_every_object_is_tested_once(sample, folded):
    numbers = fold_numbers(folded, sample)
    tested = np.zeros(36, dtype=int)
    for fold in range(3):
        parts = fold_parts(numbers, fold=fold, folds=3)
        assert set(numbers[parts == "validation"]) == {(fold + 1) % 3}
        tested += parts == "test"
    assert (tested == 1).all()
    rows = fold_counts(folded, sample)
    assert rows[0] == {"fold": 0, "class": "non-cluster", "train": 6, "validation": 6, "test": 6}
    assert len(rows) == 6


@settings(deadline=None)
@given(share=st.sampled_from([0.1, 0.25, 0.5]), n=st.integers(40, 200), seed=st.integers(0, 5))
def test_the_validation_share_is_drawn_before_the_folds_and_stratified(share, n, seed):
    rng = np.random.default_rng(seed)
    codes, groups = rng.integers(0, 2, n), rng.choice(list("abc"), n)
    options = {"folds": 4, "strata": groups, "validation_share": share}
    numbers = deal_folds(codes, rng=np.random.default_rng(seed), **options)
    for stratum in [np.full(n, True), *((codes == c) & (groups == g) for c in (0, 1) for g in "abc")]:
        assert abs((numbers[stratum] == VALIDATION).sum() - share * stratum.sum()) <= 1
    dealt = np.bincount(numbers[numbers >= 0], minlength=4)
    assert dealt.max() - dealt.min() <= 1


def test_the_validation_set_is_the_same_in_every_fold_and_never_tested(sample, folded):
    experiment = folded.changed(validation_share=0.25)
    parts = [split_for_training(experiment, sample, fold=fold) for fold in range(3)]
    for part in parts[1:]:
        assert np.array_equal(part["validation"].rows, parts[0]["validation"].rows)
    tested = np.concatenate([part["test"].rows for part in parts])
    assert len(np.unique(tested)) == len(tested) == 27
    assert not np.intersect1d(tested, parts[0]["validation"].rows).size
    for part in parts:
        together = np.concatenate([one.rows for one in part.values()])
        assert np.array_equal(np.sort(together), np.arange(36))


def test_folds_of_the_catalogue_are_respected(sample, folded):
    sample.catalogue["fold"] = np.arange(36) // 2 % 3
    sample.catalogue["fold"][:2] = -1
    numbers = fold_numbers(folded, sample)
    assert np.array_equal(numbers, sample.catalogue["fold"])
    sample.catalogue["fold"][5] = 3
    with pytest.raises(InputError, match=r"'fold' must lie in 0 to 2 \(or be -1, -2\), got -1 to 3; number"):
        fold_numbers(folded, sample)
    sample.catalogue["fold"] = ["a"] * 36
    with pytest.raises(InputError, match="'fold' must hold whole numbers"):
        fold_numbers(folded, sample)


def test_only_the_named_splits_take_part_and_two_folds_are_enough_with_a_validation_share(sample, folded):
    numbers = fold_numbers(folded.changed(folds=2, validation_share=0.2), sample)
    assert set(numbers) == {VALIDATION, 0, 1}
    numbers = fold_numbers(folded.changed(fold_splits=("train",)), sample)
    assert np.array_equal(numbers >= 0, sample.catalogue["split"] == "train")


def test_a_fold_without_a_class_is_refused_with_the_class_and_the_remedy(sample, folded):
    sample.catalogue["label"] = ["low-z cluster"] * 34 + ["point source"] * 2
    message = r"each of 3 folds must .* got none of 'non-cluster' \(2 objects in all\) in fold \d; use fewer"
    with pytest.raises(InputError, match=message):
        split_for_training(folded, sample, fold=0)
    with pytest.raises(InputError, match="must have folds, got folds=0 for 'quick'"):
        fold_numbers(folded.changed(folds=0), sample)
    with pytest.raises(InputError, match=r"strata must have one value per object, \(3,\), got \(2,\)"):
        deal_folds(np.zeros(3, int), folds=2, rng=np.random.default_rng(0), strata=np.zeros(2))


def test_dealing_by_strata_is_what_it_always_was():
    """Folds of old runs: dealt anew they must be the same."""
    rng = np.random.default_rng(7)
    codes, hosts = rng.integers(-1, 3, 500), rng.choice(list("abcde"), 500)
    numbers = deal_folds(
        codes, folds=7, rng=np.random.default_rng([4, 7]), strata=hosts, validation_share=0.1
    )
    assert hashlib.sha256(numbers.astype("<i8").tobytes()).hexdigest()[:16] == "9abff7a8900ddbc3"


@settings(deadline=None, max_examples=40)
@given(
    share=st.sampled_from([0.0, 0.1, 0.3]),
    folds=st.integers(2, 5),
    strata=st.integers(1, 3),
    seed=st.integers(0, 1000),
)
def test_no_group_is_split_and_shares_are_as_even_as_groups_allow(share, folds, strata, seed):
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(40), rng.integers(1, 6, 40))
    codes, by = rng.integers(-1, 2, len(group)), (group % strata).astype(str)
    options = {"folds": folds, "strata": by, "groups": group, "validation_share": share}
    numbers = deal_folds(codes, rng=np.random.default_rng(seed), **options)
    again = deal_folds(codes, rng=np.random.default_rng(seed), **options)
    assert np.array_equal(numbers, again)
    assert np.array_equal(numbers == -1, codes < 0)
    inside = numbers != -1
    assert all(len(set(numbers[inside & (group == one)])) <= 1 for one in range(40))
    counts = np.bincount(numbers[numbers >= 0], minlength=folds)
    assert counts.max() - counts.min() <= 2 * 5
    if share:
        assert abs((numbers == VALIDATION).sum() - share * inside.sum()) <= 5 * strata


@pytest.fixture
def hosted(sample, folded):
    """The sample with four objects, two of each class, in each of nine hosts; folds that keep hosts whole."""
    sample.catalogue["host"] = [f"H{i // 4}" for i in range(36)]
    sample.catalogue["field"] = ["east", "west"] * 18
    return folded.changed(group_by="host")


def test_groups_stay_whole_in_folds_and_validation(sample, hosted):
    hosts = np.asarray(sample.catalogue["host"])
    for changes in ({}, {"stratify_by": "field"}, {"validation_share": 0.2}):
        experiment = hosted.changed(**changes)
        for fold in range(3):
            parts = split_for_training(experiment, sample, fold=fold)
            sides = [set(hosts[part.rows]) for part in parts.values()]
            assert sum(map(len, sides)) == len(set.union(*sides)) == 9
        if not changes.get("validation_share"):
            assert np.bincount(fold_numbers(experiment, sample)).tolist() == [12, 12, 12]


def empty_hosts(sample):
    sample.catalogue["host"] = MaskedColumn(sample.catalogue["host"], mask=np.arange(36) < 2)


def two_hosts(sample):
    sample.catalogue["host"] = ["A", "B"] * 18


def own_folds(sample):
    sample.catalogue["fold"] = np.arange(36) // 2 % 3


def hosts_of_one_class(sample):
    sample.catalogue["host"][::2] = "HX"


@pytest.mark.parametrize(
    ("change", "fields", "message"),
    [
        (
            empty_hosts,
            {},
            "group_by must be a column .* got 'host' with 2 masked or empty, first 'B000'; fill",
        ),
        (empty_hosts, {"group_by": None, "stratify_by": "host"}, "stratify_by must be .* 2 masked or empty"),
        (two_hosts, {}, "every class has 3 groups or more for 3 folds, .* got 1 groups of 'host' with 'non-"),
        (
            hosts_of_one_class,
            {},
            "got 1 groups of 'host' with 'cluster'; use fewer folds or group by a finer",
        ),
        (hosts_of_one_class, {"validation_share": 0.1}, "4 groups or more for 3 folds and a validation set"),
        (
            own_folds,
            {},
            "'fold' must keep each group of 'host' together, got 'H0' in 0 and 1; mend the column",
        ),
        (
            lambda sample: None,
            {"validation_share": 0.01},
            "the share drawn must be enough for a whole group",
        ),
        (lambda sample: None, {"stratify_by": "object_id"}, "some class, in some value .* 3 objects or more"),
        (lambda sample: None, {"group_by": "hast"}, r"must have the columns \['hast'\].*group_by must name"),
    ],
)
def test_groups_that_cannot_stay_whole_are_refused(sample, hosted, change, fields, message):
    change(sample)
    with pytest.raises(InputError, match=message):
        fold_numbers(hosted.changed(**fields), sample)


def test_folds_share_one_copy_of_the_pixels_and_test_every_object_once(
    sample, folded, same_weights, tmp_path
):
    source = CountingImages(sample.images)
    about = {"bands": sample.bands, "pixel_scale": sample.pixel_scale, "provenance": sample.provenance}
    counted = Sample(source, sample.catalogue, **about)
    assert counted.content_hash == sample.content_hash
    source.read = 0
    shared = [train(folded, counted, run=tmp_path, device="cpu", fold=run.fold) for run in folded.runs]
    assert source.read == 36
    assert [fitted.folder.name for fitted in shared] == [f"quick-seed3-fold{fold}" for fold in range(3)]
    release()
    alone = train(folded, sample, run=tmp_path / "alone", fold=1, device="cpu")
    assert same_weights(shared[1], alone)
    assert not same_weights(shared[0], shared[1])
    predictions = out_of_fold((each.model for each in shared), sample, device="cpu")
    assert sorted(predictions.table["object_id"]) == sorted(sample.object_ids)
    assert set(predictions.table["split"]) == {"test"}
    numbers = dict(zip(sample.object_ids, fold_numbers(folded, sample), strict=True))
    assert all(numbers[row["object_id"]] == row["fold"] for row in predictions.table)
    last = predict(Model.load(shared[2].folder), sample, device="cpu")
    assert set(last.table["fold"]) == {2}
    assert set(last.table["split"]) == {""}, "the split column took no part in this training"
    here = np.isin(last.table["object_id"], predictions.select(fold=2).table["object_id"])
    np.testing.assert_allclose(last.select(here).score, predictions.select(fold=2).score, rtol=1e-5)


def test_a_shared_copy_is_of_equal_content_only(sample, folded):
    rows = np.arange(10)
    first = shared_images(folded, sample, rows)
    again = shared_images(folded.changed(name="b", epochs=9), sample.select(slice(None)), rows)
    assert again is first
    assert shared_images(folded, sample, rows + 1) is not first
    small = shared_images(folded.changed(image_size=16), sample, rows)
    assert small.shape == (10, 2, 16, 16)
    one = shared_images(folded.changed(bands=("optical",)), sample, rows)
    assert torch.equal(one[:, 0], torch.from_numpy(sample.images[:10, 1]))


def test_out_of_fold_predictions_need_the_labels_of_the_training(sample, folded, quick, tmp_path):
    fitted = train(folded, sample, run=tmp_path, device="cpu", fold=1)
    sample.catalogue["label"][:2] = sample.catalogue["label"][[1, 0]]
    with pytest.raises(InputError, match="objects, labels and folds that 'quick', seed 3, fold 1, was"):
        out_of_fold([fitted.model], sample)
    plain = train(quick.changed(epochs=1), sample, run=tmp_path, device="cpu")
    with pytest.raises(InputError, match="models must be trained with folds, got 'quick', seed 3, fold -1"):
        out_of_fold([plain.model], sample)


def test_parts_are_known_by_objects_and_labels(sample, folded, quick):
    base = parts_digest(sample, split_for_training(quick, sample))
    assert base == parts_digest(sample, split_for_training(quick, sample))
    assert base != parts_digest(sample, split_for_training(folded, sample, fold=0))
    sample.catalogue["split"][0] = "validation"
    assert base != parts_digest(sample, split_for_training(quick, sample))


@pytest.fixture
def voted(sample):
    """The sample with volunteers' columns: the first two objects are not theirs, the next two they swap."""
    labels = np.where(sample.labels == "low-z cluster", "cluster", "non-cluster").astype("U11")
    labels[2], labels[3] = labels[3], labels[2]
    sample.catalogue["volunteer_label"] = MaskedColumn(labels, mask=np.arange(36) < 2)
    sample.catalogue["volunteer_split"] = np.where(np.arange(36) % 3 < 2, "train", "validation")
    p = np.where(labels == "cluster", 0.9, 0.2)
    sample.catalogue["soft_cluster"], sample.catalogue["soft_non-cluster"] = p, 1 - p
    return sample


@pytest.fixture
def crowd(quick):
    return quick.changed(label_column="volunteer_label", split_column="volunteer_split", epochs=1)


def test_labels_and_splits_come_from_the_columns_named(voted, crowd):
    parts = split_for_training(crowd, voted)
    assert parts["train"].rows.tolist() == [i for i in range(2, 36) if i % 3 < 2]
    assert parts["train"].codes[:3].tolist() == [1, 1, 1], "row 3 is a cluster to volunteers only"
    assert parts["validation"].rows.tolist() == list(range(2, 36, 3))


def test_predictions_are_measured_against_the_experts(voted, crowd, tmp_path):
    fitted = train(crowd, voted, run=tmp_path, device="cpu")
    predictions = predict(fitted.model, voted, device="cpu")
    assert predictions.table["true"][:4].tolist() == ["cluster", "non-cluster"] * 2
    assert predictions.table["split"].tolist() == voted.catalogue["volunteer_split"].tolist()


def test_other_labels_are_another_training(voted, crowd, tmp_path):
    fitted = train(crowd, voted, run=tmp_path, device="cpu")
    identity = read_about(fitted.folder / "last.safetensors")["identity"]
    assert (identity["fold"], identity["labels"]) == (-1, fitted.model.trained_on)
    voted.catalogue["volunteer_label"][[4, 5]] = ["non-cluster", "cluster"]
    with pytest.raises(InputError, match="holds one with another labels; choose another run folder"):
        train(crowd, voted, run=tmp_path, device="cpu")
    again = train(crowd, voted, run=tmp_path, device="cpu", other="replace")
    assert again.model.trained_on != fitted.model.trained_on


@pytest.mark.parametrize("value", [np.nan, -0.2, 0.5])
def test_fractions_must_be_fractions(voted, crowd, value):
    soft = crowd.changed(soft_labels=True)
    voted.catalogue["soft_cluster"][0] = np.nan  # takes no part
    split_for_training(soft, voted)
    voted.catalogue["soft_cluster"][[3, 4]] = value
    with pytest.raises(InputError, match="got 2 objects where they are not, first 'B003': .*or empty 'volun"):
        split_for_training(soft, voted)


def test_soft_loss_is_the_cross_entropy_with_the_fractions(voted, crowd):
    part = split_for_training(crowd.changed(soft_labels=True), voted)["train"]
    held = hold(torch.from_numpy(voted.images[part.rows]), part.codes, target=part.target)
    task = TrainingTask(crowd, seed=1)
    batch = next(iter(OrderedBatches(held, batch_size=8)))
    assert torch.equal(batch["target"].argmax(1), batch["label"])
    task.network.eval()
    task.validation_step(batch, 0)
    logs = functional.log_softmax(task(batch["image"]), 1)
    expected = -(batch["target"] * logs).sum(1).mean()
    assert task._means("validation")["validation_loss"] == pytest.approx(expected.item(), rel=1e-5)


def test_certain_fractions_train_like_hard_labels(voted, crowd, tmp_path):
    p = (voted.catalogue["volunteer_label"] == "cluster").astype(float)
    voted.catalogue["soft_cluster"], voted.catalogue["soft_non-cluster"] = p, 1 - p
    hard = train(crowd, voted, run=tmp_path / "hard", device="cpu")
    soft = train(crowd.changed(soft_labels=True), voted, run=tmp_path / "soft", device="cpu")
    assert soft.history[0]["train_loss"] == pytest.approx(hard.history[0]["train_loss"], rel=1e-4)


def test_rows_choose_among_the_held_images(sample):
    held = hold(torch.from_numpy(sample.images), np.arange(36) % 2)
    rows = torch.tensor([1, 2, 5, 8, 11, 14])
    drawn = BalancedBatches(held, batch_size=4, seed=0, rows=rows)
    assert len(drawn) == 1
    for epoch in range(9):
        drawn.set_epoch(epoch)
        assert set(torch.cat(drawn.rows()).tolist()) <= set(rows.tolist())
        assert (torch.cat(drawn.rows()) % 2).sum() == 2
    found = torch.cat([batch["image"] for batch in OrderedBatches(held, batch_size=4, rows=rows)])
    assert torch.equal(found, torch.from_numpy(sample.images[rows.numpy()]))
