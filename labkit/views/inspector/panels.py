"""The controls of the inspector, as a table of name, kind and tip, and where they stand.

Three of them are small anywidgets with their drawing in ``front/``, because plain ipywidgets lack them: a
sheet of cards, a ROC curve to click on, the keyboard. What the browser sends comes as a message and is passed
on to one function, so that a test can send the same message without a browser.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anywidget
import ipywidgets as w
import traitlets

from labkit.errors import InputError
from labkit.views.inspector.pictures import Pictures
from labkit.views.inspector.state import GROUPS, ErrorState

_FRONT = Path(__file__).parent / "front"
_PAGE_SIZES = (6, 9, 12, 18, 24, 48)
#: Buttons and toggles: text, tip, width, colour.
_BUTTONS = {
    "back": ("‹", "page before (PageUp)", "36px", ""),
    "forward": ("›", "next page (PageDown)", "36px", ""),
    "agree": ("Agree (a)", "the label is right as it is", "92px", "success"),
    "relabel": ("Relabel (r)", "give the object the label beside", "98px", "danger"),
    "doubtful": ("Doubtful (d)", "nobody can tell from this", "104px", "warning"),
    "undo": ("Undo (u)", "take the last verdict back", "80px", ""),
    "redo": ("Redo (y)", "say it again", "80px", ""),
}
_TOGGLES = {
    "descending": (True, "↓", "from high to low, or from low to high", "36px"),
    "contours": (True, "Contours (c)", "contours of one band on another", "104px"),
    "activation": (False, "Activation (m)", "where the network looks", "116px"),
}
_TEXTS = {"text": "filter: part of an id, or counts > 200 and label = other", "note": "note (n), Enter saves"}
_HTML = {"head": {"flex": "1"}, "status": {"flex": "1"}, "pages": {}, "counts": {"width": "100%"}}


def reporting(handler: Callable) -> Callable:
    """Show a user's mistake in the status line, until the next thing that works, instead of raising it."""

    @wraps(handler)
    def wrapped(self: Any, *arguments: Any) -> None:
        if self._depth == 0:
            self._failed = False
        self._depth += 1
        try:
            handler(self, *arguments)
        except InputError as error:
            self._failed = True
            self._show_status(str(error), wrong=True)
        finally:
            self._depth -= 1
        if self._depth == 0 and not self._failed:
            self._show_status(self._status)

    return wrapped


class _Sender(anywidget.AnyWidget):
    """Passes what the browser sends to a function."""

    def listen(self, handler: Callable[[Mapping[str, Any]], None]) -> None:
        """Call a function with each message of the browser."""
        self.on_msg(lambda _, content, buffers: handler(content))


class Sheet(_Sender):
    """Cards in a grid; a click sends ``{"pick": index}``."""

    _esm = (_FRONT / "sheet.js").read_text()
    cards = traitlets.List(traitlets.Dict()).tag(sync=True)
    columns = traitlets.Int(3).tag(sync=True)
    chosen = traitlets.Int(-1).tag(sync=True)
    empty = traitlets.Unicode("no object").tag(sync=True)


class Curve(_Sender):
    """A ROC curve (`markup.roc_svg`) with its operating point; a click sends ``{"fpr": ..., "tpr": ...}``."""

    _esm = (_FRONT / "curve.js").read_text()
    svg = traitlets.Unicode("<svg></svg>").tag(sync=True)
    point = traitlets.List(traitlets.Float()).tag(sync=True)


class Keys(_Sender):
    """Keyboard and style sheet of the inspector around it; a key sends ``{"key": name, "object": id}``."""

    _esm = (_FRONT / "keys.js").read_text()
    _css = (_FRONT / "style.css").read_text()


def make_controls(
    state: ErrorState, pictures: Pictures, *, experiments: Sequence[str], labels: Sequence[str],
    page_size: int, judging: bool,
) -> SimpleNamespace:  # fmt: skip
    """The controls by name, with their first values; they do nothing by themselves.

    Without `judging` those for verdicts are grey; choices of one, or of unlabelled objects where there are
    none, are not shown.
    """
    objects = state.objects
    made: dict[str, Any] = {"sheet": Sheet(layout=w.Layout(width="100%", min_height="120px"))}
    made |= {"curve": Curve(), "keys": Keys(), "detail": w.HTML(layout=w.Layout(width="100%"))}
    made |= {name: w.HTML(layout=w.Layout(**layout)) for name, layout in _HTML.items()}
    for name, (words, tip, width, colour) in _BUTTONS.items():
        layout = w.Layout(width=width)
        made[name] = w.Button(description=words, tooltip=tip, button_style=colour, layout=layout)
    for name, (pressed, words, tip, width) in _TOGGLES.items():
        layout = w.Layout(width=width)
        made[name] = w.ToggleButton(value=pressed, description=words, tooltip=tip, layout=layout)
    for name, words in _TEXTS.items():
        layout = w.Layout(flex="1", min_width="140px", width="auto")
        made[name] = w.Text(placeholder=words, continuous_update=False, layout=layout)
    choices = [("all pictures", ""), *((name, name) for name in pictures.styles)]
    for name, options, value, words, width in (
        ("experiment", experiments, objects.experiment, "experiment", "auto"),
        ("positive", objects.classes, state.positive, "positive", "auto"),
        ("sort", state.columns, "confidence", "sort by", "200px"),
        ("shown", choices, "", "show", "150px"),
        ("page_size", sorted({*_PAGE_SIZES, page_size}), page_size, "a page", "110px"),
        ("label", list(labels), labels[0] if labels else None, "", "150px"),
    ):
        style = {"description_width": "initial"}
        layout = w.Layout(width=width)
        made[name] = w.Dropdown(options=options, value=value, description=words, layout=layout, style=style)
    made["threshold"] = w.FloatSlider(
        value=state.threshold, min=0, max=1, step=0.001, readout_format=".3f", description="threshold",
        style={"description_width": "62px"}, layout=w.Layout(width="100%"),
    )  # fmt: skip
    made["page"] = w.BoundedIntText(value=1, min=1, max=1, layout=w.Layout(width="74px"))
    made["advance"] = w.Checkbox(
        value=True, description="then next", indent=False, layout=w.Layout(width="90px")
    )
    made["groups"] = {name: w.Button(description=name, tooltip=words) for name, words in GROUPS.items()}
    for name, button in made["groups"].items():
        button.layout.width = "auto"
        button.add_class("lk-group")
        button.add_class(f"lk-kind-{name}")
        button.layout.display = "none" if name in ("new", "rest") and (objects.true >= 0).all() else ""
    made["note"].add_class("lk-note")
    made["experiment"].layout.display = "" if len(experiments) > 1 else "none"
    made["positive"].layout.display = "" if len(objects.classes) > 2 else "none"
    made["activation"].disabled = pictures.activation is None
    for name in ("agree", "relabel", "doubtful", "note", "undo", "redo", "label"):
        made[name].disabled = not judging
    return SimpleNamespace(**made)


def arrange(c: SimpleNamespace) -> list[w.Widget]:
    """The rows of the inspector, from top to bottom; a narrow window puts the two halves below each other."""

    def row(*parts: w.Widget) -> w.HBox:
        return w.HBox(parts, layout=w.Layout(width="100%", align_items="center", flex_flow="row wrap"))

    left = w.VBox([c.curve, c.threshold, c.counts])
    right = w.VBox(
        [
            row(*c.groups.values(), c.sort, c.descending),
            row(c.text, c.shown),
            c.sheet,
            row(c.back, c.page, c.pages, c.forward, c.page_size, c.contours, c.activation),
        ]
    )
    halves = w.HBox([left, right])
    verdicts = row(c.agree, c.relabel, c.label, c.doubtful, c.note, c.undo, c.redo, c.advance)
    for box, name in ((halves, "halves"), (left, "left"), (right, "right"), (verdicts, "verdicts")):
        box.add_class(f"lk-{name}")
    return [row(c.head, c.experiment, c.positive), halves, verdicts, c.status, c.detail, c.keys]
