"""Figures for a paper: PDF, SVG or PNG, drawn by a browser of this machine without a window or a network."""

from __future__ import annotations

import html
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from bokeh.embed import file_html
from bokeh.model import Model
from bokeh.models import Plot
from bokeh.resources import INLINE

from labkit.errors import InputError, MissingDataError
from labkit.paths import atomic_file

#: Browsers that can print a page; an environment variable LABKIT_BROWSER goes before them.
BROWSERS = (
    "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge",
    "microsoft-edge", "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)  # fmt: skip

_CSS_DPI = 96  # of a page's pixels
_TIMEOUT_S = 120
# What a page notes in itself once all is drawn: its size and, where asked for, its drawing as SVG.
_NOTES = """
<style>body {{ margin: 0 }} @page {{ size: {width}px {height}px; margin: 0 }}</style>
<script>
  (function wait() {{
    if (typeof Bokeh === "undefined" || !Bokeh.documents.length || !Bokeh.documents[0].is_idle)
      return setTimeout(wait, 50)
    const note = document.createElement("pre")
    note.id = "labkit-drawn"
    note.hidden = true
    const [view] = [...Bokeh.index]
    const box = view.el.getBoundingClientRect()
    note.textContent = Math.ceil(box.width) + " " + Math.ceil(box.height) + " "
      + ({svg} ? view.export("svg").ctx.get_serialized_svg(true) : "")
    document.body.append(note)
  }})()
</script>
"""


def save_figure(figure: Model, path: str | Path, *, dpi: int = 300) -> Path:
    """Save a figure as its file's ending says: PDF and SVG hold vectors, PNG pixels.

    A browser draws it: Chromium, Chrome or Edge, found on the PATH or named by the environment variable
    LABKIT_BROWSER. It opens no window and needs no network.

    Parameters
    ----------
    figure : bokeh Model
        A figure, or a layout of figures; as PDF and PNG also a table or text.
    path : path
        File that ends in .pdf, .svg or .png, replaced if it is there.
    dpi : int
        Resolution of a PNG, 96 for the size in which a notebook shows it.

    Returns
    -------
    path
        The file.

    Raises
    ------
    InputError
        If the file ends otherwise, or `dpi` is not from 24 to 1200.
    MissingDataError
        If there is no browser, or it does not draw the figure.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind not in (".pdf", ".svg", ".png"):
        raise InputError(
            f"path must end in .pdf, .svg or .png, got {path.name!r}; save_page writes interactive pages"
        )
    if not 24 <= dpi <= 1200:
        raise InputError(f"dpi must be from 24 to 1200, got {dpi}")
    browser = _browser()
    with TemporaryDirectory(prefix="labkit-", ignore_cleanup_errors=True) as folder, _vectors(figure, kind):
        page, drawn = Path(folder, "page.html"), Path(folder, f"drawn{kind}")
        width, height, svg = _draw(browser, page, figure, svg=kind == ".svg")
        if kind == ".svg":
            drawn.write_text(svg, encoding="utf-8")
        elif kind == ".pdf":
            _write_page(page, figure, width=width, height=height)
            _run(browser, page, f"--print-to-pdf={drawn}", "--no-pdf-header-footer")
        else:
            scale = f"--force-device-scale-factor={dpi / _CSS_DPI}"
            _run(browser, page, f"--screenshot={drawn}", f"--window-size={width},{height}", scale)
        if not drawn.is_file() or not drawn.stat().st_size:
            raise MissingDataError(f"the browser {browser!r} did not write {path.name!r}; try another")
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as partial:
            shutil.copyfile(drawn, partial)
    return path


def _browser() -> str:
    named = os.environ.get("LABKIT_BROWSER")
    found = next(filter(None, map(shutil.which, (named,) if named else BROWSERS)), None)
    if found is None:
        rule = f"LABKIT_BROWSER must name a browser, got {named!r}" if named else "no browser was found"
        raise MissingDataError(
            f"{rule}; install Chromium or Chrome, or set LABKIT_BROWSER to its program, or use save_page"
        )
    return found


@contextmanager
def _vectors(figure: Model, kind: str) -> Iterator[None]:
    """Plots drawn as vectors for as long as the context lasts, unless it is for a PNG."""
    plots = [] if kind == ".png" else list(figure.select({"type": Plot}))
    before = [plot.output_backend for plot in plots]
    try:
        for plot in plots:
            plot.output_backend = "svg"
        yield
    finally:
        for plot, backend in zip(plots, before, strict=True):
            plot.output_backend = backend


def _draw(browser: str, page: Path, figure: Model, *, svg: bool) -> tuple[int, int, str]:
    """Width and height of the figure as drawn, CSS pixels, and its SVG where asked for."""
    _write_page(page, figure, svg=svg)
    drawn = _run(browser, page, "--dump-dom")
    found = re.search(r'<pre id="labkit-drawn"[^>]*>(\d+) (\d+) (.*?)</pre>', drawn, re.DOTALL)
    if not found:
        raise MissingDataError(
            f"the browser {browser!r} did not draw the figure in time; try another, or use save_page"
        )
    return int(found[1]), int(found[2]), html.unescape(found[3])


def _write_page(page: Path, figure: Model, *, width: int = 800, height: int = 600, svg: bool = False) -> None:
    notes = _NOTES.format(width=width, height=height, svg=str(svg).lower())
    text = file_html(figure, INLINE, title="labkit")
    page.write_text(text.replace("</body>", f"{notes}</body>"), encoding="utf-8")


def _run(browser: str, page: Path, *options: str) -> str:
    """What the browser prints; it runs as root only without its sandbox, as in a container."""
    root = ["--no-sandbox"] if getattr(os, "geteuid", lambda: 1)() == 0 else []
    command = [
        browser, "--headless", "--disable-gpu", "--hide-scrollbars", "--disable-background-networking",
        "--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={page.with_name('profile')}",
        "--virtual-time-budget=20000", *root, *options, page.as_uri(),
    ]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, timeout=_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MissingDataError(f"the browser {browser!r} failed: {error}; try another") from error
    return done.stdout.decode("utf-8", "replace")
