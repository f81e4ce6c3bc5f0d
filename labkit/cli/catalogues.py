"""Verbs that write a table: find candidates, predict their classes, judge members by photometry."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

from typer import Argument, Option, echo

from labkit.cli.app import (
    ENDINGS,
    Accept,
    Device,
    Exposure,
    Group,
    Images,
    Overwrite,
    Seed,
    TableOut,
    app,
    at_terminal,
    bar,
    check_ending,
    echo_table,
    pairs,
    refuse_existing,
    refuse_files,
    refuse_same,
    split_words,
)
from labkit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Collection

    from astropy.table import Table

    from labkit.calibration import Calibration
    from labkit.predictions import Predictions
    from labkit.sample import Sample


#: Of `labkit.evaluate.catalogue_features`.
_COLUMNS = (
    *("reference", "bands", "magnitude", "colour", "member", "cluster", "cluster_redshift"),
    *("photometric_redshift", "radius"),
)
MODELS = "run folder with trained models, a model's own folder, or a name that `labkit models` lists"
#: Of `labkit.evaluate.METHODS`.
Photometric = StrEnum(
    "Photometric",
    {"forest": "random-forest", "boosting": "gradient-boosting", "logistic": "logistic-regression",
     "bayesian": "bayesian"},
)  # fmt: skip
#: Of `labkit.calibration.METHODS`.
Calibrator = StrEnum("Calibrator", ["temperature", "beta", "isotonic"])
OfExperiment = Annotated[str | None, Option(help="only the models of this experiment")]
Ecf = Annotated[
    float | None,
    Option(help="for fluxes: rate over flux, 1e11 counts cm2 / erg, as for emldetect; with --energy"),
]
Energy = Annotated[str | None, Option(help="band of the fluxes, keV, as in 0.5-2; with --ecf")]
Threshold = Annotated[
    float, Option(min=0, max=1, help="probability from which an object counts as a detection, recorded")
]


@app.command(rich_help_panel=Group.candidates)
def find(
    images: Images,
    exposure: Annotated[list[Path], Exposure],
    out: TableOut,
    regions: Annotated[Path | None, Option(help="region file (.reg) for DS9 to write")] = None,
    ecf: Ecf = None,
    energy: Energy = None,
    overwrite: Overwrite = False,
) -> None:
    """Find candidates in an XMM-Newton observation, C1 first.

    Sources with extent, likelihoods and errors.
    """
    band = _band(ecf, energy)
    refuse_files(overwrite, out=out, regions=regions)
    from labkit.finder import find_candidates
    from labkit.sources import read_observation, write_regions
    from labkit.tables import write_table

    with bar("fits", unit="fit") as progress:
        observation = read_observation(images, exposure)
        candidates = find_candidates(observation, ecf=ecf, energy=band, progress=progress)
    write_table(candidates, out)
    if regions is not None:
        write_regions(candidates, regions)
    echo(f"{out}: {len(candidates)} sources, {candidates['c1'].sum()} of them C1")


def _band(ecf: float | None, energy: str | None) -> tuple[float, float] | None:
    """The two energies with a hyphen between them that stand beside an ecf."""
    if (ecf is None) != (energy is None):
        raise InputError(
            f"--ecf and --energy must be given together, got {ecf} and {energy}; a flux is in a band"
        )
    if energy is None:
        return None
    try:
        low, high = map(float, energy.split("-"))
    except ValueError:
        raise InputError(f"--energy must be two energies in keV, as in 0.5-2, got {energy!r}") from None
    return low, high


@app.command(rich_help_panel=Group.judge)
def predict(
    sample: Annotated[Path, Argument(help="folder of a Sample, raw or normalised")],
    run: Annotated[str, Option(help=MODELS)],
    out: Annotated[Path, Option(help=f"table to write: {ENDINGS}; or a folder, for any number of objects")],
    experiment: OfExperiment = None,
    views: Annotated[int, Option(min=1, help="number of randomly turned views to average over")] = 1,
    workers: Annotated[
        str | None,
        Option(
            help="for a folder: number of processes, auto, or a Dask scheduler's address  [default: auto]"
        ),
    ] = None,
    device: Device = "auto",
    accept: Accept = None,
    calibrated: Annotated[
        bool, Option("--calibrated", help="apply the calibration beside the models, to the mean over them")
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Write what trained models say of each object of a Sample.

    Probabilities, 0 to 1, by each model; of models of numbers, means and widths. `labkit rank` makes a ranked
    catalogue of probabilities. A folder is written in parts, by several processes; the same command resumes
    one that was killed, and other verbs read it as they read a table.
    """
    if not out.suffix:
        from labkit.run.streaming import predict_in_parts

        options: dict[str, Any] = {"experiment": experiment, "device": device, "views": views}
        options |= {"accept": accept or (), "calibrated": calibrated}
        options |= {"overwrite": overwrite, "progress": at_terminal()}
        predict_in_parts(run, sample, out, workers=workers or "auto", **options)
        parts = sum(1 for _ in out.glob("part-*"))
        untold = "images not compared with the training's: that is done for a table only"
        echo(f"{out}: complete, in {parts} parts\n{untold}")
        return
    check_ending(out)
    if workers is not None:
        raise InputError(f"--workers needs a folder to write parts to, got --out {str(out)!r}; leave one out")
    refuse_files(overwrite, out=out)
    from labkit import learn
    from labkit.sample import Sample

    data = Sample.load(sample)
    said, novelty = _gate(run, data, experiment=experiment, accept=accept or (), device=device)
    predictions = learn.predict(
        run,
        data,
        experiment=experiment,
        device=device,
        views=views,
        accept=accept or (),
        calibrated=calibrated,
    )
    _mark(predictions, said, novelty).save(out)
    models = sum(1 for _ in predictions.runs())
    echo(f"{out}: {len(predictions)} rows, {len(data)} objects by {models} models\n{said}")


def _gate(
    run: str, data: "Sample", *, experiment: str | None, accept: "Collection[str]", device: str
) -> tuple[str, "Table | None"]:
    """Whether images are like the training's, in words, and how novel each is; others must be accepted."""
    import numpy as np

    from labkit import learn
    from labkit.evaluate import domain_shift
    from labkit.evaluate.domain import LEAST_OBJECTS
    from labkit.evaluate.trainings import candidates
    from labkit.tables import text

    reference = learn.reference_features(run, experiment=experiment)
    if reference is None:
        return "images not compared with the training's: these models came without a reference", None
    if np.isin(reference["object_id"], data.object_ids).all():
        return "images not compared with the training's: they are the same", None
    fresh = candidates(data.catalogue)
    if "split" in data.catalogue.colnames:  # what a network has learned from is no measure of it
        fresh = fresh & (text(data.catalogue["split"]) != "train")
    if min(len(reference), fresh.sum()) < LEAST_OBJECTS:
        needed = f"{LEAST_OBJECTS} on both sides that no network learned from"
        there = f"{fresh.sum()} and {len(reference)}"
        return f"images not compared with the training's: that needs {needed}, got {there}", None
    rows = np.flatnonzero(fresh)
    new = learn.image_features(run, data.select(rows), experiment=experiment, device=device, accept=accept)
    found = domain_shift(reference, new, rng=np.random.default_rng(0))
    if found.kind == "images" and "shift" not in accept:
        raise InputError(
            f"{found}; train on such images, or fine-tune with some of them, or give --accept shift if you "
            "accept that the probabilities were never tested on them"
        )
    return str(found), found.novelty


def _mark(predictions: Any, said: str, novelty: "Table | None") -> Any:
    """Predictions that say how their images compare with the training's."""
    import numpy as np

    from labkit.tables import rows_of

    for record in predictions.table.meta["made"]:
        record["shift"] = said
    if novelty is not None:
        place = rows_of(novelty["object_id"], predictions.table["object_id"])
        predictions.table["novelty"] = np.where(place >= 0, np.asarray(novelty["p"])[place], np.nan)
    return predictions


@app.command(rich_help_panel=Group.judge)
def calibrate(
    predictions: Annotated[Path, Argument(help="table that predict wrote, or predictions.parquet of a run")],
    out: Annotated[
        Path, Option(help="file to write (JSON); calibration.json in a run folder is used with its models")
    ],
    experiment: OfExperiment = None,
    split: Annotated[str, Option(help="split of the held-out objects of known class")] = "test",
    method: Annotated[
        Calibrator | None, Option(help="[default: that with the least cross-validated log loss]")
    ] = None,
    catalogue: Annotated[
        Path | None, Option(help="folder of a Sample, or table, with the column of --group-by")
    ] = None,
    group_by: Annotated[
        str | None, Option(help="column whose values stay together, such as the field")
    ] = None,
    seed: Seed = 0,
    overwrite: Overwrite = False,
) -> None:
    """Fit what makes probabilities hold, to held-out objects.

    Prints how well they held before (slope of the log-odds, 1 where calibrated; losses, log loss in nats) and
    the cross-validated log loss.
    """
    refuse_files(overwrite, out=out)
    import numpy as np

    from labkit.evaluate import Resampling, as_text, fit_calibration, reliability_measures
    from labkit.predictions import Predictions

    held = Predictions.load(predictions).select(experiment=experiment)
    rng = np.random.default_rng(seed)
    on = None if catalogue is None else _catalogue(catalogue)
    way = None if method is None else method.value
    found = fit_calibration(held, split=split, method=way, on=on, group_by=group_by, rng=rng)
    found.save(out)
    if found.positive is not None:
        before = reliability_measures({"before": held}, split=split, resampling=Resampling(rng=rng))
        shown = ("slope", "intercept", "brier", "log_loss")
        echo_table(as_text(before, measures=shown, keep=["objects", "positives"]))
    losses = ", ".join(f"{name} {value:.4f}" for name, value in found.log_loss.items())
    clipped = f"; {found.clipped} objects with a probability of 0 or 1" if found.clipped else ""
    echo(f"{out}: {found}; cross-validated log loss: {losses}{clipped}")


def _catalogue(path: Path) -> "Table":
    """Of a Sample's folder, or a table."""
    from labkit.sample import Sample
    from labkit.tables import read_catalogue

    return Sample.load(path).catalogue if path.is_dir() else read_catalogue(path)


@app.command("rank", rich_help_panel=Group.judge)
def rank_objects(
    predictions: Annotated[Path, Argument(help="table that predict wrote, or predictions.parquet of a run")],
    sample: Annotated[Path, Argument(help="folder of the Sample, raw or normalised")],
    out: TableOut,
    threshold: Threshold = 0.5,
    purity: Annotated[
        float | None, Option(help="select as many as are expected to be as pure, 0 to 1")
    ] = None,
    completeness: Annotated[
        float | None, Option(help="select as few as are expected to be as complete, 0 to 1")
    ] = None,
    cost: Annotated[
        str | None, Option(help="select at least cost of a false positive and a negative, as in 1:3")
    ] = None,
    prevalence: Annotated[
        str, Option(help="share of the positive class, 0 to 1; estimate; or that of the calibration")
    ] = "estimate",
    calibration: Annotated[
        Path | None, Option(help="file that calibrate wrote  [default: that beside the models]")
    ] = None,
    seed: Seed = 0,
    overwrite: Overwrite = False,
) -> None:
    """Write the ranked catalogue, best first.

    Mean probability, 0 to 1, and scatter over the models. With --purity, --completeness or --cost also
    calibrated probabilities, which objects are selected, and how many of them are expected to be wrong.
    """
    refuse_files(overwrite, out=out)
    goal: dict[str, Any] = {"purity": purity, "completeness": completeness, "cost": _cost(cost)}
    share = _share(prevalence)
    from labkit.evaluate import operating_point, rank
    from labkit.predictions import Predictions
    from labkit.sample import Sample
    from labkit.tables import write_table

    given, catalogue, point = Predictions.load(predictions), Sample.load(sample).catalogue, None
    if any(value is not None for value in goal.values()):
        import numpy as np

        rng = np.random.default_rng(seed)
        point = operating_point(
            given, _calibration(given, calibration), rng=rng, prevalence=share, catalogue=catalogue, **goal
        )
    ranked = rank(given, catalogue, threshold=threshold, point=point)
    write_table(ranked, out)
    echo(f"{out}: {_best(ranked)}" + ("" if point is None else f"\n{point}"))


def _cost(words: str | None) -> tuple[float, float] | None:
    """The costs of a false positive and a false negative, with a colon between them."""
    if words is None:
        return None
    try:
        one, other = map(float, words.split(":"))
    except ValueError:
        raise InputError(f"--cost must be two numbers, as in 1:3, got {words!r}") from None
    return one, other


def _share(words: str) -> float | str | None:
    """A prevalence as `labkit.evaluate.operating_point` takes it."""
    if words in ("estimate", "calibration"):
        return words if words == "estimate" else None
    try:
        return float(words)
    except ValueError:
        raise InputError(f"--prevalence must be a share, estimate or calibration, got {words!r}") from None


def _calibration(given: "Predictions", path: Path | None) -> "Calibration":
    """From the file, or from beside the models that predicted."""
    from labkit.calibration import Calibration
    from labkit.learn import model_calibration

    if path is not None:
        return Calibration.load(path)
    runs = {one.get("run", "") for one in given.table.meta.get("made", [])} - {""}
    if len(runs) != 1:
        raise InputError(
            "--calibration must name a file that `labkit calibrate` wrote, as no run folder is known"
        )
    return model_calibration(runs.pop())


def _best(ranked: "Table") -> str:
    """How many objects are ranked, the first of them, and what their probabilities assume."""
    p = ranked.colnames[2]
    first = f", best {ranked['object_id'][0]} with {p} = {ranked[p][0]:.3f}" if len(ranked) else ""
    return f"{len(ranked)} objects{first}; {_assumed(ranked)}"


def _assumed(ranked: "Table") -> str:
    """What the probabilities of a ranked catalogue take for granted."""
    made = ranked.meta["ranking"]["made"]
    shares = {one.get("prevalence") for one in made}
    share = shares.pop() if len(shares) == 1 else None
    of = "calibration" if any("calibrated" in one for one in made) else "balanced training"
    words = "that of the training set" if share is None else f"{share:.2g}, as in the {of}"
    return f"probabilities assume as prevalence {words}"


@app.command(rich_help_panel=Group.candidates)
def classify(
    images: Images,
    exposure: Annotated[list[Path], Exposure],
    out: Annotated[Path, Option(help="folder to make")],
    plate: Annotated[
        list[Path] | None, Option(help="optical plate (FITS), for models of both bands; repeat")
    ] = None,
    candidates: Annotated[
        Path | None,
        Option(help="table with ra and dec, degrees, or DS9 regions, to score  [default: what find finds]"),
    ] = None,
    run: Annotated[
        str | None, Option(help=f"{MODELS}  [default: xmm-xray; with --plate xmm-xray-optical]")
    ] = None,
    experiment: OfExperiment = None,
    accept: Accept = None,
    ecf: Ecf = None,
    energy: Energy = None,
    threshold: Threshold = 0.5,
    device: Device = "auto",
    overwrite: Overwrite = False,
) -> None:
    """From images to a ranked catalogue, nothing trained.

    It is find, observe, predict and rank in one, with a page.

    The folder gets candidates.ecsv, candidates.reg, sample/ (the cut-outs), predictions.parquet, ranked.ecsv
    (probabilities, 0 to 1) and report.html.
    """
    band = _band(ecf, energy)
    if candidates is not None and ecf is not None:
        raise InputError(f"--ecf must stand without --candidates, whose rates are its own, got {ecf}")
    refuse_existing(out, overwrite)
    import astropy.units as u

    from labkit.evaluate import rank
    from labkit.finder import find_candidates
    from labkit.learn import find_models, predict
    from labkit.predictions import Predictions
    from labkit.sources import candidates_sample, read_candidates, read_observation, write_regions
    from labkit.tables import write_table
    from labkit.views import save_page
    from labkit.views.ranked import notes, ranked_page

    run = run or ("xmm-xray-optical" if plate else "xmm-xray")
    models, given = find_models(run, experiment=experiment), {"xray"} | ({"optical"} if plate else set())
    if lacking := {band for model in models for band in model.experiment.named_bands} - given:
        raise InputError(
            f"--run must name models of the bands given, {sorted(given)}, got {run!r}, which needs "
            f"{sorted(lacking)}, too; give --plate, or models of X-rays alone"
        )
    observation, accepted = read_observation(images, exposure), accept or ()
    for model in models:
        if model.experiment.class_scheme.positive is None:
            raise InputError(f"--run must name models with a positive class, got {run!r}; name others")
        model.check_telescope(observation.about["telescope"], accepted)
    if candidates is None:
        with bar("fits", unit="fit") as progress:
            found = find_candidates(observation, ecf=ecf, energy=band, progress=progress)
    else:
        found = read_candidates(candidates, wcs=observation.wcs)
    write_table(found, out / "candidates.ecsv")
    write_regions(found, out / "candidates.reg")
    pixels = models[0].image_shape[-1]
    raw = candidates_sample(
        observation, found, size=pixels * models[0].pixel_scale_arcsec * u.arcsec, pixels=pixels,
        optical=plate or None, outside="drop", without_optical="drop",
    )  # fmt: skip
    raw.save(out / "sample", overwrite=True)
    seen, novelty = _gate(run, raw, experiment=experiment, accept=accepted, device=device)
    predictions = _mark(
        predict(run, raw, experiment=experiment, accept=accepted, device=device), seen, novelty
    )
    predictions.save(out / "predictions.parquet")
    classified = cast(Predictions, predictions)  # of classes, as was checked above
    ranked = rank(classified, raw.catalogue, threshold=threshold)
    write_table(ranked, out / "ranked.ecsv")
    said = [_assumed(ranked), seen, *notes(run, raw, left_out=len(found) - len(raw))]
    target = observation.about["target"] or images[0].name
    save_page(ranked_page(ranked, raw, observation, notes=said), out / "report.html", title=target)
    echo("\n".join([*said[1:], f"{out / 'ranked.ecsv'}: {_best(ranked)}", str(out / "report.html")]))


@app.command("models", rich_help_panel=Group.judge)
def list_models(
    run: Annotated[str | None, Argument(help=f"{MODELS}  [default: all that ship]")] = None,
) -> None:
    """List the models that ship with labkit, or those of a run.

    Of one that ships also its card.
    """
    from labkit.learn import model_card, model_table

    table = model_table(run)
    table.remove_column("folder")
    echo_table(table)
    for name in dict.fromkeys(table["models"].tolist()):
        card = model_card(name)
        measured = card.get("measured", {})
        if card and run is not None:
            echo(_lines(card))
        elif measured:
            echo(f"{name}: AUC {measured['auc']} of {measured['on']}; `labkit models {name}` tells more")


def _lines(facts: dict[str, Any], indent: str = "") -> str:
    """Nested facts, a line each."""
    return "\n".join(
        f"{indent}{name}:\n{_lines(value, indent + '  ')}"
        if isinstance(value, dict)
        else f"{indent}{name}: {' to '.join(map(str, value)) if isinstance(value, list) else value}"
        for name, value in facts.items()
    )


@app.command("photometric", rich_help_panel=Group.members)
def photometric(
    source: Annotated[
        Path, Argument(help="folder of a Sample of members with magnitudes, or a catalogue (table)")
    ],
    out: TableOut,
    method: Annotated[
        list[Photometric] | None, Option(help="repeat for more  [default: gradient-boosting]")
    ] = None,
    survey: Annotated[str | None, Option(help="whose column names the catalogue has, as S-PLUS")] = None,
    column: Annotated[
        list[str] | None,
        Option(
            help=f"name=column, repeated: {', '.join(_COLUMNS)}; magnitude and colour hold {{band}}  "
            "[default: reference=F814, magnitude=mag_{band}]"
        ),
    ] = None,
    folds: Annotated[int, Option(min=2, help="parts that are judged by what the others taught")] = 10,
    trees: Annotated[int, Option(min=1, help="trees of a forest")] = 500,
    seed: Seed = 0,
    overwrite: Overwrite = False,
) -> None:
    """Judge members by magnitudes and colours.

    OUT gets p_<method> of each galaxy.

    Galaxies with a label are judged out of fold, whole clusters at a time, others by what all labels taught.
    """
    refuse_files(overwrite, out=out)
    given: dict[str, Any] = pairs(column, "--column") if column else {}
    if strange := sorted(set(given) - set(_COLUMNS)):
        raise InputError(f"--column must name {', '.join(_COLUMNS)}, got {strange}; write name=column")
    refuse_same(out, source, "file")
    from labkit import evaluate
    from labkit.sample import Sample
    from labkit.tables import read_catalogue, rows_of, write_table

    table = Sample.load(source).catalogue if source.is_dir() else read_catalogue(source)
    columns = ({"reference": "F814"} if survey is None else evaluate.survey_columns(survey)) | given
    if "bands" in given:
        columns["bands"] = split_words(given["bands"])
    features = evaluate.catalogue_features(table, unlabelled=True, **columns)
    variants = {one.title.lower(): one for one in evaluate.feature_sets(features)}  # the richest come last
    found, result = {}, features["object_id", "cluster", "label"]
    for name in dict.fromkeys(method or [Photometric.boosting]):
        one = evaluate.catalogue_members(
            features, variants[name.replace("-", " ")], folds=folds, seed=seed, trees=trees
        )
        found[name.value] = one
        rows = rows_of(one.table["object_id"], features["object_id"])
        result[f"p_{name.replace('-', '_')}"] = one.score[rows]
        result["judged"] = one.table["split"][rows]
    write_table(result, out)
    scores = evaluate.measure(
        {name: one.select(split="test") for name, one in found.items()}, by=("method",),
        measures=("purity", "completeness", "f1", "auc"), resampling=evaluate.Resampling(rng=seed),
    )  # fmt: skip
    echo_table(evaluate.as_text(scores, keep=["objects"]))
    echo(f"{out}: {len(result)} galaxies, {(result['label'] == '').sum()} of them without a verdict")
