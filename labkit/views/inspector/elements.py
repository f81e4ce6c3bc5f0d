"""The three parts that plain ipywidgets lack: a sheet of cards, a ROC curve to click on, and the keyboard.

Each is a small anywidget: state here, drawing in ``front/``. What the browser sends comes as a message and is
passed on to one function, so a test can send the same message without a browser.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import anywidget
import traitlets

__all__ = ["Curve", "Keys", "Sheet"]

_FRONT = Path(__file__).parent / "front"


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
