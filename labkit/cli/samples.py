"""Verbs that make Samples: simulate, fetch, import, observe, cores, members, split, normalise."""

from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal

from typer import Argument, BadParameter, Option, Typer, echo

from labkit.cli.app import (
    Exposure,
    Group,
    Out,
    Overwrite,
    Processes,
    Seed,
    SizePx,
    app,
    at_terminal,
    bar,
    check_ending,
    echo_table,
    one_or_pairs,
    refuse_existing,
    refuse_same,
    split_words,
)
from labkit.errors import InputError, MissingDataError

simulate_app = Typer(help="Simulate surveys, XMM-Newton fields, cores or HST fields.", no_args_is_help=True)
fetch_app = Typer(help="Fetch published data sets.", no_args_is_help=True)
app.add_typer(simulate_app, name="simulate", rich_help_panel=Group.data)
app.add_typer(fetch_app, name="fetch", rich_help_panel=Group.data)


@simulate_app.command("survey")
def simulate_survey(
    out: Out,
    objects: Annotated[
        int | None, Option(min=1, help="number of candidates  [default: the paper's 1707]")
    ] = None,
    hunt: Annotated[
        bool, Option(help="add the 1196 candidates that only volunteers saw (in proportion)")
    ] = False,
    as_found: Annotated[
        bool, Option(help="clusters and non-clusters in the mix that was found, not the paper's")
    ] = False,
    recipe: Annotated[
        Path | None, Option(help="found candidates, by simulate recipe  [default: those that ship]")
    ] = None,
    listed: Annotated[
        bool, Option(help="take other listed sources, such as plain points, besides candidates")
    ] = False,
    size_px: SizePx = 178,
    seed: Seed = 1,
    processes: Processes = 1,
    overwrite: Overwrite = False,
) -> None:
    """Simulate X-CLASS-like candidates in two bands, as a raw Sample (X-ray in counts per pixel)."""
    refuse_existing(out, overwrite)
    from labkit.simulate import KOSIBA_HUNT, KOSIBA_TABLE_2, read_recipe
    from labkit.simulate import simulate_survey as verb

    sample = verb(
        seed,
        counts=KOSIBA_TABLE_2.as_found() if as_found else KOSIBA_TABLE_2,
        n_objects=objects,
        hunt=KOSIBA_HUNT if hunt else None,
        recipe=read_recipe(recipe, listed=listed),
        size_px=size_px,
        n_jobs=processes,
        progress=at_terminal(),
        path=out,
        overwrite=overwrite,
    )
    echo(f"{out}: {sample!r}")


@simulate_app.command("recipe")
def simulate_recipe(
    out: Annotated[Path, Argument(help="Parquet table to write, or to add fields to")],
    fields: Annotated[int, Option(min=1, help="number of fields, about 10 s of a core each")] = 100,
    seed: Seed = 1,
    processes: Processes = 1,
) -> None:
    """Search simulated fields for the candidates of a survey; the same command resumes, or adds fields."""
    from labkit.finder import search_fields
    from labkit.tables import text

    found = search_fields(out, seed, fields, n_jobs=processes, progress=at_terminal())
    candidates = found[found["candidate"]]
    seen = Counter(text(candidates["seen_as"]).tolist())
    shares = ", ".join(f"{number} {name}" for name, number in seen.most_common())
    echo(f"{out}: {len(candidates)} candidates in {found.meta['fields']} fields ({shares})")


@simulate_app.command("cores")
def simulate_cores(
    out: Out,
    clusters: Annotated[int, Option(min=1, help="number of clusters")] = 318,
    population: Annotated[str, Option(help="tng (as Su et al. 2020) or accept")] = "tng",
    projections: Annotated[int, Option(min=1, help="images of each cluster")] = 1,
    size_px: Annotated[int, Option(min=16, help="pixels along a side, even")] = 256,
    pixel_scale: Annotated[float, Option(min=0.1, help="pixel size, arcsec")] = 3.9,
    fwhm: Annotated[float, Option(help="width of a point spread like XMM-Newton's, arcsec")] = 0.0,
    redshift: Annotated[float, Option(help="redshift of all clusters")] = 0.05,
    seed: Seed = 1,
    processes: Processes = 1,
    overwrite: Overwrite = False,
) -> None:
    """Simulate Chandra-like images of clusters with cool, weak and non-cool cores (counts per pixel)."""
    refuse_existing(out, overwrite)
    from labkit.simulate import simulate_cores as verb

    sample = verb(
        seed,
        n_clusters=clusters,
        population=population,
        projections=projections,
        size_px=size_px,
        pixel_arcsec=pixel_scale,
        fwhm_arcsec=fwhm,
        redshift=redshift,
        n_jobs=processes,
        progress=at_terminal(),
        path=out,
        overwrite=overwrite,
    )
    echo(f"{out}: {sample!r}")


@simulate_app.command("observation")
def simulate_observation(
    out: Out,
    seed: Seed = 1,
    pixel_scale: Annotated[float, Option(min=0.1, help="pixel size, arcsec")] = 4.35,
    size_px: Annotated[int, Option(min=8, help="pixels along a side of the field")] = 512,
    overwrite: Overwrite = False,
) -> None:
    """Simulate one EPIC field: images (counts) and exposure maps (s) of the cameras, and the true sources."""
    refuse_existing(out, overwrite)
    from labkit.simulate import simulate_observation as verb

    verb(seed, pixel_scale_arcsec=pixel_scale, size_px=size_px, path=out, overwrite=overwrite)
    echo(f"{out}: {', '.join(sorted(file.name for file in out.iterdir()))}")


@fetch_app.command("kosiba2020")
def fetch_kosiba2020(
    out: Out,
    copy: Annotated[Path | None, Option(help="a copy you have: the zip, or the unpacked folder")] = None,
    validation: Annotated[
        float, Option(min=0, max=0.99, help="share of the training images set aside for validation, 0 to 1")
    ] = 0.2,
    channels: Annotated[
        str | None, Option(help="order of the channels, as in empty,xray,optical  [default: read from them]")
    ] = None,
    seed: Seed = 0,
    overwrite: Overwrite = False,
) -> None:
    """Fetch the training set of Kosiba et al. 2020 (Zenodo 7236582, 259 MB), as a normalised Sample.

    The download is kept in the user's cache folder, or in the one that LABKIT_CACHE names.
    """
    refuse_existing(out, overwrite)
    from labkit.sources import fetch_kosiba2020 as verb

    with bar("download", unit="byte") as fetched, bar("read") as progress:
        sample = verb(
            copy,
            output=out,
            validation_fraction=validation,
            channels=channels.split(",") if channels else None,
            seed=seed,
            overwrite=overwrite,
            progress=progress,
            download_progress=fetched,
        )
    echo(f"{out}: {sample!r}")


@app.command("import", rich_help_panel=Group.data)
def import_images(
    listed: Annotated[
        Path, Argument(help="table of objects: names of files, and maybe object_id, ra, dec, label")
    ],
    images: Annotated[Path, Option(help="folder of the files: FITS, NumPy, PNG, JPEG, TIFF")],
    out: Annotated[Path, Option(help="folder to make")],
    file: Annotated[
        list[str] | None,
        Option(
            help="column of file names, or pattern as {object_id}_{band}.fits; band=column, repeated, for a "
            "file per band  [default: file]"
        ),
    ] = None,
    bands: Annotated[str | None, Option(help="names of the bands, as in g,r,i")] = None,
    hdu: Annotated[str | None, Option(help="FITS extensions, as in SCI,WHT  [default: first]")] = None,
    pixel_scale: Annotated[
        float | None,
        Option(min=1e-6, help="pixel size of the files, arcsec  [default: of the world coordinates]"),
    ] = None,
    size_px: Annotated[
        int | None, Option(min=8, help="bring images to this side, pixels  [default: the first's]")
    ] = None,
    fit: Annotated[
        Literal["resample", "crop"], Option(help="how: averaged over area, or the centre cut out")
    ] = "resample",
    object_id: Annotated[str, Option(help="column of names")] = "object_id",
    ra: Annotated[str, Option(help="column of right ascension, degrees")] = "ra",
    dec: Annotated[str, Option(help="column of declination, degrees")] = "dec",
    label: Annotated[str, Option(help="column of labels")] = "label",
    processes: Processes = 1,
    overwrite: Overwrite = False,
) -> None:
    """Read images from a list and a folder, as a Sample.

    The same command resumes a killed one. What cannot be read is left out, and listed with its reason in
    OUT_refused.csv beside the Sample.
    """
    refuse_existing(out, overwrite)
    import astropy.units as u
    from astropy.table import Table

    from labkit.sources import read_images
    from labkit.tables import write_table

    scale = None if pixel_scale is None else pixel_scale * u.arcsec
    source = one_or_pairs(file or ["file"], "--file")
    with bar("read") as progress:
        sample = read_images(
            listed, images, file=source, bands=split_words(bands) or (), hdu=_values(hdu) or (),
            pixel_scale=scale, size_px=size_px, fit=fit, object_id=object_id, ra=ra, dec=dec,
            label=label, path=out, overwrite=overwrite, n_jobs=processes, progress=progress,
        )  # fmt: skip
    left = out.with_name(f"{out.name}_refused.csv")
    if refused := sample.provenance["refused"]:
        write_table(Table(rows=refused), left)
        echo(f"{left}: {len(refused)} of {sample.provenance['images']['listed']} images left out")
    else:
        left.unlink(missing_ok=True)
    echo(f"{out}: {sample!r}")


@app.command(rich_help_panel=Group.candidates)
def observe(
    out: Out,
    image: Annotated[list[Path], Option(help="EPIC image in counts (FITS); repeat for PN, MOS1 and MOS2")],
    candidates: Annotated[
        Path, Option(help="table (FITS, ECSV, CSV, VOTable) with ra and dec in degrees, or a DS9 region file")
    ],
    exposure: Annotated[list[Path] | None, Exposure] = None,
    plate: Annotated[list[Path] | None, Option(help="optical plate (FITS); repeat for more")] = None,
    size_px: SizePx = 178,
    outside: Annotated[Literal["raise", "drop"], Option(help="candidates off the image")] = "raise",
    without_plate: Annotated[
        Literal["raise", "drop", "omit band"], Option(help="candidates on no plate as a whole")
    ] = "raise",
    overwrite: Overwrite = False,
) -> None:
    """Cut candidates out of an observation, as a raw Sample.

    Images of XMM-Newton, 7 x 7 arcmin each.
    """
    refuse_existing(out, overwrite)
    from labkit.sources import candidates_sample, read_observation

    sample = candidates_sample(
        read_observation(image, exposure or None),
        candidates,
        pixels=size_px,
        optical=plate or None,
        outside=outside,
        without_optical=without_plate,
    )
    sample.save(out, overwrite=overwrite)
    echo(f"{out}: {sample!r}")


@app.command(rich_help_panel=Group.data)
def cores(
    out: Out,
    image: Annotated[list[Path], Option(help="X-ray image in counts (FITS); repeat for those to be summed")],
    clusters: Annotated[
        Path,
        Option(help="table: ra, dec (degrees), redshift, and for R500 r500 (kpc), m500 (Msun) or kt (keV)"),
    ],
    exposure: Annotated[list[Path] | None, Exposure] = None,
    points: Annotated[
        Path | None, Option(help="point sources to fill: DS9 regions, or table with radius in arcsec")
    ] = None,
    fwhm: Annotated[
        float | None, Option(min=0.01, help="point spread, arcsec  [default: XMM-Newton's]")
    ] = None,
    size_kpc: Annotated[float, Option(min=1, help="side of the square, kpc")] = 1000.0,
    size_px: Annotated[int, Option(min=8, help="pixels along the side")] = 256,
    overwrite: Overwrite = False,
) -> None:
    """Cut clusters out of an X-ray image at one scale in kpc.

    A raw Sample, corrected for exposure.
    """
    refuse_existing(out, overwrite)
    import astropy.units as u

    from labkit.sources import cores_sample, read_observation

    sample = cores_sample(
        read_observation(image, exposure or None),
        clusters,
        size=size_kpc * u.kpc,
        pixels=size_px,
        points=points,
        fwhm=None if fwhm is None else fwhm * u.arcsec,
    )
    sample.save(out, overwrite=overwrite)
    echo("\n".join([*sample.provenance["warnings"], f"{out}: {sample!r}"]))


def _values(text: str | None) -> tuple[Any, ...] | None:
    """Whole numbers as such, other words as text."""
    parts = split_words(text)
    return None if parts is None else tuple(int(one) if one.lstrip("-").isdecimal() else one for one in parts)


def _mosaic_source(given: list[str]) -> Path | list[tuple[str, Path]]:
    """A folder, or band=file pairs."""
    found = given[0] if Path(given[0]).is_dir() else one_or_pairs(given, "--mosaics")
    return Path(found) if isinstance(found, str) else [(band, Path(path)) for band, path in found.items()]


@simulate_app.command("fields")
def simulate_hst_fields(
    out: Annotated[Path, Argument(help="folder of the fields; those that are there are kept")],
    clusters: Annotated[str | None, Option(help="short names, as in M1206,R2248  [default: all]")] = None,
    bands: Annotated[str | None, Option(help="bands, as in F435,F606,F814  [default: all]")] = None,
    size: Annotated[float, Option(min=1, help="side of a field, arcsec")] = 130.0,
    scale: Annotated[float, Option(min=0.01, help="numbers of galaxies, 1 as published")] = 1.0,
    seed: Seed = 1,
    processes: Processes = 1,
    overwrite: Overwrite = False,
) -> None:
    """Simulate HST fields of the CLASH and Frontier clusters: mosaics (FITS), catalogues, and fields.ecsv."""
    from labkit.simulate.hst import simulate_fields
    from labkit.tables import write_table

    fields = simulate_fields(
        out,
        seed=seed,
        clusters=split_words(clusters),
        bands=split_words(bands),
        size_arcsec=size,
        scale=scale,
        n_jobs=processes,
        overwrite=overwrite,
    )
    fields["folder"] = [Path(folder).name for folder in fields["folder"]]
    write_table(fields, out / "fields.ecsv")
    echo_table(fields)
    echo(f"{out / 'fields.ecsv'}: for labkit members --fields")


@app.command("members", rich_help_panel=Group.members)
def members(
    out: Annotated[Path, Argument(help="folder to make; with --catalogue-only a table")],
    mosaics: Annotated[
        list[str] | None, Option(help="folder of mosaics (FITS), or band=file; repeat for each band")
    ] = None,
    catalogue: Annotated[
        Path | None,
        Option(help="sources (FITS, ECSV, CSV, VOTable, Parquet) with positions in degrees; spectra"),
    ] = None,
    cluster: Annotated[str | None, Option(help="short name of the cluster")] = None,
    redshift: Annotated[float | None, Option(min=0, help="redshift of the cluster")] = None,
    fields: Annotated[
        Path | None,
        Option(help="for several clusters instead: table with the columns cluster, redshift, folder"),
    ] = None,
    catalogue_only: Annotated[
        bool, Option("--catalogue-only", help="no images: membership and velocities as a table")
    ] = False,
    pattern: Annotated[
        str, Option(help="names of the mosaics in a folder, {band} where the band stands")
    ] = "*_{band}.fits*",
    bands: Annotated[str | None, Option(help="bands, as in F435,F606,F814  [default: all]")] = None,
    needed: Annotated[
        str | None, Option(help="bands that a source must have  [default: those of the Sample]")
    ] = None,
    zero_point: Annotated[
        list[str] | None,
        Option(
            help="AB magnitude of one unit of a pixel, or band=magnitude, repeated; none: no flux scale  "
            "[default: of the headers]"
        ),
    ] = None,
    size_px: Annotated[int, Option(min=8, help="pixels along a side of a cut-out")] = 64,
    pixel_scale: Annotated[
        float | None, Option(min=1e-4, help="pixel size, arcsec  [default: the mosaics']")
    ] = None,
    v_max: Annotated[float, Option(min=1, help="members lie within this velocity, km/s")] = 3000.0,
    ra: Annotated[str, Option(help="column of right ascension")] = "ra",
    dec: Annotated[str, Option(help="column of declination")] = "dec",
    z: Annotated[str, Option(help="column of redshifts, or 'none'")] = "z_spec",
    quality: Annotated[str | None, Option(help="column of redshift qualities")] = None,
    accepted: Annotated[str | None, Option(help="qualities that count, as in 2,3,9")] = None,
    member: Annotated[str | None, Option(help="column that flags members, instead of z")] = None,
    source_id: Annotated[str, Option(help="column of names")] = "source_id",
    labelled: Annotated[bool, Option("--labelled", help="leave out sources of unknown membership")] = False,
    extract: Annotated[
        bool, Option("--extract", help="find the sources on the mosaics; a catalogue gives redshifts only")
    ] = False,
    detect_on: Annotated[
        str | None, Option(help="with --extract: bands to find them on  [default: all]")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Cut sources out of mosaics and label cluster members.

    A raw Sample of the sources of a catalogue, or of those found on the mosaics (--extract). With
    --catalogue-only, labels and velocities in the cluster's rest frame (km/s), without mosaics.
    """
    if catalogue_only:
        check_ending(out)
        if out.exists() and not overwrite:
            raise InputError(f"OUT must not exist yet, got {str(out)!r}; choose another or give --overwrite")
        if mosaics or extract:
            raise BadParameter("--catalogue-only needs no mosaics; leave out --mosaics and --extract")
    else:
        refuse_existing(out, overwrite)
    single = {"--mosaics": mosaics, "--catalogue": catalogue, "--cluster": cluster, "--redshift": redshift}
    missing = [name for name, value in single.items() if value is None or value == []]
    unneeded = "--catalogue" if extract else "--mosaics" if catalogue_only else ""
    lacking = [name for name in missing if name != unneeded]
    if fields is None and lacking:
        raise BadParameter(f"give {', '.join(lacking)}, or --fields for several clusters")
    if (detect_on is not None and not extract) or (member is not None and extract):
        raise BadParameter("--detect-on belongs to --extract, and --member does not")
    if fields is not None and len(missing) < (3 if catalogue is not None else 4):
        raise BadParameter("give --fields, or one field by --mosaics, --cluster and --redshift, not both")
    import astropy.units as u

    from labkit.sources import counts_table, fields_sample, members_sample, read_mosaics

    options: dict[str, Any] = {
        "bands": split_words(bands),
        "needed": split_words(needed),
        "size_px": size_px,
        "pixel_scale": None if pixel_scale is None else pixel_scale * u.arcsec,
        "v_max": v_max * u.km / u.s,
        **{"ra": ra, "dec": dec, "z": None if z == "none" else z, "labelled": labelled},
        **{"quality": quality, "accepted": _values(accepted), "path": out, "overwrite": overwrite},
    }
    if catalogue_only:
        columns = ("v_max", "ra", "dec", "z", "labelled", "quality", "accepted")
        chosen = {name: options[name] for name in columns} | {"member": member, "source_id": source_id}
        _label_catalogues(out, fields, catalogue, (str(cluster), float(redshift or 0)), **chosen)
        return
    if extract:
        options["extract"] = {} if detect_on is None else {"detect_on": split_words(detect_on)}
    else:
        options |= {"member": member, "source_id": source_id}
    points: Any = one_or_pairs(zero_point or [], "--zero-point") or None
    if fields is not None:
        file = "catalogue.fits" if catalogue is None else str(catalogue)
        sample = fields_sample(fields, pattern=pattern, catalogue=file, zero_points=points, **options)
    else:
        opened = read_mosaics(_mosaic_source(mosaics or []), pattern=pattern, zero_points=points)
        options |= {"cluster": str(cluster), "redshift": float(redshift or 0)}
        sample = members_sample(opened, catalogue, **options)
    echo_table(counts_table(sample))
    scale = ", ".join(f"{band} {value:.3f}" for band, value in sample.zero_points.items())
    echo(f"AB zero points: {scale or 'none; every band is in its own unit, as networks can do with'}")
    echo(f"{out}: {sample!r}")


def _label_catalogues(
    out: Path, fields: Path | None, catalogue: Path | None, one: tuple[str, float], **options: Any
) -> None:
    """Write the members of catalogues without images, and say how many each cluster has."""
    from collections import Counter

    from labkit.sources.members import catalogue_labels, read_fields
    from labkit.tables import text, write_table

    listed: list[Any] = [(*one, catalogue)]
    if fields is not None:
        read = read_fields(fields, catalogue="catalogue.fits" if catalogue is None else str(catalogue))
        listed = [(field.cluster, field.redshift, field.catalogue) for field in read]
    for *_, path in listed:
        refuse_same(out, Path(path), "file")
    table = catalogue_labels(listed, **options)
    write_table(table, out)
    echo("\n".join(table.meta["warnings"]), nl=bool(table.meta["warnings"]))
    counts = Counter(zip(text(table["cluster"]).tolist(), text(table["label"]).tolist(), strict=True))
    for (cluster, label), number in sorted(counts.items()):
        echo(f"{cluster}, {label or 'unknown'}: {number}")
    echo(f"{out}: {len(table)} sources")


@app.command("split", rich_help_panel=Group.prepare)
def split_sample(
    sample: Annotated[Path, Argument(help="folder of a labelled Sample")],
    out: Out,
    validation: Annotated[float, Option(min=0, max=0.9, help="share for validation, 0 to 0.9")] = 0.15,
    test: Annotated[float, Option(min=0, max=0.9, help="share for tests, 0 to 0.9")] = 0.15,
    group: Annotated[
        str | None, Option(help="column whose objects of one value stay together, as cluster")
    ] = None,
    into: Annotated[str, Option(help="column that gets the parts")] = "split",
    seed: Seed = 1,
    overwrite: Overwrite = False,
) -> None:
    """Deal objects to training, validation and test set.

    Each label in proportion.
    """
    refuse_same(out, sample)
    refuse_existing(out, overwrite)
    from collections import Counter

    from labkit.sample import Sample, with_split

    dealt = with_split(
        Sample.load(sample), validation=validation, test=test, group=group, into=into, seed=seed
    )
    dealt.save(out, overwrite=overwrite)
    pairs = Counter(zip(dealt.labels.tolist(), dealt.catalogue[into].tolist(), strict=True))
    for label, part in sorted(pairs):
        echo(f"{label or 'no label'}, {part or 'no part'}: {pairs[label, part]}")
    echo(f"{out}: {dealt!r}")


def _normalised(folder: Path) -> Any:
    """The normalised Sample, or the model trained on one, in a folder."""
    if (folder / "sample.json").is_file():
        from labkit.sample import Sample

        return Sample.load(folder)
    if (folder / "model.json").is_file():
        from labkit.learn import Model

        return Model.load(folder)
    raise MissingDataError(
        f"--like must be the folder of a normalised Sample or a model, got {str(folder)!r}"
    )


@app.command("normalise", rich_help_panel=Group.prepare)
def normalise_sample(
    sample: Annotated[Path, Argument(help="folder of a raw Sample")],
    out: Out,
    method: Annotated[
        Literal["xamin", "asinh", "percentile", "fixed-asinh"] | None,
        Option(help="scale of the grey levels  [default: xamin]"),
    ] = None,
    like: Annotated[
        Path | None, Option(help="instead: do as for this normalised Sample or trained model (folder)")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Turn a raw Sample's pixels into grey levels, 0 to 255."""
    if method is not None and like is not None:
        raise BadParameter("give --method or --like, not both")
    refuse_same(out, sample)
    how = {"method": method or "xamin"} if like is None else {"like": _normalised(like)}
    refuse_existing(out, overwrite)
    from labkit.images import normalise
    from labkit.sample import Sample

    done = normalise(Sample.load(sample), **how, path=out, overwrite=overwrite)
    echo(f"{out}: {done!r}")
