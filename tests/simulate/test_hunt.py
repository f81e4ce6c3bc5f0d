"""The simulated Hunt: its export is read like any other, its biases are those declared."""

import csv
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from astropy.table import QTable

from labkit.errors import InputError
from labkit.evaluate import auc
from labkit.simulate import simulate_hunt
from labkit.simulate.numbers import read_numbers
from labkit.simulate.volunteers import assign, draw_volunteers, hunt_evidence, hunt_numbers
from labkit.sources import read_export
from labkit.votes import Answers, answer_counts, consensus, read_tree, weights

COLUMNS = tuple(read_numbers("hunt")["export"]["columns"])
CALM = dict.fromkeys(("logged_out", "repeats", "unfinished", "beta"), 0)
TREE = read_tree("hunt")


def candidates(number: int = 1, **columns) -> QTable:
    """Rows of a survey's catalogue: bright nearby clusters unless said otherwise."""
    ordinary = {
        "true_class": "low-z cluster",
        "flux": 5e-13,
        "exposure": 10.0,
        "background": 4e-3,
        "off_axis": 5.0,
        "redshift": 0.15,
        "m500": 3e14,
        "core_radius": 25.0,
    }
    table = QTable({"object_id": [f"C{row:03d}" for row in range(number)]})
    for name, value in (ordinary | columns).items():
        table[name] = np.broadcast_to(value, number)
    return table


def survey() -> QTable:
    """A hundred and twenty candidates, two thirds of them clusters of all brightnesses."""
    rng = np.random.default_rng(5)
    kinds = np.repeat(["low-z cluster", "high-z cluster", "point source", "artefact"], [45, 35, 25, 15])
    cluster = np.char.endswith(kinds, "cluster")
    redshift = np.where(kinds == "low-z cluster", rng.uniform(0.05, 0.3, 120), rng.uniform(0.3, 0.9, 120))
    return candidates(
        120,
        true_class=kinds,
        flux=np.where(kinds == "artefact", 0.0, np.exp(rng.uniform(-30.5, -27.5, 120))),
        redshift=np.where(cluster, redshift, np.nan),
        m500=np.where(cluster, 3e14, np.nan),
        core_radius=np.where(cluster, rng.uniform(5, 40, 120), np.nan),
    )


TRUTH = {row["object_id"]: row["true_class"].endswith("cluster") for row in survey()}  # whether it is one


@pytest.fixture(scope="module")
def hunt(tmp_path_factory):
    """Two hundred volunteers on 120 candidates, with everything an export can hold."""
    path = tmp_path_factory.mktemp("hunt") / "hunt.csv"
    disorder = {"logged_out": 0.1, "repeats": 0.05, "unfinished": 0.04, "beta": 0.05}
    made = simulate_hunt(survey(), 1, path=path, n_volunteers=200, changes={"disorder": disorder})
    assert made.rows == round(3600 * 1.24)
    return made


@pytest.fixture(scope="module")
def read(hunt):
    """What the reader of real exports makes of it."""
    found = read_export(hunt.path, TREE, versions=("12",))
    assert len(found.answers.subjects) == 120
    return found


def answers_of(table: QTable, tmp_path: Path, **changes) -> Answers:
    changes = {"disorder": CALM} | changes
    made = simulate_hunt(table, 0, path=tmp_path / "hunt.csv", n_volunteers=60, changes=changes)
    return read_export(made.path, TREE).answers


def share_of(ending: str, table: QTable, tmp_path: Path) -> np.ndarray:
    answers = answers_of(table, tmp_path)
    counts = answer_counts(answers)[:, TREE.endings[ending]]
    return counts[np.argsort(answers.subjects.astype(str))] / 30


def test_the_export_has_the_columns_of_zooniverse(hunt):
    with hunt.path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) == hunt.rows
    for row in rows[:: len(rows) // 50]:
        given = {entry["task"]: entry["value"] for entry in json.loads(row["annotations"])}
        _, ending = TREE.walk({task: TREE.numbers[task][text.casefold()] for task, text in given.items()})
        assert ending >= -1
        assert json.loads(row["metadata"])["started_at"] < json.loads(row["metadata"])["finished_at"]
        (subject,) = json.loads(row["subject_data"]).values()
        assert subject["object_id"].startswith("C")
    ids = [int(row["classification_id"]) for row in rows]
    assert ids == sorted(set(ids))
    assert [row["created_at"] for row in rows] == sorted(row["created_at"] for row in rows)
    launch = read_numbers("hunt")["export"]["launch"].replace("T", " ")
    assert all((row["created_at"] < launch) == (row["workflow_version"] == "4.9") for row in rows)


def test_the_columns_are_those_of_a_real_export(real):
    with (real / "zooniverse" / "decision_tree_export.csv").open(newline="") as file:
        assert tuple(next(csv.reader(file))) == COLUMNS


def test_the_reader_finds_what_was_put_in(hunt, read):
    dropped = read.report.dropped
    assert read.report.rows == hunt.rows
    assert dropped["another version of the workflow"] == 180
    assert dropped["volunteer not logged in"] == 360
    assert dropped["repeated by the same volunteer"] >= 180
    assert (consensus(read.answers)["n_votes"] == 30).all()
    assert set(read.answers.users[np.unique(read.answers.user)]) <= set(hunt.volunteers["user_name"])
    work = np.sort(list(Counter(read.answers.user.tolist()).values()))[::-1]
    assert len(work) == 200  # everyone takes part, and few do most
    assert work[:20].sum() > 0.3 * work.sum()


def test_a_seed_and_its_generator_give_the_same_file_whatever_the_labels_and_the_generator_goes_on(tmp_path):
    files, rng, table = [], np.random.default_rng(3), survey()
    for seed in (3, rng, rng):
        made = simulate_hunt(table, seed, path=tmp_path / "hunt.csv", n_volunteers=60)
        files.append(made.path.read_bytes())
        table["label"] = table["true_class"][::-1]  # never read
    assert files[0] == files[1] != files[2]


def test_only_objects_in_the_hunt_are_shown(tmp_path):
    table = survey()
    table["in_hunt"] = np.arange(120) % 2 == 0
    answers = answers_of(table, tmp_path)
    assert set(answers.subjects) == set(table["object_id"][::2])
    table["in_hunt"] = False
    with pytest.raises(InputError, match="survey must have objects in the Hunt, got none"):
        answers_of(table, tmp_path)


def test_volunteers_miss_clusters_rather_than_invent_them(read):
    votes = consensus(read.answers)
    truth = np.array([TRUTH[name] for name in votes["object_id"]])
    said = np.asarray(votes["label"] == "cluster")
    assert (said & ~truth).sum() <= 2
    assert 0.2 < said[truth].mean() < 0.9
    assert auc(truth, votes["soft_cluster"]) > 0.9


@pytest.mark.parametrize(
    ("ending", "column", "ordinary", "tempting", "least"),
    [
        ("no emission", "flux", 4e-12, 4e-15, 0.2),  # faint emission is taken for none
        ("point", "core_radius", 60.0, 4.0, 0.05),  # small clusters for points
        ("edge", "off_axis", 0.0, 13.0, 0.01),  # gaps for the edge, more so far off axis
        ("nearby galaxy", "redshift", 0.25, 0.03, 0.05),  # nearby clusters for galaxies
    ],
)
def test_biases_grow_as_declared(ending, column, ordinary, tempting, least, tmp_path):
    table = candidates(60, **{column: np.repeat([ordinary, tempting], 30)})
    share = share_of(ending, table, tmp_path)
    assert share[30:].mean() > max(share[:30].mean() + least, 1.5 * share[:30].mean())


def test_beyond_the_plates_there_is_no_distant_cluster(tmp_path):
    redshift = np.repeat([0.32, 0.9], 20)
    table = candidates(40, true_class="high-z cluster", redshift=redshift)
    no, yes = (share_of(name, table, tmp_path) for name in ("not a distant cluster", "distant cluster"))
    missed = no / np.maximum(no + yes, 1e-9)
    assert missed[20:].mean() > missed[:20].mean() + 0.15


def test_without_biases_and_scatter_skilled_volunteers_are_right(tmp_path):
    biases = hunt_numbers()["biases"]
    sure = {name: 0.0 if name.endswith(("_slope", "scatter")) else -9.0 for name in biases}
    crowd = dict.fromkeys(("skimmers", "random", "malicious", "skill", "question_skill"), 0)
    votes = consensus(answers_of(survey(), tmp_path, biases=sure, crowd=crowd))
    assert all((row["label"] == "cluster") == TRUTH[row["object_id"]] for row in votes)
    assert votes["agreement"].min() > 0.8


def test_weights_tell_who_is_malicious(tmp_path):
    changes = {"crowd": {"skimmers": 0.2, "random": 0.1, "malicious": 0.1}, "disorder": CALM}
    path = tmp_path / "hunt.csv"
    made = simulate_hunt(survey(), 2, path=path, n_volunteers=60, changes=changes)
    kinds = made.by_kind(weights(read_export(path, TREE).answers))
    assert kinds["volunteers"].sum() == 60
    mean = dict(zip(kinds["kind"], kinds["T0"], strict=True))
    assert mean["malicious"] < mean["random"] < mean["skimmer"] < mean["reader"]


def test_evidence_has_one_right_answer_a_question_at_most():
    evidence = hunt_evidence(survey(), TREE, hunt_numbers()["biases"], np.random.default_rng(0))
    per_question = np.add.reduceat(evidence.right, TREE.offsets, axis=1)
    assert (per_question == 1).all()
    assert (evidence.odds[evidence.right] == 0).all()


def test_nobody_sees_an_object_twice():
    activity = np.exp(np.random.default_rng(0).normal(0, 2, 50))
    chosen = assign(np.random.default_rng(1), activity, objects=40, per_object=12)
    assert all(len(set(row)) == 12 for row in chosen.tolist())
    work = np.bincount(chosen.ravel(), minlength=50)
    assert work.min() >= 1
    assert np.corrcoef(np.log(activity), work)[0, 1] > 0.7


def test_crowds_have_the_shares_asked_for():
    crowd = hunt_numbers({"crowd": {"skimmers": 0.3, "random": 0.1, "malicious": 0.05}})["crowd"]
    drawn = draw_volunteers(np.random.default_rng(0), 400, questions=6, crowd=crowd)
    assert Counter(drawn.kind.tolist()) == {"reader": 220, "skimmer": 120, "random": 40, "malicious": 20}
    assert drawn.skill.shape == (400, 6)
    skimmer, reader = (drawn.skill[drawn.kind == kind].mean() for kind in ("skimmer", "reader"))
    assert skimmer == pytest.approx(reader - crowd["unread"], abs=0.3)
    calm = crowd | {"skill": 0.0, "question_skill": 0.0, "unread": 0.0}
    assert (draw_volunteers(np.random.default_rng(0), 9, questions=2, crowd=calm).skill == 0).all()
