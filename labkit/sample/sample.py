"""The Sample: images of sky objects, their catalogue, and where they came from; Samples joined to one."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import QTable, Table, vstack

from labkit.errors import InputError, boundary
from labkit.sample.store import (
    ContentDigest,
    SampleWriter,
    StoredImages,
    check_bands,
    check_catalogue,
    check_images,
    check_pixel_scale,
    read_header,
)
from labkit.tables import numbers, read_catalogue, rows_of, text

logger = logging.getLogger(__name__)

_SAME_ZERO_POINT = 1e-3  # mag


class Sample:
    """Images of sky objects with a catalogue of one row each.

    Parameters
    ----------
    images : array, shape (object, band, y, x)
        Pixels; a numpy array, or what reads them when needed.
    catalogue : `~astropy.table.QTable`
        One row per object, in the order of `images`. Needed: ``object_id`` (unique), ``ra`` and
        ``dec`` (angles), ``label`` (empty where unknown). ``split`` names the train, validation
        and test objects where the survey fixes them.
    bands : sequence of str
        Name of each band.
    pixel_scale : `~astropy.units.Quantity`
        Side of the square pixels, an angle.
    provenance : dict, optional
        Where the Sample came from, as JSON. ``provenance["normalisation"]`` says how pixels became
        grey levels; it is absent for raw images.

    Raises
    ------
    InputError
        If shapes, columns, bands or pixel scale break these rules.
    """

    def __init__(
        self,
        images: Any,
        catalogue: Table,
        *,
        bands: Sequence[str],
        pixel_scale: u.Quantity,
        provenance: dict[str, Any] | None = None,
    ) -> None:
        self.bands = check_bands(bands)
        self.pixel_scale = check_pixel_scale(pixel_scale)
        self.catalogue = check_catalogue(catalogue)
        self.provenance = dict(provenance or {})
        self._source = check_images(images, objects=len(self.catalogue), bands=self.bands)
        self._rows: np.ndarray | None = None
        self._columns: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.catalogue)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape (object, band, y, x), known without reading pixels."""
        return (len(self), len(self.bands), *self._source.shape[2:])

    @property
    def dtype(self) -> np.dtype:
        """Type of the pixels."""
        return np.dtype(self._source.dtype)

    @property
    def labels(self) -> np.ndarray:
        """Label of each object, shape (object,)."""
        return text(self.catalogue["label"])

    @property
    def object_ids(self) -> np.ndarray:
        """Id of each object, shape (object,)."""
        return text(self.catalogue["object_id"])

    @property
    def zero_points(self) -> dict[str, float]:
        """AB magnitude of one unit of a pixel in each band, as far as the records of its mosaics say it."""
        fields = [field.get("mosaics", {}) for field in self.provenance.get("fields", [])]
        found = {band: one.get("zero_point") for field in fields for band, one in field.items()}
        return {band: found[band] for band in self.bands if found.get(band) is not None}

    @cached_property
    def images(self) -> np.ndarray:
        """All pixels, shape (object, band, y, x); read on first use."""
        return self._read(slice(0, len(self)))

    def band(self, name: str) -> np.ndarray:
        """Pixels of one band, shape (object, y, x)."""
        return self.select(bands=(name,))._read(slice(0, len(self)))[:, 0]

    def batches(self, size: int = 256) -> Iterator[tuple[slice, np.ndarray]]:
        """Slices of rows with their pixels, at most `size` objects in memory at a time."""
        if size < 1:
            raise InputError(f"size must be at least 1, got {size}")
        for start in range(0, len(self), size):
            rows = slice(start, min(start + size, len(self)))
            yield rows, self._read(rows)

    def _read(self, rows: slice) -> np.ndarray:
        if "images" in self.__dict__:
            return self.__dict__["images"][rows]
        index = rows if self._rows is None else self._rows[rows]
        pixels = self._source[index]
        return pixels if self._columns is None else pixels[:, self._columns]

    def select(
        self, rows: slice | np.ndarray | Sequence[Any] | None = None, *, bands: Sequence[str] | None = None
    ) -> Sample:
        """A Sample of some objects, some bands, or both, in the order given; pixels stay unread until used.

        `rows` is a slice, a mask, indices or object ids. An id, an index or a band that is not there is
        refused.
        """
        index = np.arange(len(self)) if rows is None else self._row_index(rows)
        names = self.bands if bands is None else check_bands(bands)
        if missing := [name for name in names if name not in self.bands]:
            raise InputError(f"bands must be among {self.bands}, got {missing}")
        chosen = Sample.__new__(Sample)
        chosen.bands, chosen.pixel_scale, chosen.provenance = names, self.pixel_scale, dict(self.provenance)
        chosen.catalogue = self.catalogue if rows is None else self.catalogue[index]
        chosen._source, chosen._rows = self._source, index if self._rows is None else self._rows[index]
        columns = np.arange(self._source.shape[1]) if self._columns is None else self._columns
        chosen._columns = columns[[self.bands.index(name) for name in names]]
        return chosen

    def _row_index(self, rows: Any) -> np.ndarray:
        if isinstance(rows, slice):
            return np.arange(len(self))[rows]
        rows = np.atleast_1d(np.asarray(rows))
        if rows.dtype.kind in "SUO":
            found = rows_of(self.object_ids, rows)
            if (found < 0).any():
                unknown = text(rows[found < 0])[:5].tolist()
                raise InputError(f"rows must name objects of the Sample; unknown ids: {unknown}")
            return found
        if rows.dtype == bool:
            if rows.shape != (len(self),):
                raise InputError(
                    f"a mask must have one value per object ({len(self)}), got the shape {rows.shape}"
                )
            return np.flatnonzero(rows)
        if rows.size and (rows.min() < -len(self) or rows.max() >= len(self)):
            raise InputError(f"row indices must lie below {len(self)}, got {rows.min()} to {rows.max()}")
        return np.arange(len(self))[rows.astype(np.int64)]

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write the Sample to a folder, a batch of objects at a time; nothing half-written stays."""
        about = {"bands": self.bands, "pixel_scale": self.pixel_scale, "provenance": self.provenance}
        with SampleWriter(path, overwrite=overwrite, **about) as writer:
            for rows, images in self.batches():
                writer.append(images, self.catalogue[rows])
            if not len(self):
                writer.append(np.empty(self.shape, self.dtype), self.catalogue)
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> Sample:
        """Open a Sample from its folder; pixels are read when they are used."""
        path = Path(path)
        about = read_header(path)
        images = StoredImages(path, whole=about.get("all_chunks", False))
        catalogue = read_catalogue(path / "catalogue.parquet")
        with boundary(f"{str(path)!r} is damaged", "make the Sample again"):  # sample.json may say anything
            scale, provenance = about["pixel_scale_arcsec"] * u.arcsec, dict(about["provenance"])
            sample = cls(images, catalogue, bands=about["bands"], pixel_scale=scale, provenance=provenance)
            sample.__dict__["content_hash"] = about["content_hash"]
        return sample

    @cached_property
    def content_hash(self) -> str:
        """Digest of pixels, catalogue ids, labels, bands and pixel scale; stored with a saved Sample."""
        digest = ContentDigest(self.bands, self.pixel_scale)
        for rows, images in self.batches():
            digest.update(images, self.catalogue[rows])
        return digest.hexdigest()

    def __repr__(self) -> str:
        n, _, ny, nx = self.shape
        state = "normalised" if "normalisation" in self.provenance else "raw"
        return (
            f"<Sample: {n} objects, bands {', '.join(self.bands)}, {ny} x {nx} px of "
            f'{self.pixel_scale.value:.3g}", {state} {self.dtype}>'
        )

    def _repr_html_(self) -> str:
        labels, counts = np.unique(self.labels, return_counts=True)
        rows = "".join(
            f"<tr><td>{escape(str(label)) or 'unknown'}</td><td style='text-align:right'>{count}</td></tr>"
            for label, count in zip(labels, counts, strict=True)
        )
        source = escape(str(self.provenance.get("source", "not recorded")))
        return (
            f"<p><b>{escape(repr(self)[1:-1])}</b><br>source: {source}</p>"
            f"<table><thead><tr><th>label</th><th>objects</th></tr></thead><tbody>{rows}</tbody></table>"
        )


def collect(
    pieces: Iterable[tuple[np.ndarray, Table]],
    most: int,
    *,
    path: str | Path | None = None,
    overwrite: bool = False,
    **about: Any,
) -> Sample:
    """A Sample of pieces of images and rows, in memory, or written to a path while they are made.

    In memory there is room for `most` objects; `about` are bands, pixel scale and provenance of the Sample.
    """
    if path is not None:
        with SampleWriter(path, overwrite=overwrite, **about) as writer:
            for images, table in pieces:
                writer.append(images, table)
        return Sample.load(path)
    held, n = np.empty(0), 0
    tables: list[Table] = []
    for images, table in pieces:
        if not tables:
            held = np.empty((most, *images.shape[1:]), images.dtype)
        held[n : n + len(images)] = images
        tables.append(table)
        n += len(images)
    if not tables:
        raise InputError("a Sample needs objects, got none; give some, or ask less of them")
    return Sample(held[:n], vstack(tables, metadata_conflicts="silent"), **about)


def concatenate(
    samples: Sequence[Sample], *, path: str | Path | None = None, overwrite: bool = False
) -> Sample:
    """Join Samples of the same bands, pixel scale and image size, such as the fields of several clusters.

    Parameters
    ----------
    samples : sequence of Sample
        One or more; all raw, or all normalised in the same way.
    path : path, optional
        Folder to write to, a batch at a time, for what does not fit in memory.
    overwrite : bool
        Replace a folder at `path`.

    Returns
    -------
    Sample
        Objects in the order given, with the catalogue columns that all Samples have. The provenance lists
        those of the parts; ``fields`` of member Samples are joined.

    Raises
    ------
    InputError
        If there is no Sample, they differ in bands, pixel scale, image size, type, normalisation or a band's
        zero point, or an ``object_id`` comes twice.
    """
    samples = list(samples)
    if not samples:
        raise InputError("samples must hold at least one Sample, got none")
    for other in samples[1:]:
        _check_alike(samples[0], other)
    _check_zero_points(samples)
    names = [n for n in samples[0].catalogue.colnames if all(n in one.catalogue.colnames for one in samples)]
    if lost := sorted({name for one in samples for name in one.catalogue.colnames} - set(names)):
        logger.info("left out the catalogue columns %s: not all Samples have them", lost)
    about: dict[str, Any] = {"bands": samples[0].bands, "pixel_scale": samples[0].pixel_scale}
    about |= {"provenance": _provenance(samples), "path": path, "overwrite": overwrite}
    pairs = zip(samples, _in_like_units(samples, names), strict=True)
    pieces = ((images, table[rows]) for one, table in pairs for rows, images in one.batches())
    return collect(pieces, sum(map(len, samples)), **about)


def _in_like_units(samples: Sequence[Sample], names: list[str]) -> list[QTable]:
    """Those columns of each catalogue; a unit that one has is given to all, numbers without one are in it."""
    tables = [QTable(one.catalogue[names], meta={}) for one in samples]
    for name in names:
        units = [getattr(table[name], "unit", None) for table in tables]
        unit = next((one for one in units if one is not None), None)
        for table, own in zip(tables, units, strict=True):
            if unit is not None and own != unit:
                table[name] = numbers(table[name], unit) * unit
    return tables


def _check_zero_points(samples: Sequence[Sample]) -> None:
    """A band's unit of flux must be the same in all fields, as far as their records say."""
    for band in samples[0].bands:
        found = {
            field["mosaics"][band].get("zero_point"): field.get("cluster")
            for one in samples
            for field in one.provenance.get("fields", [])
            if band in field.get("mosaics", {})
        }
        known = [zero for zero in found if zero is not None]
        if known and (None in found or max(known) - min(known) > _SAME_ZERO_POINT):
            raise InputError(
                f"samples must have one AB zero point in {band!r}, got "
                f"{', '.join(f'{zero} of {cluster}' for zero, cluster in found.items())}; cut their fields "
                "in one call (labkit members --fields), which brings the fluxes onto one scale"
            )


def _check_alike(one: Sample, other: Sample) -> None:
    pairs = {
        "bands": (one.bands, other.bands),
        "image sizes": (one.shape[2:], other.shape[2:]),
        "pixel types": (one.dtype, other.dtype),
        "normalisations": (one.provenance.get("normalisation"), other.provenance.get("normalisation")),
    }
    for what, (first, second) in pairs.items():
        if first != second:
            raise InputError(f"samples must have the same {what}, got {first} and {second}; make them alike")
    scales = u.Quantity([one.pixel_scale, other.pixel_scale]).to(u.arcsec)
    if abs(scales[1] / scales[0] - 1) > 1e-3:
        raise InputError(f"samples must have the same pixel scale, got {scales[0]} and {scales[1]}")


def _provenance(samples: Sequence[Sample]) -> dict[str, Any]:
    parts = [one.provenance for one in samples]
    if len(parts) == 1:
        return dict(parts[0])
    sources = dict.fromkeys(str(part.get("source", "not recorded")) for part in parts)
    own = [{n: v for n, v in part.items() if n not in ("fields", "normalisation")} for part in parts]
    joined: dict[str, Any] = {"source": "; ".join(sources), "parts": own}
    if all("telescope" in part for part in parts):
        told = [str(part["telescope"]) for part in parts]
        joined["telescope"] = ", ".join(sorted({name for names in told for name in names.split(", ")}))
    if all("fields" in part for part in parts):
        joined["fields"] = [field for part in parts for field in part["fields"]]
    if "normalisation" in parts[0]:
        joined["normalisation"] = parts[0]["normalisation"]
    return joined
