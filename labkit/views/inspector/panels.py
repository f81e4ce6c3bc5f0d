"""The controls of the inspector and where they stand; they do nothing by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import ipywidgets as w

from labkit.views.inspector.elements import Curve, Keys, Sheet
from labkit.views.inspector.state import GROUPS

__all__ = ["Controls", "arrange", "build"]

_PAGE_SIZES = (6, 9, 12, 18, 24, 48)


@dataclass(frozen=True)
class Controls:
    """Every control, by what it is for."""

    head: w.HTML
    experiment: w.Dropdown
    positive: w.Dropdown
    curve: Curve
    threshold: w.FloatSlider
    counts: w.HTML
    groups: dict[str, w.Button]
    sort: w.Dropdown
    descending: w.ToggleButton
    text: w.Text
    shown: w.Dropdown
    sheet: Sheet
    page: w.BoundedIntText
    pages: w.HTML
    back: w.Button
    forward: w.Button
    page_size: w.Dropdown
    agree: w.Button
    relabel: w.Button
    label: w.Dropdown
    doubtful: w.Button
    note: w.Text
    undo: w.Button
    redo: w.Button
    advance: w.Checkbox
    contours: w.ToggleButton
    activation: w.ToggleButton
    status: w.HTML
    detail: w.HTML
    keys: Keys


def _button(text: str, tip: str, width: str = "auto", style: str = "") -> w.Button:
    return w.Button(description=text, tooltip=tip, button_style=style, layout=w.Layout(width=width))


def _choice(options: Sequence, value: object, words: str, width: str) -> w.Dropdown:
    style = {"description_width": "initial"}
    return w.Dropdown(
        options=options, value=value, description=words, layout=w.Layout(width=width), style=style
    )


def build(
    *,
    experiments: Sequence[str],
    experiment: str,
    classes: Sequence[str],
    positive: str,
    columns: Sequence[str],
    styles: Sequence[str],
    labels: Sequence[str],
    threshold: float,
    page_size: int,
) -> Controls:
    """Make the controls with their first values."""
    sizes = sorted({*_PAGE_SIZES, page_size})
    every = [("all pictures", ""), *((name, name) for name in styles)]
    groups = {name: _button(name, words, "auto") for name, words in GROUPS.items()}
    for name, button in groups.items():
        button.add_class("lk-group")
        button.add_class(f"lk-kind-{name}")
    return Controls(
        head=w.HTML(layout=w.Layout(flex="1")),
        experiment=_choice(experiments, experiment, "experiment", "auto"),
        positive=_choice(classes, positive, "positive", "auto"),
        curve=Curve(),
        threshold=w.FloatSlider(
            value=threshold, min=0, max=1, step=0.001, readout_format=".3f", description="threshold",
            style={"description_width": "62px"}, layout=w.Layout(width="100%"),
        ),
        counts=w.HTML(layout=w.Layout(width="100%")),
        groups=groups,
        sort=_choice(columns, "confidence", "sort by", "200px"),
        descending=w.ToggleButton(
            value=True, description="↓", tooltip="from high to low, or from low to high",
            layout=w.Layout(width="36px"),
        ),
        text=w.Text(
            placeholder="filter: part of an id, or counts > 200 and label = other", continuous_update=False,
            layout=w.Layout(flex="1", min_width="150px", width="auto"),
        ),
        shown=_choice(every, "", "show", "150px"),
        sheet=Sheet(layout=w.Layout(width="100%", min_height="120px")),
        page=w.BoundedIntText(value=1, min=1, max=1, layout=w.Layout(width="74px")),
        pages=w.HTML(),
        back=_button("‹", "page before (PageUp)", "36px"),
        forward=_button("›", "next page (PageDown)", "36px"),
        page_size=_choice(sizes, page_size, "a page", "110px"),
        agree=_button("Agree (a)", "the label is right as it is", "92px", "success"),
        relabel=_button("Relabel (r)", "give the object the label beside", "98px", "danger"),
        label=w.Dropdown(options=list(labels), layout=w.Layout(width="150px")),
        doubtful=_button("Doubtful (d)", "nobody can tell from this", "104px", "warning"),
        note=w.Text(
            placeholder="note (n), Enter saves", continuous_update=False,
            layout=w.Layout(flex="1", min_width="140px", width="auto"),
        ),
        undo=_button("Undo (u)", "take the last verdict back", "80px"),
        redo=_button("Redo (y)", "say it again", "80px"),
        advance=w.Checkbox(
            value=True, description="then next", indent=False, layout=w.Layout(width="90px")
        ),
        contours=w.ToggleButton(value=True, description="Contours (c)", layout=w.Layout(width="104px")),
        activation=w.ToggleButton(description="Activation (m)", layout=w.Layout(width="116px")),
        status=w.HTML(layout=w.Layout(flex="1")),
        detail=w.HTML(layout=w.Layout(width="100%")),
        keys=Keys(),
    )  # fmt: skip


def arrange(c: Controls) -> list[w.Widget]:
    """The rows of the inspector, from top to bottom."""
    wide = w.Layout(width="100%", align_items="center")
    left = w.VBox(
        [c.curve, c.threshold, c.counts],
        layout=w.Layout(width="292px", flex="0 0 292px", margin="0 14px 0 0", overflow="visible"),
    )
    pager = [c.back, c.page, c.pages, c.forward, c.page_size, c.contours, c.activation]
    right = w.VBox(
        [
            w.HBox(
                [*c.groups.values(), c.sort, c.descending],
                layout=w.Layout(width="100%", flex_flow="row wrap"),
            ),
            w.HBox([c.text, c.shown], layout=wide),
            c.sheet,
            w.HBox(pager, layout=wide),
        ],
        layout=w.Layout(flex="1 1 0", min_width="0", overflow="visible"),
    )
    verdicts = [c.agree, c.relabel, c.label, c.doubtful, c.note, c.undo, c.redo, c.advance]
    bar = w.HBox(verdicts, layout=wide)
    bar.add_class("lk-verdicts")
    c.note.add_class("lk-note")
    return [
        w.HBox([c.head, c.experiment, c.positive], layout=wide),
        w.HBox([left, right], layout=w.Layout(width="100%", align_items="flex-start")),
        bar,
        c.status,
        c.detail,
        c.keys,
    ]
