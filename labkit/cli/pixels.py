"""The verb for pixels: a raw Sample in, grey levels out."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from labkit.cli.options import Out, Overwrite, free
from labkit.cli.verbs import app
from labkit.errors import InputError, MissingDataError

__all__ = ["normalise_sample"]


class Method(StrEnum):
    """Ways to grey levels, as in `labkit.images.normalise`."""

    xamin = "xamin"
    asinh = "asinh"
    percentile = "percentile"
    fixed_asinh = "fixed-asinh"


def _record_of(folder: Path) -> dict[str, Any]:
    """How the pixels of a normalised Sample, or those that a model was trained on, became grey levels."""
    for name, inside in (("sample.json", "provenance"), ("model.json", None)):
        if (folder / name).is_file():
            facts = json.loads((folder / name).read_text())
            record = (facts if inside is None else facts.get(inside, {})).get("normalisation")
            if isinstance(record, dict):
                return record
            raise InputError(
                f"--like must be a Sample or model with a normalisation, {str(folder)!r} has none"
            )
    raise MissingDataError(
        f"--like must be the folder of a normalised Sample or a model, got {str(folder)!r}"
    )


@app.command("normalise")
def normalise_sample(
    sample: Annotated[Path, typer.Argument(help="folder of a raw Sample")],
    out: Out,
    method: Annotated[Method | None, typer.Option(help="scale of the grey levels  [default: xamin]")] = None,
    like: Annotated[
        Path | None,
        typer.Option(help="instead: do as for this normalised Sample or trained model (folder)"),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Turn a raw Sample's pixels into grey levels, 0 to 255."""
    if method is not None and like is not None:
        raise typer.BadParameter("give --method or --like, not both")
    if out.resolve() == sample.resolve():
        raise InputError(f"OUT must be another folder than SAMPLE, got {str(out)!r} twice; choose another")
    how = {"method": (method or Method.xamin).value} if like is None else {"like": _record_of(like)}
    free(out, overwrite)
    from labkit.images import normalise
    from labkit.sample import Sample

    done = normalise(Sample.load(sample), **how, path=out, overwrite=overwrite)
    typer.echo(f"{out}: {done!r}")
