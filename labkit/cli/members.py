"""The verbs for cluster members: simulated fields; mosaics and a catalogue in, a raw Sample out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from labkit.cli.options import Out, Overwrite, Seed, free
from labkit.cli.verbs import app, simulate_app
from labkit.errors import InputError

__all__ = ["members", "simulate_hst_fields"]


def _split(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(part.strip() for part in text.split(",") if part.strip())


def _values(text: str | None) -> tuple[Any, ...] | None:
    """Whole numbers as such, other words as text."""
    parts = _split(text)
    return None if parts is None else tuple(int(one) if one.lstrip("-").isdecimal() else one for one in parts)


def _mosaic_source(given: list[str]) -> Path | list[tuple[str, Path]]:
    """A folder, or band=file pairs."""
    if len(given) == 1 and (Path(given[0]).is_dir() or "=" not in given[0]):
        return Path(given[0])
    pairs = [one.partition("=") for one in given]
    if bad := [one for one, (band, _, path) in zip(given, pairs, strict=True) if not (band and path)]:
        raise InputError(f"--mosaics must be one folder, or band=file for each band, got {bad}")
    return [(band, Path(path)) for band, _, path in pairs]


@simulate_app.command("fields")
def simulate_hst_fields(
    out: Annotated[Path, typer.Argument(help="folder of the fields; those that are there are kept")],
    clusters: Annotated[
        str | None, typer.Option(help="short names, as in M1206,R2248  [default: all]")
    ] = None,
    bands: Annotated[str | None, typer.Option(help="bands, as in F435,F606,F814  [default: all]")] = None,
    size: Annotated[float, typer.Option(min=1, help="side of a field, arcsec")] = 130.0,
    scale: Annotated[float, typer.Option(min=0.01, help="numbers of galaxies, 1 as published")] = 1.0,
    seed: Seed = 1,
    processes: Annotated[
        int, typer.Option(min=1, help="number of processes; the result does not depend on them")
    ] = 1,
    overwrite: Overwrite = False,
) -> None:
    """Simulate HST fields of the CLASH and Frontier clusters: mosaics (FITS), catalogues, and fields.ecsv."""
    from labkit.simulate.hst import simulate_fields
    from labkit.tables import write_catalogue

    fields = simulate_fields(
        out,
        seed=seed,
        clusters=_split(clusters),
        bands=_split(bands),
        size_arcsec=size,
        scale=scale,
        n_jobs=processes,
        overwrite=overwrite,
    )
    fields["folder"] = [Path(folder).name for folder in fields["folder"]]
    write_catalogue(fields, out / "fields.ecsv")
    typer.echo("\n".join(fields.pformat(max_lines=-1, max_width=-1)))
    typer.echo(f"{out / 'fields.ecsv'}: for labkit members --fields")


@app.command("members")
def members(
    out: Out,
    mosaics: Annotated[
        list[str] | None, typer.Option(help="folder of mosaics (FITS), or band=file; repeat for each band")
    ] = None,
    catalogue: Annotated[
        Path | None,
        typer.Option(help="sources (FITS, ECSV, CSV, VOTable, Parquet) with positions in degrees; spectra"),
    ] = None,
    cluster: Annotated[str | None, typer.Option(help="short name of the cluster")] = None,
    redshift: Annotated[float | None, typer.Option(min=0, help="redshift of the cluster")] = None,
    fields: Annotated[
        Path | None,
        typer.Option(help="for several clusters instead: table with the columns cluster, redshift, folder"),
    ] = None,
    pattern: Annotated[
        str, typer.Option(help="names of the mosaics in a folder, {band} where the band stands")
    ] = "*_{band}.fits*",
    bands: Annotated[str | None, typer.Option(help="bands, as in F435,F606,F814  [default: all]")] = None,
    needed: Annotated[
        str | None, typer.Option(help="bands that a source must have  [default: those of the Sample]")
    ] = None,
    size_px: Annotated[int, typer.Option(min=8, help="pixels along a side of a cut-out")] = 64,
    pixel_scale: Annotated[
        float | None, typer.Option(min=1e-4, help="pixel size, arcsec  [default: the mosaics']")
    ] = None,
    v_max: Annotated[float, typer.Option(min=1, help="members lie within this velocity, km/s")] = 3000.0,
    ra: Annotated[str, typer.Option(help="column of right ascension")] = "ra",
    dec: Annotated[str, typer.Option(help="column of declination")] = "dec",
    z: Annotated[str, typer.Option(help="column of redshifts, or 'none'")] = "z_spec",
    quality: Annotated[str | None, typer.Option(help="column of redshift qualities")] = None,
    accepted: Annotated[str | None, typer.Option(help="qualities that count, as in 2,3,9")] = None,
    member: Annotated[str | None, typer.Option(help="column that flags members, instead of z")] = None,
    source_id: Annotated[str, typer.Option(help="column of names")] = "source_id",
    labelled: Annotated[
        bool, typer.Option("--labelled", help="leave out sources of unknown membership")
    ] = False,
    extract: Annotated[
        bool,
        typer.Option("--extract", help="find the sources on the mosaics; a catalogue gives redshifts only"),
    ] = False,
    detect_on: Annotated[
        str | None, typer.Option(help="with --extract: bands to find them on  [default: all]")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Cut the sources of a catalogue out of mosaics and label cluster members, as a raw Sample."""
    free(out, overwrite)
    single = {"--mosaics": mosaics, "--catalogue": catalogue, "--cluster": cluster, "--redshift": redshift}
    missing = [name for name, value in single.items() if value is None or value == []]
    lacking = [name for name in missing if not (extract and name == "--catalogue")]
    if fields is None and lacking:
        raise typer.BadParameter(f"give {', '.join(lacking)}, or --fields for several clusters")
    if (detect_on is not None and not extract) or (member is not None and extract):
        raise typer.BadParameter("--detect-on belongs to --extract, and --member does not")
    if fields is not None and len(missing) < (3 if catalogue is not None else 4):
        raise typer.BadParameter(
            "give --fields, or one field by --mosaics, --cluster and --redshift, not both"
        )
    import astropy.units as u

    from labkit.sources import counts_table, fields_sample, members_sample, read_mosaics

    options: dict[str, Any] = {
        "bands": _split(bands),
        "needed": _split(needed),
        "size_px": size_px,
        "pixel_scale": None if pixel_scale is None else pixel_scale * u.arcsec,
        "v_max": v_max * u.km / u.s,
        **{"ra": ra, "dec": dec, "z": None if z == "none" else z, "labelled": labelled},
        **{"quality": quality, "accepted": _values(accepted), "path": out, "overwrite": overwrite},
    }
    if extract:
        options["extract"] = {} if detect_on is None else {"detect_on": _split(detect_on)}
    else:
        options |= {"member": member, "source_id": source_id}
    if fields is not None:
        file = "catalogue.fits" if catalogue is None else str(catalogue)
        sample = fields_sample(fields, pattern=pattern, catalogue=file, **options)
    else:
        opened = read_mosaics(_mosaic_source(mosaics or []), pattern=pattern)
        options |= {"cluster": str(cluster), "redshift": float(redshift or 0)}
        sample = members_sample(opened, catalogue, **options)
    typer.echo("\n".join(counts_table(sample).pformat(max_lines=-1, max_width=-1)))
    typer.echo(f"{out}: {sample!r}")
