"""A release: the folder in which a catalogue goes to people who have never heard of labkit."""

import json
import shutil
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.table import QTable, Table

from labkit.calibration import FILE, Calibration
from labkit.errors import InputError
from labkit.evaluate import OperatingPoint
from labkit.evaluate.selection import SelectionFunction, counted_completeness, expected_completeness
from labkit.learn import find_models, model_card
from labkit.paths import atomic_folder, file_hash
from labkit.runfolder import versions
from labkit.sample import Sample
from labkit.tables import need_columns, numbers, write_table
from labkit.views.tables import templates

_HERE = Path(__file__).parent
#: The script that goes with a release; it imports astropy and numpy only.
_SCRIPT = "read_release.py"
_FLUXES = 25  # of the grid on which the selection function is tabulated


def write_release(
    folder: str | Path,
    ranked: Table,
    point: OperatingPoint,
    sample: Sample,
    *,
    title: str,
    models: str | Path,
    experiment: str | None = None,
    calibration: Calibration,
    selection: SelectionFunction,
    injections: Table,
    inputs: Mapping[str, str | Path] | None = None,
    notes: Mapping[str, Any] | None = None,
    cutouts: int = 100,
    overwrite: bool = False,
) -> Path:
    """Write a release folder: catalogue, purity, completeness, images, and where all of it came from.

    Parameters
    ----------
    folder : path
        Made whole or not at all.
    ranked : Table
        From `labkit.rank` with an operating point.
    point : OperatingPoint
        That point.
    sample : Sample
        The raw cut-outs of the ranked objects.
    title : str
        What the catalogue is called.
    models, experiment
        What predicted, as for `labkit.predict`; their cards are released.
    calibration : Calibration
        Of their probabilities.
    selection : SelectionFunction
        Of the search, fitted to `injections`.
    injections : Table
        From `labkit.finder.inject`, of the same observations.
    inputs : mapping of str to path, optional
        Files that the catalogue was made of; names and SHA-256 are released.
    notes : mapping, optional
        Sentences by what they are about, such as the gate's answer; they stand in README and provenance.
    cutouts : int
        Images of so many of the first objects.
    overwrite : bool
        Replace a folder, once the new one is complete.

    Returns
    -------
    Path
        The folder: ``catalogue.fits`` and ``catalogue.vot`` (units, descriptions, UCDs), ``purity.ecsv``,
        ``completeness.ecsv`` (the selection function on a grid, beside counted injections in
        ``injections.ecsv``), ``selection_function.json``, ``calibration.json``, ``cutouts.fits``,
        ``models.json``, ``provenance.json``, ``README.md``, ``read_release.py``, ``SHA256SUMS``.

    Raises
    ------
    InputError
        If `ranked` has another operating point or none, the Sample lacks one of its objects, or `folder`
        exists and `overwrite` is false.
    """
    need_columns(ranked, ("rank", "object_id", "ra", "dec", "p_calibrated", "selected"), "ranked",
                 hint="rank with point=operating_point(...)")  # fmt: skip
    if ranked.meta.get("ranking", {}).get("operating_point") != point.facts:
        raise InputError("point must be that of the ranked catalogue, got another; rank with point=point")
    first = sample.select(ranked["object_id"][:cutouts])  # refuses objects that it lacks
    found = find_models(models, experiment=experiment)
    files = {name: Path(path) for name, path in (inputs or {}).items()}
    facts = {
        "title": title,
        "operating_point": point.facts,
        "ranking": ranked.meta["ranking"],
        "inputs": {name: {"file": path.name, "sha256": file_hash(path)} for name, path in files.items()},
        "sample": {"content": sample.content_hash, "provenance": sample.provenance},
        "notes": dict(notes or {}),
        "versions": versions(),
    }
    with atomic_folder(folder, overwrite=overwrite) as out:
        table = described(ranked)
        for ending in ("fits", "vot"):
            write_table(table, out / f"catalogue.{ending}")
        write_table(point.curve, out / "purity.ecsv")
        write_table(_completeness(selection, injections), out / "completeness.ecsv")
        write_table(_counted(selection, injections), out / "injections.ecsv")
        selection.save(out / "selection_function.json")
        calibration.save(out / FILE)
        _write_cutouts(first, out / "cutouts.fits")
        cards = {one.run.name: one.experiment.model_dump(mode="json") for one in found}
        _write_json(out / "models.json", {"card": model_card(models), "experiments": cards})
        _write_json(out / "provenance.json", facts)
        text = templates.get_template("release/README.md.j2").render(
            title=title, point=point.facts, objects=len(ranked), table=table, selection=selection.about,
            domain=selection.domain, calibration=str(calibration), notes=notes or {}, cutouts=len(first),
            bands=sample.bands, versions=versions(),
            simulated="simulated" in json.dumps(sample.provenance).lower(),
        )  # fmt: skip
        (out / "README.md").write_text(text.replace("&#39;", "'"), encoding="utf-8")
        shutil.copy(_HERE / _SCRIPT, out / _SCRIPT)
        sums = [f"{file_hash(path)}  {path.name}\n" for path in sorted(out.iterdir())]
        (out / "SHA256SUMS").write_text("".join(sums))
    return Path(folder)


@cache
def _columns() -> dict[str, dict[str, str]]:
    return tomllib.loads((_HERE / "columns.toml").read_text(encoding="utf-8"))


def described(table: Table) -> QTable:
    """The table with descriptions and UCDs of the columns that labkit's catalogues have."""
    result = QTable(table, copy=True)
    for name in result.colnames:
        if about := _columns().get(name):
            result[name].info.description = about["description"]
            result[name].info.meta = {"ucd": about["ucd"]}
    return result


def _completeness(selection: SelectionFunction, injections: Table) -> QTable:
    """The selection function over the field, by flux and by each extent that was injected."""
    extents = np.unique(numbers(injections["extent"], u.arcsec))
    if len(extents) > 6:
        extents = np.geomspace(*selection.domain["extent"], 6)
    flux = np.geomspace(*selection.domain["flux"], _FLUXES).clip(*selection.domain["flux"])
    extents = extents.clip(*selection.domain["extent"])
    return expected_completeness(selection, injections, flux=flux, extent=extents)


def _counted(selection: SelectionFunction, injections: Table) -> QTable:
    """Counted completeness of the injections, with intervals."""
    name, _, threshold = selection.about["selected"].partition(" of at least ")
    edges: dict[str, Any] = {}
    for column, unit in (("flux", u.erg / u.s / u.cm**2), ("extent", u.arcsec)):
        values = numbers(injections[column], unit)
        if len(np.unique(values)) > 30:
            edges[column] = np.geomspace(values.min(), values.max() * (1 + 1e-9), 7)
    return counted_completeness(
        injections, selected=name, threshold=float(threshold) if threshold else None, **edges
    )


def _write_cutouts(sample: Sample, path: Path) -> None:
    """Raw pixels (object, band, y, x), and which objects and bands they are."""
    header = fits.Header([("COMMENT", "raw pixels: counts, densities or fluxes, by band")])
    header["PIXSCALE"] = (sample.pixel_scale.to_value(u.arcsec), "arcsec")
    for number, band in enumerate(sample.bands, start=1):
        header[f"BAND{number}"] = band
    images = fits.CompImageHDU(
        np.asarray(sample.images), header, name="IMAGES", compression_type="GZIP_2", quantize_level=0
    )
    rows = QTable(
        {"object_id": sample.object_ids, "ra": sample.catalogue["ra"], "dec": sample.catalogue["dec"]}
    )
    objects = fits.table_to_hdu(rows)
    objects.name = "OBJECTS"
    fits.HDUList([fits.PrimaryHDU(), images, objects]).writeto(path)


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=1, default=str), encoding="utf-8")
