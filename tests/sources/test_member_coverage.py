"""What the mosaics of listed fields cover around their clusters, and what their catalogues hold."""

from __future__ import annotations

from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import QTable
from astropy.wcs import WCS

from labkit.sources.members import annulus_coverage, field_sources
from labkit.sources.members.fields import ListedField
from labkit.sources.mosaics import Mosaics

CENTRE = SkyCoord(181.55, -8.8, unit="deg")


def square(side: int) -> Mosaics:
    """A mosaic of 1 arcsec pixels about the centre."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval = ["RA---TAN", "DEC--TAN"], [CENTRE.ra.deg, CENTRE.dec.deg]
    wcs.wcs.crpix, wcs.wcs.cdelt = [(side + 1) / 2] * 2, [-1 / 3600, 1 / 3600]
    return Mosaics.from_arrays({"F814": np.ones((side, side), dtype=np.float32)}, wcs)


def listed(name: str, folder: Path, r200: u.Quantity | None) -> ListedField:
    return ListedField(name, 0.4, folder, folder / "catalogue.ecsv", CENTRE, r200)


def test_annuli_of_fields_are_in_units_of_r200(tmp_path, monkeypatch):
    field, unknown = (listed(name, tmp_path / name, size) for name, size in (("A", 1.0 * u.Mpc), ("B", None)))
    side = round(0.5 * field.r200_angle.to_value(u.arcsec))  # from the centre to a quarter of R200
    monkeypatch.setattr("labkit.sources.members.coverage.read_mosaics", lambda folder, bands: square(side))
    shares = annulus_coverage([field, unknown], [0, 0.2, 0.36, 0.4])
    assert list(shares) == ["A"]
    assert shares["A"][0] == 1
    assert 0 < shares["A"][1] < 1
    assert shares["A"][2] == 0
    found = annulus_coverage([field], [0, 0.14, 0.2], margin=0.1 * field.r200_angle)["A"]
    r = np.sqrt(np.linspace(0.14**2, 0.2**2, 2000))  # in a square of 0.15 R200 to each side
    expected = 1 - 4 * np.arccos(np.minimum(0.15 / r, 1)).mean() / np.pi
    assert found == pytest.approx([1, expected], abs=0.03)


def test_sources_of_all_fields_stand_together(tmp_path):
    fields = [listed(name, tmp_path / name, None) for name in "AB"]
    for number, one in enumerate(fields):
        one.folder.mkdir()
        table = QTable({"ra": [1.0, 2.0] * u.deg, "dec": [0.0, number] * u.deg, "mag_F814": [20.0, 21.0]})
        table["other"] = "x"
        table.write(one.catalogue)
    sources = field_sources(fields, ["ra", "dec", "mag_F814"])
    assert sources.colnames == ["ra", "dec", "mag_F814"]
    assert sources["dec"].value.tolist() == [0, 0, 0, 1]
