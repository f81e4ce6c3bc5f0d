"""How honest the soft labels of each way to combine votes are: log loss, Brier score and reliability.

``python tests/benchmarks/check_votes.py [--survey SAMPLE] [--answers CSV] [--page votes.html]``

Two truths. A **simulated** Hunt: what the object is. **Real** answers to one question (a flat table): the
majority of the other volunteers, where three, five or ten of those who answered are kept for each subject;
subjects on which the others are not of one mind (at least three quarters) are left out. The published method
of Dawid and Skene, and ours without the prior or the correlation, stand beside the methods of `consensus`.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from astropy.table import QTable, vstack

from labkit.evaluate import calibrate_votes, measure, reliability
from labkit.predictions import Predictions
from labkit.sample import Sample
from labkit.simulate import KOSIBA_HUNT, simulate_hunt, simulate_survey
from labkit.sources import read_export, read_flat_answers
from labkit.votes import METHODS, Answers, answer_counts, consensus, dawid_skene, vote_predictions

MEASURES = ("accuracy", "auc", "brier", "log_loss")
VARIANTS = {
    "dawid-skene, as published": {"prior_votes": 0, "correlation": 0},
    "dawid-skene, prior only": {"correlation": 0},
    "dawid-skene, correlation only": {"prior_votes": 0},
}


def judged(answers: Answers, truth: QTable, *, calibrate: bool = False) -> dict[str, Predictions]:
    """Every way to combine the votes, with the truth; subjects without votes are left out."""
    tables = {method: consensus(answers, method=method) for method in METHODS}
    ends = answers.ending >= 0
    votes = (answers.user[ends], answers.subject[ends], answers.tree.verdict_of[answers.ending[ends]])
    shape = (len(answers.users), len(answers.subjects), len(answers.tree.classes))
    for name, options in VARIANTS.items():
        table, found = tables["dawid-skene"].copy(), dawid_skene(*votes, shape=shape, **options)
        for number, one in enumerate(answers.tree.classes):
            table[f"soft_{one}"] = found.probabilities[:, number]
        best = np.nan_to_num(found.probabilities).argmax(axis=1)
        table["label"] = np.array(answers.tree.classes)[best]
        tables[name] = table
    about = {name: tables[name].meta["correlation"] for name in ("log-odds", "dawid-skene")}
    print(f"alpha {tables['majority'].meta['alpha']:.3f}, correlation {about}, {tables['dawid-skene'].meta}")
    for method in METHODS if calibrate else ():
        tables[f"{method}, calibrated"] = calibrate_votes(tables[method], truth, np.random.default_rng(1))
    return vote_predictions({name: table[table["n_votes"] > 0] for name, table in tables.items()}, truth)


def thinned(answers: Answers, votes: int, rng: np.random.Generator) -> Answers:
    """So many classifications of each subject, drawn at random."""
    order = rng.permutation(len(answers))
    by_subject = order[np.argsort(answers.subject[order], kind="stable")]
    first = np.searchsorted(answers.subject[by_subject], answers.subject[by_subject])
    keep = np.zeros(len(answers), dtype=bool)
    keep[by_subject[np.arange(len(order)) - first < votes]] = True
    return answers.take(keep)


def show(title: str, found: dict[str, Predictions]) -> QTable:
    """Print the measures, and return the reliability."""
    table = measure(found, measures=MEASURES, split=None)
    print(f"{title}, {int(table['objects'][0])} objects")
    rows = table["experiment", *MEASURES, "log_loss_low", "log_loss_high"]
    print("\n".join(rows.pformat(max_lines=-1, max_width=-1)))
    bins = reliability(found)
    gap = {name: bins[bins["experiment"] == name] for name in found}
    for name, rows in gap.items():
        error = np.average(np.abs(rows["p"] - rows["fraction"]), weights=rows["objects"])
        print(f"  {name}: expected calibration error {error:.3f}")
    bins["experiment"] = [f"{title}: {name}" for name in bins["experiment"]]
    return bins


def hunts(survey: Sample, rng: np.random.Generator) -> list[QTable]:
    """Simulated Hunts, read at three, ten and all thirty votes."""
    catalogue, found = survey.catalogue, []
    catalogue = catalogue[catalogue["in_hunt"]]
    truth = QTable(catalogue["object_id", "true_class"])
    cluster = np.char.endswith(np.asarray(truth["true_class"], dtype=str), "cluster")
    truth["label"] = np.where(cluster, "cluster", "artefact")
    with tempfile.TemporaryDirectory() as folder:
        hunt = simulate_hunt(catalogue, rng, path=Path(folder) / "hunt.csv")
        answers = read_export(hunt.path, "hunt", versions=("12",)).answers
    for votes in (3, 10, 30):
        found.append(
            show(
                f"simulated Hunt, {votes} votes", judged(thinned(answers, votes, rng), truth, calibrate=True)
            )
        )
    return found


def real(path: Path, rng: np.random.Generator) -> list[QTable]:
    """Real answers against the majority of the volunteers who were left out."""
    answers, found = read_flat_answers(path, "presence_absence").answers, []
    for votes in (3, 5, 10):
        kept = thinned(answers, votes, rng)
        others = answers.take(~np.isin(answers.order, kept.order))
        counts = answer_counts(others)[:, answers.tree.verdict_of.argsort()]
        share = counts.max(axis=1) / np.maximum(counts.sum(axis=1), 1)
        names = np.array(answers.tree.classes)[counts.argmax(axis=1)]
        truth = QTable({"object_id": np.array(answers.subjects, dtype=str)})
        truth["label"] = np.where(share >= 0.75, names, "")
        found.append(show(f"real answers, {votes} votes", _yes(judged(kept, truth))))
    return found


def _yes(found: dict[str, Predictions]) -> dict[str, Predictions]:
    """Three answers as one question: is it there?"""
    two = {}
    for name, one in found.items():
        true = np.where(one.true_codes < 0, "", np.where(one.is_positive, "yes", "no"))
        about = {"classes": ("no", "yes"), "positive": "yes", "experiment": name, "true": true}
        p = np.column_stack([1 - one.score, one.score])
        two[name] = Predictions.from_arrays(one.table["object_id"], p, **about)
    return two


def main() -> None:
    """Print the tables, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--survey", type=Path, help="raw simulated Sample with a Hunt; default: simulate one")
    parser.add_argument("--answers", type=Path, help="flat table of real answers to 'presence_absence'")
    parser.add_argument("--page", type=Path, help="HTML page with the reliability figures")
    options = parser.parse_args()
    rng = np.random.default_rng(1)
    found = real(options.answers, rng) if options.answers else []
    survey = (
        Sample.load(options.survey) if options.survey else simulate_survey(1, hunt=KOSIBA_HUNT, size_px=8)
    )
    found += hunts(survey, rng)
    if options.page:
        from labkit.views import save_page
        from labkit.views.plots import points

        rows = vstack(found)
        names = np.asarray(rows["experiment"], dtype=str)
        shown = np.char.find(names, "Hunt, 30 votes") >= 0
        for variant in VARIANTS:
            shown &= ~np.char.endswith(names, variant)
        rows = rows[shown]
        save_page(points(rows, "p", "fraction", by="experiment", width=900, height=600), options.page)


if __name__ == "__main__":
    main()
