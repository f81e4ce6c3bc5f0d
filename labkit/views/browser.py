"""A browser of this machine, without a window or a network, driven through its DevTools."""

import base64
import json
import os
import shutil
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

from websocket import WebSocketException, create_connection

from labkit.errors import InputError, MissingDataError

#: Browsers that can print a page; an environment variable LABKIT_BROWSER goes before them.
BROWSERS = (
    "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge",
    "microsoft-edge", "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)  # fmt: skip

_CSS_DPI = 96  # of a page's pixels
_TIMEOUT_S = 120
# The figure in an element as SVG, or on a white sheet of its size: as SVG where it is made of plots alone.
_SHEET = """
(() => {
  const box = %s, wanted = %s
  const view = (window.Bokeh ? [...Bokeh.index] : []).find((one) => box.contains(one.el))
  const parts = view ? [...view.model.references()].map((one) => one.type) : []
  const plots = parts.some((type) => ["Figure", "Plot"].includes(type))
  const words = parts.some((type) => ["Div", "Paragraph", "PreText", "DataTable"].includes(type))
  const svg = plots && (wanted || !words) ? view.export("svg").ctx.get_serialized_svg(true) : ""
  if (wanted) return [svg, 0, 0]
  document.getElementById("labkit-sheet")?.remove()
  document.head.insertAdjacentHTML("beforeend", "<style>#labkit-sheet { position: absolute; left: 0; top: 0; "
    + "z-index: 99; background: #fff; width: max-content } #labkit-sheet > svg { display: block } "
    + "@media print { body { margin: 0 } body > :not(#labkit-sheet) { display: none !important } }</style>")
  const sheet = document.createElement("div"), width = box.getBoundingClientRect().width
  sheet.id = "labkit-sheet"
  if (svg) sheet.innerHTML = svg
  else {
    if (width) sheet.style.width = width + "px"
    sheet.append(box)
  }
  document.body.append(sheet)
  const size = sheet.getBoundingClientRect()
  return [svg, Math.ceil(size.width), Math.ceil(size.height)]
})()
"""


class Browser:
    """One browser for any number of figures; it ends with the ``with`` block.

    A MissingDataError with the remedy if there is none, or if it does not do what it is asked.
    """

    def __init__(self) -> None:
        named = os.environ.get("LABKIT_BROWSER")
        found = next(filter(None, map(shutil.which, (named,) if named else BROWSERS)), None)
        if found is None:
            rule = f"LABKIT_BROWSER must name a browser, got {named!r}" if named else "no browser was found"
            raise MissingDataError(
                f"{rule}; install Chromium or Chrome, or set LABKIT_BROWSER to its program, or use save_page"
            )
        self._program, self._asked = found, 0
        self._session: dict[str, str] = {}

    def __enter__(self) -> Self:
        self._folder = TemporaryDirectory(prefix="labkit-", ignore_cleanup_errors=True)
        root = ["--no-sandbox"] if getattr(os, "geteuid", lambda: 1)() == 0 else []  # as in a container
        command = [
            self._program, "--headless", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
            "--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND",
            f"--user-data-dir={self._folder.name}", "--remote-debugging-port=0", *root, "about:blank",
        ]  # fmt: skip
        nowhere = subprocess.DEVNULL
        try:
            self._process = subprocess.Popen(command, stdin=nowhere, stdout=nowhere, stderr=nowhere)
            self._connect()
        except (OSError, WebSocketException) as error:
            self.__exit__()
            raise self._failed(error) from error
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(AttributeError, OSError, WebSocketException):
            self._socket.close()
        with suppress(AttributeError):
            self._process.kill()
            self._process.wait()
        self._folder.cleanup()

    def _connect(self) -> None:
        """Reach a tab, at the address that the browser writes down once it has started."""
        noted = Path(self._folder.name, "DevToolsActivePort")
        self._wait(lambda: noted.is_file() and "/" in noted.read_text(), "it did not start in time")
        port, path = noted.read_text().split("\n")[:2]
        address = f"ws://127.0.0.1:{port}{path}"
        self._socket = create_connection(address, timeout=_TIMEOUT_S, suppress_origin=True)
        tab = self._call("Target.createTarget", url="about:blank")["targetId"]
        about = self._call("Target.attachToTarget", targetId=tab, flatten=True)
        self._session = {"sessionId": about["sessionId"]}

    def open(self, page: Path, *, figures: int = 1) -> None:
        """Open a page of this machine and wait until so many Bokeh figures are drawn."""
        self._call("Page.navigate", url=page.resolve().as_uri())
        drawn = (
            f'document.readyState === "complete" && ({figures} === 0 || !!window.Bokeh && '
            f"Bokeh.documents.length >= {figures} && Bokeh.documents.every((one) => one.is_idle))"
        )
        self._wait(lambda: self._evaluate(drawn), "it did not draw the figure in time")

    def draw(self, element: str, ending: str, *, dpi: float = 300) -> bytes:
        """The figure in an element of the page, a JavaScript expression, as .svg, .pdf or .png."""
        svg, width, height = self._evaluate(_SHEET % (element, str(ending == ".svg").lower()))
        if ending == ".svg":
            if not svg:
                raise InputError("an SVG must be of plots, got none; write .pdf or .png instead")
            return svg.encode()
        size: dict[str, Any]
        if ending == ".pdf":
            size = {"paperWidth": width / _CSS_DPI, "paperHeight": height / _CSS_DPI, "pageRanges": "1"}
            size |= dict.fromkeys(("marginTop", "marginBottom", "marginLeft", "marginRight"), 0)
            return base64.b64decode(self._call("Page.printToPDF", printBackground=True, **size)["data"])
        size = {"x": 0, "y": 0, "width": width, "height": height, "scale": dpi / _CSS_DPI}
        shot = self._call("Page.captureScreenshot", captureBeyondViewport=True, clip=size)
        return base64.b64decode(shot["data"])

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """What the browser answers to a command of its DevTools protocol."""
        self._asked += 1
        try:
            self._socket.send(
                json.dumps({"id": self._asked, "method": method, "params": parameters} | self._session)
            )
            while (answer := json.loads(self._socket.recv())).get("id") != self._asked:
                continue  # news of something else
        except (OSError, ValueError, WebSocketException) as error:
            raise self._failed(error) from error
        if "error" in answer:
            raise self._failed(answer["error"].get("message"))
        return answer["result"]

    def _evaluate(self, code: str) -> Any:
        answer = self._call("Runtime.evaluate", expression=code, returnByValue=True)
        if "exceptionDetails" in answer:
            raise self._failed(answer["exceptionDetails"].get("exception", {}).get("description"))
        return answer["result"].get("value")

    def _wait(self, ready: Any, otherwise: str) -> None:
        started = time.monotonic()
        while not ready():
            if self._process.poll() is not None or time.monotonic() - started > _TIMEOUT_S:
                raise self._failed(otherwise)
            time.sleep(0.05)

    def _failed(self, why: object) -> MissingDataError:
        return MissingDataError(f"the browser {self._program!r} failed: {why}; try another, or use save_page")
