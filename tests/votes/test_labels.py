"""Volunteers' verdicts beside the experts' labels, before and after cleaning, and as labels to train on."""

import numpy as np
import pytest
from astropy.table import MaskedColumn, QTable, Table

from labkit.errors import InputError
from labkit.votes import (
    KOSIBA_VALIDATION,
    agreement_with,
    cleaning_steps,
    retire,
    retirement_table,
    training_labels,
    vote_predictions,
)


def votes(clusters: int, others: int) -> QTable:
    number = clusters + others
    soft = np.r_[np.full(clusters, 0.7), np.full(others, 0.2)]
    table = QTable({"object_id": [f"O{row:04d}" for row in range(number)]})
    table["n_votes"] = np.full(number, 30)
    table["soft_non-cluster"], table["soft_cluster"] = 1 - soft, soft
    table["label"] = np.where(soft > 0.5, "cluster", "non-cluster")
    table["agreement"] = np.maximum(soft, 1 - soft)
    table.meta["classes"] = ["non-cluster", "cluster"]
    return table


def sizes(labels: QTable) -> dict[tuple[str, str], int]:
    pairs, counts = np.unique([f"{row['split']}/{row['label']}" for row in labels], return_counts=True)
    return dict(zip(map(str, pairs), counts.tolist(), strict=True))


def test_the_papers_numbers_come_out():
    given = votes(506, 1094)
    tested = [*given["object_id"][:56], *given["object_id"][506:620]]
    labels = training_labels(given, np.random.default_rng(0), exclude=tested)
    assert sizes(labels) == {
        "train/cluster": 320,
        "train/non-cluster": 880,
        "validation/cluster": 130,
        "validation/non-cluster": 100,
    }
    assert set(labels["object_id"]).isdisjoint(tested)
    assert labels.colnames[:5] == ["object_id", "label", "split", "soft_non-cluster", "soft_cluster"]


def test_small_hunts_keep_two_thirds_for_training():
    labels = training_labels(votes(30, 60), np.random.default_rng(0))
    assert sizes(labels)["validation/cluster"] == 10
    assert sizes(labels)["validation/non-cluster"] == 20
    few = sizes(training_labels(votes(2, 2), np.random.default_rng(0)))
    assert (len(few), set(few.values())) == (4, {1})


def test_the_choice_is_random_and_repeatable_among_objects_with_votes():
    one, again, other = (training_labels(votes(60, 60), np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert (one["split"] == again["split"]).all()
    assert (one["split"] != other["split"]).any()
    assert dict(KOSIBA_VALIDATION) == {"cluster": 130, "non-cluster": 100}
    given = votes(5, 5)
    given["label"][0] = ""
    assert "O0000" not in training_labels(given, np.random.default_rng(0))["object_id"]


def test_what_cannot_be_labelled_is_refused():
    given = votes(3, 3)
    with pytest.raises(InputError, match="validation must name classes of the votes"):
        training_labels(given, np.random.default_rng(0), validation={"star": 3})
    with pytest.raises(InputError, match="labelled objects that are not excluded, got none of 6"):
        training_labels(given, np.random.default_rng(0), exclude=given["object_id"].tolist())


def test_agreement_with_experts_by_hand(hunt, answers_of):
    rows = [(user, subject, (0, 4)) for user, subject in ("as", "at", "aq")]
    rows += [("b", "s", (1,)), ("b", "t", (0, 3, 5, 8, 11))]
    truth = QTable({"object_id": ["s", "t", "r", "q"]})
    labels = ["point source", "low-z cluster", "edge", "point source"]
    truth["label"] = MaskedColumn(labels, mask=[0, 0, 0, 1])
    table = agreement_with(answers_of(hunt, rows), truth)
    found = {row["ending"]: row for row in table}
    assert (found["point"]["answers"], found["point"]["fraction"]) == (2, 0.5)  # q has no label
    assert (found["no emission"]["answers"], found["no emission"]["fraction"]) == (1, 0)
    assert found["not a nearby cluster"]["answers"] == 1
    assert np.isnan(found["not a nearby cluster"]["fraction"])  # no counterpart
    assert np.isnan(found["edge"]["fraction"])  # no answer
    assert list(table["class"]) == [hunt.choices[n].verdict for n in hunt.endings.values()]


def test_agreement_needs_a_truth(hunt, answers_of):
    answers = answers_of(hunt, [("a", "s", (0, 4))])
    for truth, message in (
        ({"object_id": ["s"]}, r"truth must have the columns .* \['label'\] missing"),
        ({"object_id": ["t", "s"], "label": ["edge", ""]}, "share labelled objects with the answers; comp"),
        ({"object_id": ["s", "s"], "label": ["edge", "edge"]}, "ids must be unique, got 1 repeated"),
    ):
        with pytest.raises(InputError, match=message):
            agreement_with(answers, QTable(truth))


def test_steps_of_the_cleaning_subject_by_subject(yes_no, answers_of):
    rows = [("out", "s", (0,)), ("out2", "s", (0,)), ("a", "s", (1,))]  # logged-out volunteers decide
    rows += [(user, "t", (int(user == "b"),)) for user in "abbcb"]  # b repeats
    rows += [("a", "u", (1,)), ("c", "u", (1,))]
    table = cleaning_steps(answers_of(yes_no, rows, logged_out=["out", "out2"]))
    assert table["n_all"].tolist() == [3, 5, 2]
    assert table["n_logged_in"].tolist() == [1, 5, 2]
    assert table["n_first"].tolist() == table["n_weighted"].tolist() == [1, 3, 2]
    assert table["label_all"].tolist() == ["yes", "no", "no"]
    assert table["changed"].tolist() == ["logged_in", "first", ""]
    assert table["soft_first"][1] == pytest.approx(2 / 3)
    assert table["soft_weighted"][1] == 1  # b's weight is zero


CATALOGUE = QTable({"object_id": ["a", "b", "c", "d", "e"], "split": ["train", "test", "test", "", "train"]})
CATALOGUE["label"] = ["low-z cluster", "high-z cluster", "artefact", "", "dubious"]


def test_the_experts_word_is_the_truth_of_the_votes():
    table = QTable({"object_id": ["e", "c", "z", "a", "b", "d"]})
    table["label"] = ["cluster", "non-cluster", "cluster", "cluster", "", "cluster"]
    table["soft_cluster"] = [0.9, 0.1, 0.8, 0.7, np.nan, 0.6]
    found = vote_predictions({"weighted": table}, CATALOGUE)["weighted"]
    assert found.table["object_id"].tolist() == table["object_id"].tolist()
    assert found.table["true"].tolist() == ["", "non-cluster", "", "cluster", "cluster", ""]
    assert found.table["split"].tolist() == ["train", "test", "", "train", "test", ""]
    assert found.score.tolist() == [0.9, 0.1, 0.8, 0.7, 0.0, 0.6], "no votes: no cluster"
    assert found.positive == "cluster"
    ties = QTable(
        {"object_id": ["a", "c"], "label": ["cluster", "non-cluster"], "soft_cluster": [0.5, 0.5 + 1e-12]}
    )
    tied = vote_predictions({"majority": ties}, CATALOGUE["object_id", "label"])["majority"]
    assert (tied.score > 0.5).tolist() == [True, False], "a tie goes the way of its label"
    np.testing.assert_allclose(tied.score, 0.5)
    with pytest.raises(
        InputError, match=r"votes\['x'\] must have .* it must come from labkit.votes.consensus"
    ):
        vote_predictions({"x": CATALOGUE}, CATALOGUE)


def test_retirement_is_replayed_as_the_votes_came(hunt, yes_no, answers_of):
    said = {"x": "yynyy", "y": "nnyyyy", "z": "y"}
    rows = [(f"u{n}", s, ("yn".index(a),)) for s, word in said.items() for n, a in enumerate(word)]
    answers = answers_of(yes_no, rows[::-1], order=range(len(rows))[::-1])  # the file is not in time's order
    assert [len(retire(answers, after)) for after in (3, 9)] == [7, 12]
    truth = Table({"object_id": ["x", "y"], "label": ["yes", "yes"]})
    table = retirement_table(answers, [(3, None), (6, 2)], truth=truth, method="majority")
    assert table["votes"].tolist() == [12, 7, 5]
    assert table["votes_per_subject"].tolist() == pytest.approx([4, 7 / 3, 5 / 3])
    assert table["same_label"].tolist() == pytest.approx([1, 2 / 3, 2 / 3])
    assert table["accuracy"].tolist() == [1, 0.5, 0.5]
    assert "accuracy" not in retirement_table(answers, [(1, None)]).colnames
    unfinished = answers_of(hunt, [("a", "x", (0, 3)), ("b", "x", (1,)), ("c", "x", (0,)), ("d", "x", (1,))])
    assert len(retire(unfinished, 1)) == 2  # no vote, then the vote
    with pytest.raises(InputError, match="after and agreeing must be at least 1, got 0 and None"):
        retire(answers, 0)
