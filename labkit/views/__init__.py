"""Figures, tables and pages: arrays and tables in, Bokeh figures out; shown and saved without a network."""

from pathlib import Path

from bokeh.embed import file_html
from bokeh.io import output_notebook
from bokeh.io import show as show_in_notebook
from bokeh.model import Model
from bokeh.resources import INLINE, Resources
from IPython import get_ipython
from IPython.display import Markdown, display

from labkit.errors import InputError
from labkit.paths import write_file
from labkit.views.style import ABSENT

_ready: set[int] = set()


def inline_resources() -> Resources:
    """BokehJS to be written into a page, without the parts that no labkit figure uses."""
    return Resources(mode="inline", components=["bokeh", "bokeh-widgets", "bokeh-tables"])


def show(model: Model, caption: str = "") -> None:
    """Show a figure in the notebook; BokehJS is put into the notebook itself, once for each kernel.

    Parameters
    ----------
    model : bokeh Model
        Figure, layout or table.
    caption : str
        Text below it, Markdown; not shown below a line that says that there is no such figure.

    Raises
    ------
    InputError
        Outside a notebook.
    """
    shell = get_ipython()
    if shell is None:
        raise InputError(
            "show must be called in a notebook, got a plain interpreter; use save_page(figure, path)"
        )
    if id(shell) not in _ready:
        output_notebook(inline_resources(), hide_banner=True)
        _ready.add(id(shell))
    show_in_notebook(model)
    if caption and ABSENT not in model.tags:
        display(Markdown(caption))


def save_page(model: Model, path: str | Path, *, title: str = "labkit") -> Path:
    """Save a figure, layout or table as one HTML file that opens without a network.

    Parameters
    ----------
    model : bokeh Model
        Figure, layout or table.
    path : path
        File, replaced if it is there.
    title : str
        Of the page.

    Returns
    -------
    Path
        The file.
    """
    return write_file(path, file_html(model, resources=INLINE, title=title))
