from __future__ import annotations

import base64
import io

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import Table
from astropy.wcs import WCS
from bokeh.models import ImageURL
from PIL import Image

from labkit.errors import InputError
from labkit.sources.mosaics import Mosaics
from labkit.views.members import member_field, mosaic_field

CENTRE = SkyCoord(342.18, -44.53, unit="deg")


def wcs_of(angle_deg: float, flip: int, shape=(120, 160), scale=0.5) -> WCS:
    """A mosaic turned by an angle, mirrored or not."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval = ["RA---TAN", "DEC--TAN"], [CENTRE.ra.deg, CENTRE.dec.deg]
    wcs.wcs.crpix = [(shape[1] + 1) / 2, (shape[0] + 1) / 2]
    a = np.radians(angle_deg)
    turn = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    wcs.wcs.cd = scale / 3600 * turn @ np.diag([-flip, 1])
    return wcs


def picture(plot) -> np.ndarray:
    """Pixels as shown, first row at the top."""
    (url,) = next(r for r in plot.renderers if isinstance(r.glyph, ImageURL)).data_source.data["url"]
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))))


def marks(plot, name: str) -> dict:
    return next(r for r in plot.renderers if r.name == name).data_source.data


def legend_of(plot) -> list[str]:
    return [item.label.value for legend in plot.legend for item in legend.items]


@pytest.fixture
def sources() -> Table:
    place = CENTRE.spherical_offsets_by([20, -25, 0, 500] * u.arcsec, [10, 5, -20, 0] * u.arcsec)
    return Table(
        {
            "object_id": np.array([b"a", b"b", b"c", b"far"]),
            "ra": place.ra.deg,
            "dec": place.dec.deg,
            "group": ["spectroscopic member", "candidate member", "non-member", "spectroscopic member"],
            "redshift": np.ma.array([0.346, 0, 0.9, 0.35], mask=[0, 1, 0, 0], dtype=float),
            "probability": [0.9, 0.8, 0.1, 0.9],
        }
    )


@pytest.mark.parametrize(("angle", "flip"), [(0, 1), (90, 1), (37, 1), (0, -1), (200, -1)])
def test_markers_lie_on_their_galaxies_however_the_mosaic_is_turned(sources, angle, flip):
    wcs = wcs_of(angle, flip)
    rgb = np.zeros((120, 160, 3))
    x, y = wcs.world_to_pixel(SkyCoord(sources["ra"][:1], sources["dec"][:1], unit="deg"))
    rgb[round(float(y[0])), round(float(x[0])), 0] = 1.0
    plot = member_field(rgb, wcs, sources=sources, pixels=200)
    shown = picture(plot)[..., 0].astype(float)
    row, column = np.unravel_index(shown.argmax(), shown.shape)
    half = plot.x_range.start
    east, north = half - (column + 0.5) / 200 * 2 * half, half - (row + 0.5) / 200 * 2 * half
    data = marks(plot, "spectroscopic member")
    assert data["x"][0] == pytest.approx(20 / 60, abs=1e-4)  # east is left: the axis falls
    assert data["y"][0] == pytest.approx(10 / 60, abs=1e-4)
    assert (east, north) == pytest.approx((20 / 60, 10 / 60), abs=0.9 / 60)
    assert plot.x_range.start == -plot.x_range.end == pytest.approx(plot.y_range.end)


def test_groups_are_counted_inside_the_frame_and_shown_under_the_pointer(sources):
    plot = member_field(np.full((120, 160, 3), 128, dtype=np.uint8), wcs_of(0, 1), sources=sources, pixels=80)
    assert legend_of(plot) == ["non-member (1)", "spectroscopic member (1)", "candidate member (1)"]
    (tips,) = [tool.tooltips for tool in plot.toolbar.tools if hasattr(tool, "tooltips")]
    assert ("redshift", "@{redshift}{0.0000}") in tips
    assert ("object id", "@{object_id}") in tips
    assert marks(plot, "spectroscopic member")["object_id"].tolist() == ["a"]
    assert np.isnan(marks(plot, "candidate member")["redshift"]).all()
    assert plot.xaxis[0].axis_label == "offset to the east (arcmin)"
    assert picture(plot)[40, 40].tolist() == [128] * 3
    narrow = member_field(
        np.ones((120, 160, 3)), wcs_of(0, 1), sources=sources, size=30 * u.arcsec, pixels=80
    )
    assert narrow.x_range.start == pytest.approx(0.25)
    assert not legend_of(narrow)  # all beyond the frame


def test_the_scale_bar_has_the_length_it_says():
    plot = member_field(np.zeros((120, 160, 3)), wcs_of(0, 1), redshift=0.346, pixels=80)
    ends = marks(plot, "scale bar")["x"]
    words = marks(plot, "scale")["text"][0]
    length = 60 * (ends[0] - ends[1])
    assert words.startswith(f"{length:.0f}″ = ")
    kpc = float(words.split("= ")[1].split()[0])
    assert kpc / length == pytest.approx(4.91, abs=0.03)  # kpc/arcsec at z = 0.346, H0 = 70, Om = 0.3
    (bare,) = marks(member_field(np.zeros((120, 160, 3)), wcs_of(0, 1), pixels=80), "scale")["text"]
    assert "kpc" not in bare


def test_the_picture_is_bounded_and_what_is_not_covered_is_black():
    rgb = np.full((300, 400, 3), np.nan)
    rgb[:, 200:] = 2.0  # beyond white
    shown = picture(member_field(rgb, wcs_of(0, 1, (300, 400)), pixels=100))
    assert shown.shape == (100, 100, 3)
    assert shown[50, 80].tolist() == [255] * 3
    assert shown[50, 20].tolist() == [0] * 3
    assert shown[5, 80].tolist() == [0] * 3  # the frame is square, the mosaic is not


def test_what_cannot_be_shown_is_refused(sources):
    rgb, wcs = np.zeros((120, 160, 3)), wcs_of(0, 1)
    with pytest.raises(InputError, match=r"rgb must have the shape \(y, x, 3\), got \(3, 120, 160\)"):
        member_field(np.zeros((3, 120, 160)), wcs)
    with pytest.raises(InputError, match="celestial"):
        member_field(rgb, WCS(naxis=2))
    with pytest.raises(InputError, match=r"got none for \['type'\]"):
        member_field(rgb, wcs, sources=sources, group="type", pixels=80)
    with pytest.raises(InputError, match=r"got none for \['mass'\]"):
        member_field(rgb, wcs, sources=sources, details=["mass"], pixels=80)


@pytest.mark.parametrize("flip", [1, -1])
def test_mosaics_on_any_grid_become_one_picture(flip, sources):
    rng, shape = np.random.default_rng(1), (120, 120)
    images = {band: rng.normal(0, 0.01, shape).astype(np.float32) for band in ("F435", "F606", "F814")}
    wcs = wcs_of(30.0, flip, shape)
    x, y = (
        round(float(v)) for v in wcs.world_to_pixel(CENTRE.spherical_offsets_by(15 * u.arcsec, 0 * u.arcsec))
    )
    images["F814"][y - 2 : y + 3, x - 2 : x + 3] = 5  # red, 15 arcsec to the east
    plot = mosaic_field(Mosaics.from_arrays(images, wcs), sources=sources, pixels=90, redshift=0.346)
    seen = picture(plot).astype(float)
    row, column = np.unravel_index(np.argmax(seen[..., 0]), seen.shape[:2])
    side = plot.x_range.start - plot.x_range.end  # arcmin
    assert plot.x_range.start - (column + 0.5) / seen.shape[1] * side == pytest.approx(0.25, abs=0.05)
    assert plot.y_range.end - (row + 0.5) / seen.shape[0] * side == pytest.approx(0, abs=0.05)
    assert seen[row, column, 0] > seen[row, column, 2] + 80
    assert legend_of(plot)
