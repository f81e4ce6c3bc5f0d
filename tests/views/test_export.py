"""Figures as files for a paper: what the endings promise, and what is said where there is no browser."""

from __future__ import annotations

import re
import shutil
from xml.etree import ElementTree

import numpy as np
import pytest
from bokeh.models import Div
from PIL import Image

from labkit.errors import InputError, MissingDataError
from labkit.views.distributions import histogram
from labkit.views.export import BROWSERS, save_figure
from labkit.views.style import grid

needs_browser = pytest.mark.skipif(not any(map(shutil.which, BROWSERS)), reason="no browser to draw with")


@pytest.fixture
def two():
    values = np.arange(30.0) ** 2
    return grid([[histogram(values, label="flux"), histogram(-values, label="log flux < 0 & more")]])


def imread(path):
    """Grey levels (y, x)."""
    with Image.open(path) as picture:
        return np.asarray(picture.convert("L"))


@needs_browser
def test_pdf_and_svg_hold_vectors_and_the_figure_stays_as_it_was(two, tmp_path):
    pdf = save_figure(two, tmp_path / "new" / "two.pdf").read_bytes()
    assert pdf.startswith(b"%PDF")
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) == 1
    assert b"/Subtype /Image" not in pdf
    root = ElementTree.fromstring(save_figure(two, tmp_path / "two.svg").read_text())
    words = [node.text for node in root.iter() if node.text and node.text.strip()]
    assert {"flux", "log flux < 0 & more"} <= set(words)
    assert {plot.output_backend for plot, *_ in two.children} == {"canvas"}


@needs_browser
def test_a_png_has_the_resolution_asked_for_and_the_size_of_the_figure(two, tmp_path):
    screen, paper = (imread(save_figure(two, tmp_path / f"{n}.png", dpi=n)) for n in (96, 192))
    height, width = screen.shape
    assert paper.shape == (2 * height, 2 * width)
    svg = ElementTree.fromstring(save_figure(two, tmp_path / "two.svg").read_text())
    assert (width, height) == pytest.approx((float(svg.get("width")), float(svg.get("height"))), abs=1)
    assert (screen[:, : width // 2] < 128).any()
    assert (screen[:, width // 2 :] < 128).any()


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("roc.eps", {}, r"path must end in .pdf, .svg or .png, got 'roc.eps'"),
        ("roc.pdf", {"dpi": 2}, "dpi must be from 24 to 1200, got 2"),
    ],
)
def test_what_cannot_be_saved_is_refused(name, options, message, tmp_path):
    with pytest.raises(InputError, match=message):
        save_figure(Div(text="a"), tmp_path / name, **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("browser", "message"),
    [
        ("/no/browser", "LABKIT_BROWSER must name a browser, got '/no/browser'; install Chromium"),
        ("true", "did not draw the figure in time"),
    ],
)
def test_without_a_browser_the_old_file_stays_and_the_remedy_is_named(
    browser, message, monkeypatch, tmp_path
):
    monkeypatch.setenv("LABKIT_BROWSER", browser)
    (tmp_path / "roc.pdf").write_text("old")
    with pytest.raises(MissingDataError, match=message):
        save_figure(histogram([1.0, 2.0], label="flux"), tmp_path / "roc.pdf")
    assert (tmp_path / "roc.pdf").read_text() == "old"
