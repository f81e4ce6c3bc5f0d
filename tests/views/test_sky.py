"""Images of the sky: fields, candidates, members, cut-outs side by side, the plane of extents."""

import base64
import io

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import QTable, Table
from astropy.wcs import WCS
from bokeh.models import BoxAnnotation, GlyphRenderer, Image, ImageURL, Label, Legend, LogScale, Scatter
from PIL import Image as Picture

from labkit.errors import InputError
from labkit.sources.members import read_fields
from labkit.sources.mosaics import Mosaics
from labkit.tables import write_table
from labkit.views.angora_galaxies import field_pictures
from labkit.views.sky import compare_cutouts, extent_plane, field, member_field, mosaic_field
from labkit.views.style import CLASS_COLOURS

CENTRE = SkyCoord(342.18, -44.53, unit="deg")


def wcs_of(angle_deg: float = 0, flip: int = 1, shape=(120, 160), scale=0.5) -> WCS:
    """A mosaic turned by an angle, mirrored or not; pixels of `scale` arcsec."""
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
    return np.asarray(Picture.open(io.BytesIO(base64.b64decode(url.split(",")[1]))))


def brightest(plot) -> tuple[float, float]:
    """Offset to the east and north of the pixel with most red, arcmin."""
    red = picture(plot)[..., 0].astype(float)
    row, column = np.unravel_index(red.argmax(), red.shape)
    half = plot.x_range.start
    return half - (column + 0.5) / red.shape[1] * 2 * half, half - (row + 0.5) / red.shape[0] * 2 * half


def test_a_field_puts_east_to_the_left_and_ranks_candidates(look):
    wcs = wcs_of(shape=(100, 100), scale=4)
    image = np.zeros((100, 100))
    image[50, 20] = 100  # east of the centre: RA grows to the left
    sky = wcs.pixel_to_world([20, 60], [50, 50])
    candidates = QTable({"ra": sky.ra, "dec": sky.dec, "p": [0.2, 0.9], "name": ["a", "b"]})
    plot = field(image, wcs=wcs, candidates=candidates, score="p", title="t")
    assert look.axis_labels(plot) == ("offset to the east (arcmin)", "offset to the north (arcmin)")
    assert plot.x_range.start == pytest.approx(100 * 4 / 60 / 2)
    marks = look.glyphs(plot, Scatter)[0].data_source.data
    assert marks["_rank"].tolist() == [2, 1]
    assert marks["_x"][0] == pytest.approx((49.5 - 20) * 4 / 60, abs=1e-6)
    assert look.glyphs(plot, Image)[0].data_source.data["image"][0][50, 99 - 20] == 255
    (left, right), (words,) = look.data(plot, "scale bar")["x"], look.data(plot, "scale")["text"]
    assert (words, left - right) == ("1′", pytest.approx(1))


def test_compared_cutouts_share_one_grey_scale(look):
    bright, faint = np.full((1, 8, 8), 10.0), np.zeros((1, 8, 8))
    plot = compare_cutouts({"real": bright, "simulated": faint}, pixel_scale=60 * u.arcsec)
    data = look.glyphs(plot, ImageURL)[0].data_source.data
    assert data["sum"] == ["640", "0"]
    assert data["uri"][0] != data["uri"][1]
    assert "8.0′ wide, same grey scale from 0 to 10" in plot.title.text


@pytest.fixture
def catalogue() -> QTable:
    return QTable(
        {
            "object_id": ["a", "b", "c", "d", "e"],
            "extent": [20, 0.5, 6, 0, np.nan] * u.arcsec,
            "extension_likelihood": [400.0, 80, 20, -0.2, 9],
            "class": ["extended", "point", "extended", "point", "point"],
            "label": ["low-z cluster", "point source", "", "artefact", "point source"],
        }
    )


def placed(plot) -> dict[str, tuple[float, float, float]]:
    """Position and fill of each object."""
    found = {}
    for renderer in plot.select(GlyphRenderer):
        rows, columns = renderer.view.filter.indices, renderer.data_source.data
        for row in rows:
            place = (float(columns[name][row]) for name in ("_extent", "_extension_likelihood"))
            found[str(columns["object_id"][row])] = (*place, renderer.glyph.fill_alpha)
    return found


def test_sources_lie_where_they_were_measured_and_the_c1_region_is_marked(look, catalogue):
    plot = extent_plane(catalogue, details=["object_id"])
    assert look.axis_labels(plot) == ("extent (arcsec)", "extension likelihood")
    assert isinstance(plot.x_scale, LogScale)
    assert isinstance(plot.y_scale, LogScale)
    points = placed(plot)
    assert set(points) == {"a", "b", "c", "d"}  # without a number, no point
    assert points["a"][:2] == (20, 400)
    assert points["b"][:2] == (0.5, 80)
    (box,) = [part for part in plot.center if isinstance(part, BoxAnnotation)]
    assert (box.left, box.bottom) == (5, 33)
    assert "1 of 4" in plot.select_one(Label).text


def test_what_lies_below_the_axes_is_hollow_at_their_end(look, catalogue):
    plot = extent_plane(catalogue, details=["object_id"])
    x, y, fill = placed(plot)["d"]
    assert plot.x_range.start < x < 0.5
    assert plot.y_range.start < y < 20
    assert (fill, placed(plot)["a"][2] > 0) == (0, True)
    hidden = {item.label.value: len(item.renderers) for item in plot.select_one(Legend).items}
    assert hidden == {"extended": 1, "point": 2}, "a click on the legend hides the hollow ones, too"
    measured = plot.renderers[0].data_source.data["extension_likelihood"]
    assert measured.tolist() == [400, 80, 20, -0.2], "the pointer shows what was measured"
    assert "extension likelihood: <b>@{extension_likelihood}{0.0}</b>" in look.tips(plot)[0]


def test_extents_may_have_units_and_any_groups(look, catalogue):
    for extent in (catalogue["extent"].to(u.arcmin), catalogue["extent"].value):
        catalogue["extent"] = extent
        plot = extent_plane(catalogue, by="label", details=["object_id"])
        assert placed(plot)["a"][0] == pytest.approx(20)
    colours = {r.name: r.glyph.fill_color for r in plot.select(GlyphRenderer)}
    assert colours["low-z cluster"] == CLASS_COLOURS["low-z cluster"]
    assert set(look.legend(plot)) >= {"no class", "artefact"}


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


@pytest.mark.parametrize(("angle", "flip"), [(0, 1), (37, 1), (200, -1)])
def test_markers_lie_on_their_galaxies_however_the_mosaic_is_turned(look, sources, angle, flip):
    wcs = wcs_of(angle, flip)
    rgb = np.zeros((120, 160, 3))
    x, y = wcs.world_to_pixel(SkyCoord(sources["ra"][:1], sources["dec"][:1], unit="deg"))
    rgb[round(float(y[0])), round(float(x[0])), 0] = 1.0
    plot = member_field(rgb, wcs, sources=sources, pixels=200)
    data = look.data(plot, "spectroscopic member")
    assert (data["_x"][0], data["_y"][0]) == pytest.approx((20 / 60, 10 / 60), abs=1e-4)  # east is left
    assert brightest(plot) == pytest.approx((20 / 60, 10 / 60), abs=0.9 / 60)
    assert plot.x_range.start == -plot.x_range.end == pytest.approx(plot.y_range.end)


def test_groups_are_counted_inside_the_frame_and_shown_under_the_pointer(look, sources):
    grey = np.full((120, 160, 3), 128, dtype=np.uint8)
    plot = member_field(grey, wcs_of(), sources=sources, pixels=80)
    assert look.legend(plot) == ["non-member (1)", "spectroscopic member (1)", "candidate member (1)"]
    (tips,) = look.tips(plot)
    assert ("redshift", "@{redshift}{0.0000}") in tips
    assert ("object id", "@{object_id}") in tips
    assert look.data(plot, "spectroscopic member")["object_id"].tolist() == ["a"]
    assert np.isnan(look.data(plot, "candidate member")["redshift"]).all()
    assert picture(plot)[40, 40].tolist() == [128] * 3
    narrow = member_field(grey, wcs_of(), sources=sources, size=30 * u.arcsec, pixels=80)
    assert narrow.x_range.start == pytest.approx(0.25)
    assert not look.legend(narrow)  # all beyond the frame


def test_the_scale_bar_has_the_length_it_says_and_what_is_not_covered_is_black(look):
    rgb = np.full((120, 160, 3), np.nan)
    rgb[:, 80:] = 2.0  # beyond white
    plot = member_field(rgb, wcs_of(), redshift=0.346, pixels=100)
    ends, (words,) = look.data(plot, "scale bar")["x"], look.data(plot, "scale")["text"]
    length = 60 * (ends[0] - ends[1])
    assert words.startswith(f"{length:.0f}″ = ")
    kpc = float(words.split("= ")[1].split()[0])
    assert kpc / length == pytest.approx(4.91, abs=0.03)  # kpc/arcsec at z = 0.346, H0 = 70, Om = 0.3
    shown = picture(plot)
    assert shown.shape == (100, 100, 3)
    assert shown[50, 80].tolist() == [255] * 3
    assert shown[50, 20].tolist() == shown[5, 80].tolist() == [0] * 3  # the frame is square, the mosaic not
    (bare,) = look.data(member_field(rgb, wcs_of(), pixels=80), "scale")["text"]
    assert "kpc" not in bare


@pytest.mark.parametrize("flip", [1, -1])
def test_mosaics_on_any_grid_become_one_picture(look, flip, sources):
    rng, shape = np.random.default_rng(1), (120, 120)
    images = {band: rng.normal(0, 0.01, shape).astype(np.float32) for band in ("F435", "F606", "F814")}
    wcs = wcs_of(30.0, flip, shape)
    x, y = (
        round(float(v)) for v in wcs.world_to_pixel(CENTRE.spherical_offsets_by(15 * u.arcsec, 0 * u.deg))
    )
    images["F814"][y - 2 : y + 3, x - 2 : x + 3] = 5  # red, 15 arcsec to the east
    plot = mosaic_field(Mosaics.from_arrays(images, wcs), sources=sources, pixels=90, redshift=0.346)
    assert brightest(plot) == pytest.approx((0.25, 0), abs=0.05)
    seen = picture(plot).astype(float)
    row, column = np.unravel_index(np.argmax(seen[..., 0]), seen.shape[:2])
    assert seen[row, column, 0] > seen[row, column, 2] + 80
    assert look.legend(plot)


def test_pictures_of_fields_hold_their_own_sources(look, tmp_path, sources):
    header = wcs_of(shape=(120, 120)).to_header()
    header["PHOTZPT"] = header["ABMAG"] = 25.0
    listed = Table({"cluster": ["A1", "B2"], "redshift": [0.4, 0.5], "folder": ["A1", "B2"]})
    for name in listed["cluster"]:
        (tmp_path / name).mkdir()
        data = np.random.default_rng(1).normal(0, 0.01, (120, 120)).astype(np.float32)
        for band in ("F435", "F606", "F814"):
            fits.writeto(tmp_path / name / f"{name}_{band}.fits", data, header)
    write_table(listed, tmp_path / "fields.ecsv")
    sources["cluster"] = "B2"
    fields = read_fields(tmp_path / "fields.ecsv")
    a, b = look.panels(field_pictures(fields, sources=sources, columns=2, pixels=50))
    assert (a.title.text, b.title.text) == ("A1, z = 0.4", "B2, z = 0.5")
    assert (bool(look.legend(a)), bool(look.legend(b))) == (False, True)


BLACK = np.zeros((120, 160, 3))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c, _: field(np.eye(9), wcs=wcs_of(), candidates=c), r"\['ra', 'dec'\] missing"),
        (lambda *_: field(np.zeros((2, 9, 9)), wcs=wcs_of()), "image must have shape"),
        (lambda *_: compare_cutouts({"a": BLACK, "b": BLACK[:9]}, pixel_scale=u.arcsec), "one shape"),
        (lambda c, _: extent_plane(c, by="origin"), r"\['origin'\] missing"),
        (lambda c, _: extent_plane(c[4:]), "got none of 1"),
        (lambda c, _: extent_plane(c[:0]), "got none of 0"),
        (lambda *_: member_field(BLACK.T, wcs_of()), r"shape \(y, x, 3\), got \(3, 160, 120\)"),
        (lambda *_: member_field(BLACK, WCS(naxis=2)), "celestial"),
        (lambda c, _: member_field(BLACK, wcs_of(), sources=c), r"\['ra', 'dec', 'group'\] missing"),
        (lambda _, s: member_field(BLACK, wcs_of(), sources=s, details=["mass"]), r"\['mass'\] missing"),
    ],
)
def test_what_cannot_be_shown_is_refused(catalogue, sources, call, message):
    with pytest.raises(InputError, match=message):
        call(catalogue, sources)
