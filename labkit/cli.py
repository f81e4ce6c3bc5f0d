"""The command line: the verbs of the notebooks for batches.

Exit codes are those of sysexits.h, for batch systems: 0 done; 2 wrong usage; 65 input breaks a rule;
66 input is missing; 70 training or a notebook failed; 74 reading or writing failed; 130 interrupted
(the same command goes on where it was).
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

from labkit import __version__
from labkit.errors import FailedError, InputError, MissingDataError

__all__ = ["app", "main"]

EXIT_DATA, EXIT_MISSING, EXIT_FAILED, EXIT_IO, EXIT_INTERRUPTED = 65, 66, 70, 74, 130

app = typer.Typer(
    help="Classify galaxy clusters: images of candidates in, a ranked and explained catalogue out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
simulate_app = typer.Typer(
    help="Simulate a survey of candidates, or a whole XMM-Newton observation.", no_args_is_help=True
)
fetch_app = typer.Typer(help="Fetch published data sets.", no_args_is_help=True)
app.add_typer(simulate_app, name="simulate")
app.add_typer(fetch_app, name="fetch")

Out = Annotated[Path, typer.Argument(help="folder to make")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="replace what is there")]
Seed = Annotated[int, typer.Option(help="seed of everything random")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:<n>")]


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"labkit {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    quiet: Annotated[bool, typer.Option("--quiet", help="log errors only")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="show the version")
    ] = False,
) -> None:
    level = logging.ERROR if quiet else logging.INFO
    logging.basicConfig(level=level, stream=sys.stderr, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("papermill").setLevel(logging.WARNING)


def _watched() -> bool:
    return sys.stderr.isatty()


@simulate_app.command("survey")
def simulate_survey(
    out: Out,
    objects: Annotated[int | None, typer.Option(help="candidates; default the paper's 1707")] = None,
    size_px: Annotated[int, typer.Option(help="pixels along the 7 arcmin side of a cut-out")] = 178,
    seed: Seed = 1,
    processes: Annotated[int, typer.Option(help="processes; the result does not depend on them")] = 1,
    overwrite: Overwrite = False,
) -> None:
    """Simulate X-CLASS-like candidates in two bands, as a raw Sample."""
    from labkit.simulate import simulate_survey as verb

    sample = verb(
        seed,
        n_objects=objects,
        size_px=size_px,
        n_jobs=processes,
        progress=_watched(),
        path=out,
        overwrite=overwrite,
    )
    typer.echo(sample)


@simulate_app.command("observation")
def simulate_observation(
    out: Out,
    seed: Seed = 1,
    pixel_scale: Annotated[float, typer.Option(help="pixel size, arcsec")] = 4.35,
    size_px: Annotated[int, typer.Option(help="pixels along a side")] = 512,
    overwrite: Overwrite = False,
) -> None:
    """Simulate one EPIC field: images and exposure maps (FITS) of PN, MOS1, MOS2, and the true sources."""
    from labkit.simulate import simulate_observation as verb

    verb(seed, pixel_scale_arcsec=pixel_scale, size_px=size_px, path=out, overwrite=overwrite)
    typer.echo(f"{out}: {', '.join(sorted(file.name for file in out.iterdir()))}")


@fetch_app.command("kosiba2020")
def fetch_kosiba2020(
    out: Out,
    copy: Annotated[
        Path | None, typer.Option(help="a copy you have: the zip, or the unpacked folder")
    ] = None,
    validation: Annotated[
        float, typer.Option(help="share of the training images set aside for validation")
    ] = 0.2,
    seed: Seed = 0,
    overwrite: Overwrite = False,
) -> None:
    """Fetch the training set of Kosiba et al. 2020 (Zenodo 7236582, 259 MB), as a normalised Sample."""
    from labkit.sources import fetch_kosiba2020 as verb

    sample = verb(copy, output=out, validation_fraction=validation, seed=seed, overwrite=overwrite)
    typer.echo(sample)


@app.command()
def observe(
    out: Out,
    image: Annotated[list[Path], typer.Option(help="EPIC image (FITS); repeat for PN, MOS1 and MOS2")],
    candidates: Annotated[Path, typer.Option(help="table (FITS, ECSV, CSV, VOTable) or DS9 region file")],
    exposure: Annotated[list[Path] | None, typer.Option(help="exposure map, one an image")] = None,
    plate: Annotated[list[Path] | None, typer.Option(help="optical plate (FITS); repeat for more")] = None,
    size_px: Annotated[int, typer.Option(help="pixels along the 7 arcmin side of a cut-out")] = 178,
    outside: Annotated[str, typer.Option(help="candidates off the image: raise or drop")] = "raise",
    overwrite: Overwrite = False,
) -> None:
    """Cut the candidates of an XMM-Newton observation out, as a raw Sample."""
    from labkit.sources import candidates_sample, read_observation

    observation = read_observation(image, exposure or None)
    sample = candidates_sample(
        observation,
        candidates,
        pixels=size_px,
        optical=plate or None,
        outside=outside,  # type: ignore[arg-type]
    )
    sample.save(out, overwrite=overwrite)
    typer.echo(sample)


@app.command("normalise")
def normalise_sample(
    sample: Annotated[Path, typer.Argument(help="folder of a raw Sample")],
    out: Out,
    method: Annotated[str, typer.Option(help="xamin, asinh or percentile")] = "xamin",
    overwrite: Overwrite = False,
) -> None:
    """Turn a raw Sample's pixels into grey levels."""
    from labkit.images import normalise
    from labkit.sample import Sample

    typer.echo(normalise(Sample.load(sample), method=method, path=out, overwrite=overwrite))  # type: ignore[arg-type]


@app.command()
def train(
    sample: Annotated[Path, typer.Argument(help="folder of a normalised Sample")],
    experiment: Annotated[
        list[str], typer.Option(help="a preset (such as CN-E) or an experiment's JSON file; repeat")
    ],
    run: Annotated[Path, typer.Option(help="run folder")],
    seeds: Annotated[list[int] | None, typer.Option("--seed", help="seed of a run; repeat for more")] = None,
    epochs: Annotated[int | None, typer.Option(help="epochs, instead of the experiment's")] = None,
    image_size: Annotated[int | None, typer.Option(help="side of the network's input, pixels")] = None,
    device: Device = "auto",
) -> None:
    """Train experiments; a killed command goes on where it was when it is given again."""
    from labkit.experiment import Experiment, preset
    from labkit.run.chain import train_all
    from labkit.sample import Sample

    given = {"seeds": tuple(seeds) if seeds else None, "epochs": epochs, "image_size": image_size}
    changes = {name: value for name, value in given.items() if value is not None}
    wanted = [
        Experiment.load(name).changed(**changes) if name.endswith(".json") else preset(name, **changes)
        for name in experiment
    ]
    for fitted in train_all(wanted, Sample.load(sample), run=run, device=device, progress=_watched()):
        typer.echo(f"{fitted.folder}: best epoch {fitted.best_epoch} of {len(fitted.history)}")


@app.command()
def predict(
    sample: Annotated[Path, typer.Argument(help="folder of a Sample, raw or normalised")],
    run: Annotated[Path, typer.Option(help="run folder with trained models")],
    out: Annotated[Path, typer.Option(help="ranked catalogue to write: .ecsv, .csv, .fits or .parquet")],
    experiment: Annotated[str | None, typer.Option(help="only the models of this experiment")] = None,
    views: Annotated[int, typer.Option(help="randomly turned views to average over")] = 1,
    device: Device = "auto",
) -> None:
    """Score a Sample with trained models and write the ranked catalogue."""
    from labkit.evaluate import ranked_catalogue
    from labkit.run.chain import find_models, score
    from labkit.sample import Sample
    from labkit.tables import write_catalogue

    data = Sample.load(sample)
    predictions = score(find_models(run, experiment=experiment), data, device=device, views=views)
    ranked = ranked_catalogue(predictions, data.catalogue)
    write_catalogue(ranked, out)
    typer.echo(f"{out}: {len(ranked)} objects, best {ranked['object_id'][0]} with {ranked.columns[2][0]:.3f}")


@app.command("run")
def run_notebooks(
    sequence: Annotated[Path, typer.Argument(help="declared sequence of notebooks (TOML)")],
    run: Annotated[Path, typer.Option(help="run folder")],
    parameter: Annotated[
        list[str] | None, typer.Option("--parameter", "-p", help="name=value, or step.name=value; repeat")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="run steps that nothing changed for, too")] = False,
) -> None:
    """Execute a sequence of notebooks into a run folder and build its report; unchanged steps are skipped."""
    from labkit.run import parse_assignments, read_sequence, run_sequence, write_report

    values = parse_assignments(parameter or [])
    for result in run_sequence(read_sequence(sequence), run, parameters=values, force=force):
        typer.echo(f"{result.name}: {'unchanged' if result.skipped else f'{result.seconds:.0f} s'}")
    typer.echo(write_report(run))


@app.command()
def report(run: Annotated[Path, typer.Argument(help="run folder with executed notebooks")]) -> None:
    """Build the report page of a run folder again."""
    from labkit.run import write_report

    typer.echo(write_report(run))


def main() -> None:
    """Run the command line; errors of the input end with one line and an exit code."""
    try:
        app(standalone_mode=True)
    except MissingDataError as error:
        _fail(error, EXIT_MISSING)
    except InputError as error:
        _fail(error, EXIT_DATA)
    except FailedError as error:
        _fail(error, EXIT_FAILED)
    except OSError as error:
        _fail(error, EXIT_IO)
    except KeyboardInterrupt:
        _fail("interrupted; the same command goes on where it was", EXIT_INTERRUPTED)


def _fail(error: object, code: int) -> None:
    typer.echo(f"labkit: {error}", err=True)
    raise SystemExit(code)
