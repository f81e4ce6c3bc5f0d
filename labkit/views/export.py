"""Figures and tables for a paper: PDF, SVG or PNG drawn by a browser of this machine; ECSV and LaTeX."""

import logging
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from astropy.table import Table
from bokeh.embed import file_html
from bokeh.model import Model
from bokeh.models import Plot
from bokeh.resources import INLINE
from bs4 import BeautifulSoup

from labkit.errors import InputError
from labkit.paths import write_file
from labkit.runfolder import RunFolder
from labkit.tables import write_table
from labkit.views.browser import Browser
from labkit.views.numbering import Exhibit
from labkit.views.report import render_sections, write_page
from labkit.views.tables import ECSV

log = logging.getLogger(__name__)

_ENDINGS = (".pdf", ".svg", ".png")
_TEX = {ord(sign): f"\\{sign}" for sign in "&%$#_{}"} | {
    ord("\\"): r"\textbackslash{}", ord("~"): r"\textasciitilde{}", ord("^"): r"\textasciicircum{}",
    ord("±"): r"$\pm$", ord("×"): r"$\times$", ord("≤"): r"$\leq$", ord("≥"): r"$\geq$", ord("−"): "$-$",
    ord("–"): "--", ord("…"): r"\ldots{}", ord("′"): "$'$", ord("″"): "$''$",
    ord("<"): "$<$", ord(">"): "$>$",
} | {ord(high): f"$^{{{low}}}$" for high, low in zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-", strict=True)}  # fmt: skip


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
        If the file ends otherwise, an SVG is to hold no plot, or `dpi` is not from 24 to 1200.
    MissingDataError
        If there is no browser, or it does not draw the figure.
    """
    path = Path(path)
    _check(path.suffix.lower(), path.name, dpi)
    if path.suffix.lower() == ".svg" and not list(figure.select({"type": Plot})):
        raise InputError(f"an SVG must be of plots, got {type(figure).__name__}; write .pdf or .png instead")
    with Browser() as browser, TemporaryDirectory(prefix="labkit-") as folder:
        page = Path(folder, "page.html")
        page.write_text(file_html(figure, INLINE, title="labkit"), encoding="utf-8")
        browser.open(page)
        drawn = browser.draw('document.querySelector("[data-root-id]")', path.suffix.lower(), dpi=dpi)
    return write_file(path, drawn)


def _check(ending: str, name: str, dpi: int) -> None:
    if ending not in _ENDINGS:
        raise InputError(
            f"path must end in .pdf, .svg or .png, got {name!r}; save_page writes interactive pages"
        )
    if not 24 <= dpi <= 1200:
        raise InputError(f"dpi must be from 24 to 1200, got {dpi}")


def save_exhibits(
    run: str | Path | RunFolder, folder: str | Path, *, ending: str = ".svg", dpi: int = 300
) -> list[Path]:
    """Write each figure and each table of a run to a file of its own, named by section and number.

    Figures are drawn by one browser, as `save_figure` does it; those that hold pictures but no plot are PDF
    where SVG is asked for. Tables are ECSV with all digits and LaTeX with those that the report shows, which
    is written anew. ``contents.ecsv`` says which file is what. Each file appears whole or not at all.
    """
    _check(ending, f"*{ending}", dpi)
    run, folder, chosen, written = RunFolder(run), Path(folder), Browser(), []
    sections, headings = render_sections(run)
    page = write_page(run, sections, headings)
    exhibits = [one for section in sections for one in section.exhibits]
    for one in (one for one in exhibits if one.kind == "table"):
        path, page_text = folder / f"{one.anchor}.ecsv", str(one.output.data["text/html"])
        written.append((one, write_table(_table_of(one), path)))
        written.append((one, write_file(path.with_suffix(".tex"), latex(page_text, label=one.anchor))))
    figures = [one for one in exhibits if one.kind == "figure"]
    if figures:
        with chosen as browser:
            browser.open(page, figures=sum(section.bokeh for section in sections))
            for one in figures:
                place, kind = f'document.getElementById("{one.anchor}")', ending
                try:
                    drawn = browser.draw(place, kind, dpi=dpi)
                except InputError:
                    kind = ".pdf"
                    log.warning("%s holds pictures and no plot: it is written as PDF", one.name)
                    drawn = browser.draw(place, kind)
                written.append((one, write_file(folder / f"{one.anchor}{kind}", drawn)))
    rows = [(path.name, one.name, one.words) for one, path in written]
    if rows:
        write_table(Table(rows=rows, names=("file", "name", "words")), folder / "contents.ecsv")
    return [path for _, path in written]


def _table_of(exhibit: Exhibit) -> Table:
    """The table as it was given or, where a notebook only has its picture in words, these."""
    if ECSV in exhibit.output.data:
        return Table.read(str(exhibit.output.data[ECSV]).split("\n"), format="ascii.ecsv")
    heads, _, rows = _cells(BeautifulSoup(str(exhibit.output.data["text/html"]), "html.parser"))
    names = [head or f"column {number}" for number, head in enumerate(heads, 1)]
    return Table(rows=[row for row in rows if len(row) == len(names)], names=names, dtype=["U"] * len(names),
                 meta={"caption": exhibit.words})  # fmt: skip


def _cells(soup: BeautifulSoup) -> tuple[list[str], str, list[list[str]]]:
    """Heads of a table's columns, their alignment as LaTeX has it, and its rows."""
    rows = [row.find_all(["td", "th"]) for row in soup.find_all("tr")]
    words = [[cell.get_text(" ", strip=True) for cell in row] for row in rows]
    headed = bool(rows) and all(cell.name == "th" for cell in rows[0])
    first: list[Any] = rows[0] if headed else [{}] * max(map(len, rows), default=0)
    sides = "".join("r" if "text-align:right" in str(cell.get("style", "")) else "l" for cell in first)
    return (words[0], sides, words[1:]) if headed else ([""] * len(first), sides, words)


def latex(page: str, *, label: str) -> str:
    """A table of a page as a LaTeX table, its texts escaped."""
    soup = BeautifulSoup(page, "html.parser")
    caption = soup.caption.extract().get_text(" ", strip=True) if soup.caption else ""
    heads, sides, rows = _cells(soup)
    lines = [r"\begin{table}", rf"\caption{{{caption.translate(_TEX)}}}", rf"\label{{{label}}}"]
    lines += [rf"\begin{{tabular}}{{{sides}}}", r"\hline"]
    lines += [" & ".join(head.translate(_TEX) for head in heads) + r" \\", r"\hline"] if any(heads) else []
    for row in rows:
        cells = [cell.translate(_TEX) for cell in row]
        spread = len(cells) < len(sides)  # that there are more rows
        lines.append(
            (rf"\multicolumn{{{len(sides)}}}{{l}}{{{cells[0]}}}" if spread else " & ".join(cells)) + r" \\"
        )
    return "\n".join([*lines, r"\hline", r"\end{tabular}", r"\end{table}", ""])
