"""Figures, tables and pages: arrays and tables in, Bokeh figures out."""

from __future__ import annotations

from labkit.views.pages import save_page, show

__all__ = ["save_page", "show"]
