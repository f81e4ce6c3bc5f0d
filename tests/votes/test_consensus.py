"""Labels, fractions and agreement of subjects; Dawid-Skene against its paper's equations."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.errors import InputError
from labkit.evaluate import wilson
from labkit.votes import (
    METHODS,
    consensus,
    dawid_skene,
    drop_logged_out,
    krippendorff_alpha,
    log_odds_weights,
    weights,
)


@given(data=st.data())
def test_weighted_votes_by_hand(hunt, answers_of, classified, data):
    rows = data.draw(classified)
    answers = answers_of(hunt, rows)
    weight = weights(answers)
    sums, votes = ({s: [0.0, 0.0] for s in answers.subjects} for _ in range(2))
    for user, subject, way in rows:
        verdict = hunt.verdict_of[way[-1]]
        if verdict >= 0:
            place = list(weight.users).index(user), hunt.question_of[way[-1]]
            sums[subject][verdict] += weight.values[place]
            votes[subject][verdict] += 1
    for row in consensus(answers):
        non, cluster = sums[row["object_id"]]
        others, ours = votes[row["object_id"]]
        most = ("cluster" if ours > others else "non-cluster") if ours + others else ""
        assert (row["votes_cluster"], row["votes_non-cluster"], row["majority_label"]) == (ours, others, most)
        assert row["weight_cluster"] == pytest.approx(cluster)
        assert row["weight_non-cluster"] == pytest.approx(non)
        if non + cluster > 0:
            assert row["soft_cluster"] == pytest.approx(cluster / (non + cluster))
            if abs(non - cluster) > 1e-6:
                assert row["label"] == ("cluster" if cluster > non else "non-cluster")


@given(data=st.data(), method=st.sampled_from(METHODS))
def test_every_method_gives_fractions(hunt, answers_of, classified, data, method):
    rows = data.draw(classified)
    table = consensus(answers_of(hunt, rows), method=method)
    voted = table["n_votes"] > 0
    soft = np.stack([table["soft_non-cluster"], table["soft_cluster"]])
    np.testing.assert_allclose(soft.sum(axis=0)[voted], 1)
    assert np.isnan(soft[:, ~voted]).all()
    assert (table["label"][~voted] == "").all()
    assert np.isin(table["label"][voted], ["cluster", "non-cluster"]).all()
    np.testing.assert_allclose(table["agreement"][voted], soft.max(axis=0)[voted])
    assert ((table["entropy"][voted] >= 0) & (table["entropy"][voted] <= 1 + 1e-12)).all()
    assert table["n_votes"].sum() == sum(hunt.verdict_of[way[-1]] >= 0 for _, _, way in rows)


def test_votes_without_any_weight_count_the_same(hunt, answers_of):
    """Each ends in another answer than most, though together they make the class: nobody has a weight."""
    rows = [(u, s, (0, 3, 5, 8, 10)) for u in "abcd" for s in ("s", "t")]
    rows += [("z", "s", (1,)), ("z", "t", (1,)), *((u, "only", (0,)) for u in "zay")]
    answers = answers_of(hunt, [*rows, ("z", "only", (1,))])
    table = consensus(answers)
    row = table[table["object_id"] == "only"][0]
    assert weights(answers).values[list(answers.users).index("z"), 0] == pytest.approx(1 / 4)
    assert not row["weightless"]
    lonely = answers_of(hunt, [*rows[:-3], ("z", "only", (1,)), *((u, "only", (0,)) for u in "abc")])
    row = consensus(lonely)[2]
    assert (row["object_id"], row["n_votes"], row["weight_non-cluster"]) == ("only", 1, 0)
    assert row["weightless"]
    assert row["label"] == "non-cluster"
    assert row["soft_non-cluster"] == 1


def test_equal_sums_give_the_class_listed_first(hunt, answers_of):
    rows = [("a", "s", (0, 3, 5, 8, 10)), ("b", "s", (0, 3, 5, 8, 11)), ("c", "t", (0, 4))]
    table = consensus(answers_of(hunt, rows))
    assert list(table["label"]) == ["non-cluster", "non-cluster"]
    assert list(table["tie"]) == [True, False]
    assert list(table["entropy"]) == [1, 0]
    assert list(table["agreement"]) == [0.5, 1]


def test_no_votes_at_all(hunt, answers_of):
    out = drop_logged_out(answers_of(hunt, [("a", "s", (1,))], logged_out=["a"]))
    for method in METHODS:
        none, gone = (consensus(answers, method=method) for answers in (answers_of(hunt, []), out))
        assert len(none) == 0
        assert "soft_cluster" in none.colnames
        assert list(gone["label"]) == [""]
        assert np.isnan(gone["agreement"][0])
    assert len(weights(answers_of(hunt, [])).table()) == 0


def simulated(rng, *, n_subjects=200, n_users=15, n_classes=3, per=8):
    truth = rng.integers(0, n_classes, n_subjects)
    skill = rng.uniform(0.3, 0.95, n_users)
    subject = np.repeat(np.arange(n_subjects), per)
    user = rng.integers(0, n_users, len(subject))
    guess = rng.integers(0, n_classes, len(subject))
    return user, subject, np.where(rng.random(len(subject)) < skill[user], truth[subject], guess), truth


def dense_dawid_skene(user, subject, vote, *, shape, steps):
    """Equations 2.3 to 2.5 of Dawid & Skene (1979), one volunteer and one subject at a time."""
    n_users, n_subjects, n_classes = shape
    counts = np.zeros((n_subjects, n_users, n_classes))
    np.add.at(counts, (subject, user, vote), 1)
    belief = counts.sum(axis=1) / counts.sum(axis=(1, 2))[:, None]
    for _ in range(steps):
        priors = belief.mean(axis=0)
        confusion = np.maximum(np.einsum("st,suv->utv", belief, counts), 1e-10)
        confusion /= confusion.sum(axis=2, keepdims=True)
        likelihood = priors * np.prod(confusion[None] ** counts[:, :, None, :], axis=(1, 3))
        belief = likelihood / likelihood.sum(axis=1, keepdims=True)
    return belief


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("per", [1, 8])
def test_dawid_skene_is_the_papers(seed, per):
    votes = simulated(np.random.default_rng(seed), per=per)[:3]
    published = {"prior_votes": 0, "correlation": 0}
    ours = dawid_skene(*votes, shape=(15, 200, 3), max_iterations=7, tolerance=0, **published)
    expected = dense_dawid_skene(*votes, shape=(15, 200, 3), steps=7)
    np.testing.assert_allclose(ours.probabilities, expected, atol=1e-8)


def test_dawid_skene_understands_a_volunteer_who_says_the_opposite():
    rng = np.random.default_rng(5)
    truth = rng.integers(0, 2, 400)
    subject, user = np.divmod(np.arange(400 * 5), 5)
    right = rng.random(len(subject)) < np.array([0.8, 0.8, 0.8, 0.1, 0.1])[user]
    vote = np.where(right, truth[subject], 1 - truth[subject])
    result = dawid_skene(user, subject, vote, shape=(5, 400, 2))
    majority = np.bincount(subject, weights=vote) > 2.5
    accuracy = np.mean(result.probabilities.argmax(axis=1) == truth)
    assert result.converged
    assert accuracy > np.mean(majority == truth) + 0.1
    assert (np.diagonal(result.confusion[3:], axis1=1, axis2=2) < 0.3).all()
    np.testing.assert_allclose(result.confusion.sum(axis=2), 1)
    np.testing.assert_allclose(result.priors.sum(), 1)


def hard_subjects(rng, *, per: int, spread: float, subjects: int = 600):
    """Votes of volunteers whom the same subjects mislead, with the truth."""
    truth, easy = rng.integers(0, 2, subjects), rng.normal(0, spread, subjects)
    skill = rng.normal(1.2, 0.8, 60)
    user = np.concatenate([rng.choice(60, per, replace=False) for _ in range(subjects)])
    subject = np.repeat(np.arange(subjects), per)
    right = rng.random(len(user)) < 1 / (1 + np.exp(-skill[user] - easy[subject]))
    return user, subject, np.where(right, truth[subject], 1 - truth[subject]), truth


def test_probabilities_are_honest_where_subjects_are_hard():
    """The published method is sure of what it gets wrong; the mended one says what it knows."""
    *votes, truth = hard_subjects(np.random.default_rng(3), per=10, spread=1.0)
    shape = (60, 600, 2)

    def loss(**options):
        found = dawid_skene(*votes, shape=shape, **options)
        sure = found.probabilities.max(axis=1).mean()
        right = found.probabilities[np.arange(600), truth]
        return -np.log(np.maximum(right, 1e-15)).mean(), sure - np.mean(right > 0.5), found.correlation

    published, prior, mended = loss(prior_votes=0, correlation=0), loss(correlation=0), loss()
    assert published[0] > prior[0] > 1.3 * mended[0]
    assert published[1] > 0.05 > abs(mended[1])
    assert mended[2] >= 0.05
    *votes, truth = hard_subjects(np.random.default_rng(4), per=10, spread=0.0)
    assert loss()[2] <= 0.02, "votes that are independent count in full"
    for wrong in ({"prior_votes": -1}, {"correlation": 1.5}):
        with pytest.raises(InputError, match="prior_votes must be 0 or more, correlation from 0 to 1"):
            loss(**wrong)


def test_log_odds_weigh_by_what_the_others_say(yes_no, answers_of):
    rows = [(user, f"s{n}", (n % 2,)) for n in range(40) for user in "abc"]
    rows += [("liar", f"s{n}", (1 - n % 2,)) for n in range(40)] + [("new", "t", (0,)), ("liar", "t", (1,))]
    answers = answers_of(yes_no, rows)
    votes = (answers.user, answers.subject, yes_no.verdict_of[answers.ending])
    weight = log_odds_weights(*votes, shape=(5, 41, 2))
    mean = (40 * 3 + 0.0 + 1) / (40 * 4 + 2 + 2)
    np.testing.assert_allclose(weight[0], np.log((40 + 5 * mean) / (5 - 5 * mean)))
    assert weight[3] < -1
    table = consensus(answers, method="log-odds")
    assert table["label"][-1] == "yes", "the liar's no speaks for yes"
    assert 0.5 < table["soft_yes"][-1] < 1
    assert table.meta["correlation"] >= 0
    assert len(consensus(answers_of(yes_no, []), method="log-odds")) == 0


def test_krippendorffs_alpha():
    """The example of Krippendorff (2011), section C: nominal, four observers, missing data; alpha 0.743."""
    units = ["111", "2232", "3333", "3333", "2222", "1234", "4444", "1121", "2222", "555", "11", "3"]
    counts = np.array([[unit.count(str(value)) for value in range(1, 6)] for unit in units])
    assert krippendorff_alpha(counts) == pytest.approx(0.743, abs=0.0005)
    assert krippendorff_alpha(np.array([[3, 0], [0, 2]])) == 1
    assert np.isnan(krippendorff_alpha(np.array([[1, 0], [0, 1]])))


def test_other_methods_and_no_steps_are_refused(hunt, answers_of):
    one = np.zeros(1, dtype=int)
    with pytest.raises(InputError, match="method must be one of .*'dawid-skene'.* got 'mean'"):
        consensus(answers_of(hunt, []), method="mean")
    with pytest.raises(InputError, match="max_iterations at least 1, got 5.0, None and 0"):
        dawid_skene(one, one, one, shape=(1, 1, 2), max_iterations=0)


def test_interval_of_the_fraction_and_votes_still_needed(yes_no, answers_of):
    said = {"one": [0], "three": [0] * 3, "four": [0] * 4, "tie": [0, 1], "most": [0] * 8 + [1] * 4}
    rows = [(f"{subject}{n}", subject, (a,)) for subject, all_ in said.items() for n, a in enumerate(all_)]
    table = consensus(answers_of(yes_no, rows), method="dawid-skene")
    row = {name: n for n, name in enumerate(table["object_id"].tolist())}
    for name, votes in said.items():
        k = votes.count({"yes": 0, "no": 1}[table["label"][row[name]]])
        found = wilson(k, len(votes))
        ours = table["fraction_low", "fraction_high"][row[name]]
        assert tuple(ours) == pytest.approx((found.low, found.high))
    assert table["votes_needed"][[row[name] for name in said]].tolist() == [3, 1, 0, np.inf, 23]
    assert wilson(22, 33).low < 0.5 < wilson(24, 36).low  # two thirds: from 35 votes on
    strict = consensus(answers_of(yes_no, rows), threshold=0.8)
    assert strict["votes_needed"][row["four"]] == 12  # 16 of 16
    none = consensus(answers_of(yes_no, [("a", "x", (0,))]).take(np.array([False])))
    assert np.isnan([none[name][0] for name in ("fraction_low", "fraction_high", "votes_needed")]).all()
    with pytest.raises(InputError, match=r"threshold must lie between 0 and 1, got 1"):
        consensus(answers_of(yes_no, rows), threshold=1)
