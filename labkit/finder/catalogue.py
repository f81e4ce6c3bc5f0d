"""The catalogue of a field: one row a source, with what its fits say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import QTable
from astropy.wcs import WCS

from labkit.finder.characterise import Characterised
from labkit.finder.models import Selection
from labkit.finder.scene import Scene
from labkit.images.coordinates import pixel_to_sky
from labkit.sources.positions import position_names

_NUMBERS = (
    "counts", "rate", "extent", "extension_likelihood", "detection_likelihood", "double_likelihood",
    "mixed_likelihood", "second_share", "separation", "background", "level", "off_axis", "exposure",
)  # fmt: skip
_FLAGS = ("near_gap", "near_edge", "converged")
_UNITS = {"extent": u.arcsec, "separation": u.arcsec, "off_axis": u.arcmin}


def catalogue(
    scene: Scene, detections: QTable, found: Sequence[Characterised], *, wcs: WCS, selection: Selection
) -> QTable:
    """Make the catalogue of a field."""
    rows = [_row(scene, one) for one in found]
    numbers = [one.number for one in found]
    x, y = (np.array([getattr(one.main, axis) for one in found], dtype=float) for axis in "xy")
    sky = SkyCoord(*pixel_to_sky(wcs, x, y), unit="deg")
    table = QTable(
        {"object_id": position_names(sky), "ra": sky.ra.to(u.deg), "dec": sky.dec.to(u.deg), "x": x, "y": y}
    )
    table["class"] = np.array([one.kind for one in found], dtype="U16")
    table["c1"] = np.array([_is_c1(one, selection) for one in found], dtype=bool)
    for name in _NUMBERS:
        table[name] = np.array([row[name] for row in rows], dtype=float) * _UNITS.get(name, 1)
    for name in _FLAGS:
        flags = [row[name] for row in rows] if name == "converged" else detections[name][numbers]
        table[name] = np.array(flags, dtype=bool)
    table = table[np.lexsort((-np.nan_to_num(table["detection_likelihood"]), ~table["c1"]))]
    lost = int((~table["converged"]).sum())
    table.meta["search"] = {"detections": len(detections), "sources": len(table), "not converged": lost}
    return table


def _is_c1(found: Characterised, selection: Selection) -> bool:
    detected = found.models.detection_likelihood > selection.detection_likelihood
    return (
        detected and "extended" in found.kind and found.extension_likelihood > selection.extension_likelihood
    )


def _row(scene: Scene, found: Characterised) -> dict[str, Any]:
    main, models = found.main, found.models
    column, row = scene.pixel(main)
    dx, dy = main.x - scene.axis[0], main.y - scene.axis[1]
    values = {
        "counts": scene.expected_counts(found.number),
        "rate": sum(source.rate for source in found.fit.sources),
        "extent": found.extent,
        "extension_likelihood": found.extension_likelihood,
        "detection_likelihood": models.detection_likelihood,
        "double_likelihood": models.double_likelihood,
        "mixed_likelihood": models.mixed_likelihood,
        "second_share": np.nan,
        "separation": np.nan,
        "level": found.fit.level,
    }
    if len(found.fit.sources) > 1:
        first, second = found.fit.sources
        values["second_share"] = min(first.rate, second.rate) / (first.rate + second.rate)
        values["separation"] = np.hypot(first.x - second.x, first.y - second.y) * scene.pixel_arcsec
    if not models.converged:
        values = dict.fromkeys(values, np.nan)
    return values | {
        "background": scene.background[row, column],
        "off_axis": np.hypot(dx, dy) * scene.pixel_arcsec / 60,
        "exposure": scene.exposure[row, column],
        "converged": models.converged,
    }
