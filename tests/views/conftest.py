"""Looking into figures: what is drawn, under which name, with which words."""

from types import SimpleNamespace

import numpy as np
import pytest
from bokeh.models import GlyphRenderer, HoverTool, IndexFilter, Legend


def glyphs(plot, kind=None) -> list[GlyphRenderer]:
    drawn = [r for r in plot.renderers if isinstance(r, GlyphRenderer)]
    return drawn if kind is None else [r for r in drawn if isinstance(r.glyph, kind)]


def drawn(plot, name: str) -> list[GlyphRenderer]:
    return [r for r in plot.renderers if r.name == name]


def data(plot, name: str, kind: type | None = None) -> dict[str, np.ndarray]:
    """Columns of what is drawn under a name, those rows of them that are shown."""
    renderer = next(r for r in drawn(plot, name) if kind is None or isinstance(r.glyph, kind))
    columns = {key: np.asarray(values) for key, values in renderer.data_source.data.items()}
    if isinstance(renderer.view.filter, IndexFilter):
        columns = {key: values[renderer.view.filter.indices] for key, values in columns.items()}
    return columns


def legend(plot) -> list[str]:
    return [item.label.value for box in plot.select(Legend) for item in box.items]


def axis_labels(plot) -> tuple[str, str]:
    return plot.xaxis[0].axis_label, plot.yaxis[0].axis_label


def panels(grid) -> list:
    return [panel for panel, *_ in grid.children]


def tips(plot) -> list:
    return [tool.tooltips for tool in plot.toolbar.tools if isinstance(tool, HoverTool)]


@pytest.fixture
def look() -> SimpleNamespace:
    every = (glyphs, drawn, data, legend, axis_labels, panels, tips)
    return SimpleNamespace(**{one.__name__: one for one in every})
