"""Put trained networks into the package, each experiment with a card that says what it is good for.

Run ``labkit run notebooks/scoring.toml --run RUN``, then ``python tests/benchmarks/ship_models.py RUN``.
What the card says of quality is measured here, on the run's own simulated test objects, by the mean of the
group's networks.
"""

import argparse
import json
import shutil
from pathlib import Path

import numpy as np

from labkit import __version__
from labkit.calibration import FILE, Calibration
from labkit.evaluate import Resampling, fit_calibration, measure
from labkit.experiment import read_experiments
from labkit.instruments.mirrors import PointSpread
from labkit.learn import find_models, model_folder, shipped_models
from labkit.learn.reference import FILE as REFERENCE
from labkit.predictions import Predictions
from labkit.sample import Sample
from labkit.tables import numbers, rows_of, text

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
SHIPPED = Path(find_models.__code__.co_filename).with_name("shipped")
#: Percentiles of the training set that bound what a model is valid for.
BOUNDS = (1, 99)


def bounds(catalogue, name: str, unit: str = "") -> list[float]:
    """The range that most of a column lies in."""
    values = numbers(catalogue[name], unit) if unit else numbers(catalogue[name])
    return [float(f"{value:.3g}") for value in np.nanpercentile(values, BOUNDS)]


def card(run: Path, experiment, raw: Sample, said: Predictions, calibration: Calibration) -> dict:
    """Trained on what, measured how, valid for what."""
    models = find_models(run, experiment=experiment.name)
    together = said.mean_of_runs().select(split="test")
    measures = ("auc", "accuracy", "purity", "completeness", "brier")
    row = measure(together, measures=measures, resampling=Resampling(rng=1))[0]
    catalogue = raw.catalogue
    training = catalogue[text(catalogue["split"]) == "train"]
    p, true = together.score, together.is_positive
    images = raw.select(rows_of(raw.object_ids, training["object_id"])).band("xray")
    return {
        "title": f"{len(models)} networks for candidates of XMM-Newton, bands {', '.join(experiment.bands)}",
        "made_by": "labkit run notebooks/scoring.toml, then tests/benchmarks/ship_models.py",
        "labkit": __version__,
        "network": f"{experiment.network}, {experiment.image_size} px, at most {experiment.epochs} epochs",
        "trained_on": {
            "images": raw.provenance["source"],
            "seed": raw.provenance["seed"],
            "objects": int((text(catalogue["split"]) == "train").sum()),
            "validation_objects": int((text(catalogue["split"]) == "validation").sum()),
            "labels": "as experts' with some wrong ones, see labkit/simulate/survey.toml",
        },
        "prevalence": experiment.prevalence,
        "measured": {
            "on": f"{len(together)} simulated sources that no network saw (mean of {len(models)})",
            "prevalence": float(np.round(true.mean(), 3)),
            **{name: round(float(row[name]), 3) for name in measures},
            "auc_95": [round(float(row[f"auc_{end}"]), 3) for end in ("low", "high")],
            "mean_probability": float(np.round(p.mean(), 3)),
        },
        "valid_for": {
            "telescope": "XMM-Newton",
            "instruments": "EPIC PN, MOS1 and MOS2 summed",
            "energy_kev": [0.5, 2.0],
            "pixel_scale_arcsec": round(float(raw.pixel_scale.to_value("arcsec")), 4),
            "width_arcmin": 7.0,
            "point_spread_fwhm_arcsec": [round(PointSpread(r).fwhm_arcsec, 1) for r in (0.0, 12.0)],
            "exposure_ks": bounds(training, "exposure", "ks"),
            "off_axis_arcmin": bounds(training, "off_axis", "arcmin"),
            "counts_in_cutout": [float(f"{v:.3g}") for v in np.percentile(images.sum((1, 2)), BOUNDS)],
            "optical": "red Schmidt plates, density" if "optical" in experiment.bands else "not used",
            "objects": "sources that a finder lists: candidates, which it calls extended, and others",
        },
        "calibration": f"{calibration}; cross-validated "
        "log loss " + ", ".join(f"{name} {loss:.3f}" for name, loss in calibration.log_loss.items()),
        "caution": "Trained and measured on simulated images only; real observations differ. "
        "Probabilities are meant for the prevalence above.",
    }  # fmt: skip


def main() -> None:
    """Write the groups, in place of those that are there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    run = parser.parse_args().run
    raw = Sample.load(run / "samples" / "raw")
    for experiment in read_experiments(NOTEBOOKS / "experiments" / "scoring.toml"):
        group = SHIPPED / experiment.name
        said = Predictions.load(run / "predictions.parquet").select(experiment=experiment.name)
        calibration = fit_calibration(said, rng=np.random.default_rng(1))
        written = card(run, experiment, raw, said, calibration)
        shutil.rmtree(group, ignore_errors=True)
        for seed in experiment.seeds:
            trained = model_folder(run, experiment, seed)
            there = group / "checkpoints" / trained.name
            there.mkdir(parents=True)
            about = json.loads((trained / "model.json").read_text(encoding="utf-8"))
            (there / "model.json").write_text(json.dumps(about) + "\n", encoding="utf-8")  # in one line
            for name in ("weights.safetensors", REFERENCE):
                shutil.copyfile(trained / name, there / name)
        calibration.save(group / FILE)
        (group / "card.json").write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
        print(f"{experiment.name}: AUC {written['measured']['auc']}, {written['measured']['on']}")
    print(", ".join(shipped_models()))


if __name__ == "__main__":
    main()
