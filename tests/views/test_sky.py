"""Images of the sky: fields, candidates, cut-outs side by side."""

from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import QTable, Table
from astropy.wcs import WCS
from bokeh.models import Image, ImageURL, Scatter

from labkit.errors import InputError
from labkit.views.skies import compare_cutouts, field

WCS_FIELD = WCS(naxis=2)
WCS_FIELD.wcs.ctype = ["RA---TAN", "DEC--TAN"]
WCS_FIELD.wcs.crval = [150, 2]
WCS_FIELD.wcs.crpix = [50.5, 50.5]
WCS_FIELD.wcs.cdelt = [-4 / 3600, 4 / 3600]


def test_a_field_puts_east_to_the_left_and_ranks_candidates(look):
    image = np.zeros((100, 100))
    image[50, 20] = 100  # east of the centre: RA grows to the left
    east = WCS_FIELD.pixel_to_world(20, 50)
    sky = SkyCoord([east, WCS_FIELD.pixel_to_world(60, 50)])
    candidates = QTable({"ra": sky.ra, "dec": sky.dec, "p": [0.2, 0.9], "name": ["a", "b"]})
    plot = field(image, wcs=WCS_FIELD, candidates=candidates, score="p", title="t")
    assert look.axis_labels(plot) == ("offset to the east (arcmin)", "offset to the north (arcmin)")
    assert plot.x_range.start == pytest.approx(100 * 4 / 60 / 2)
    marks = look.glyphs(plot, Scatter)[0].data_source.data
    assert marks["rank"].tolist() == [2, 1]
    assert marks["x"][0] == pytest.approx((49.5 - 20) * 4 / 60, abs=1e-6)
    shown = look.glyphs(plot, Image)[0].data_source.data["image"][0]
    assert shown[50, 99 - 20] == 255


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "one of wcs and pixel_scale"),
        ({"wcs": WCS_FIELD, "pixel_scale": 4 * u.arcsec}, "one of wcs and pixel_scale"),
        (
            {"pixel_scale": 4 * u.arcsec, "candidates": Table({"ra": [1.0]})},
            "candidates need wcs and the columns",
        ),
    ],
)
def test_a_field_without_its_frame_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        field(np.eye(10), **options)
    with pytest.raises(InputError, match="image must have shape"):
        field(np.zeros((2, 10, 10)), pixel_scale=1 * u.arcsec)


def test_compared_cutouts_share_one_grey_scale(look):
    bright, faint = np.full((1, 8, 8), 10.0), np.zeros((1, 8, 8))
    plot = compare_cutouts({"real": bright, "simulated": faint}, pixel_scale=60 * u.arcsec, stretch="linear")
    data = look.glyphs(plot, ImageURL)[0].data_source.data
    assert data["sum"] == ["640", "0"]
    assert data["uri"][0] != data["uri"][1]
    assert "8.0′ wide, same grey scale from 0 to 10" in plot.title.text
    with pytest.raises(InputError, match="groups must have one shape"):
        compare_cutouts({"a": bright, "b": np.zeros((2, 8, 8))}, pixel_scale=1 * u.arcsec)
