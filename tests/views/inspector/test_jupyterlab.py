"""The inspector in a real JupyterLab in headless Chromium: threshold, key, button, CSV, screenshot."""

import csv
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbformat import v4

from labkit.predictions import Predictions
from labkit.sample import Sample
from labkit.views.browser import BROWSERS

FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
ERROR = ".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.stderr']"
SLOW_MS = 60_000
INSTALL_S = 300
#: Names of the inspector's parts that reach beyond its right edge.
STICKS_OUT = """node => {
  const edge = node.getBoundingClientRect().right + 1;
  const parts = [...node.querySelectorAll("*")].filter((part) => part.getBoundingClientRect().right > edge);
  return parts.map((part) => part.tagName + "." + (part.getAttribute("class") || ""));
}"""


@pytest.fixture(scope="session")
def chromium() -> str:
    """A Chromium of this machine, or Debian's, installed here where that is possible."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None and shutil.which("apt-get") and os.geteuid() == 0:
        for command in (["apt-get", "update"], ["apt-get", "install", "-y", "chromium"]):
            try:
                subprocess.run(command, check=True, capture_output=True, timeout=INSTALL_S,
                               env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"})  # fmt: skip
            except (subprocess.SubprocessError, OSError) as error:
                pytest.skip(f"no Chromium, and {' '.join(command)} failed: {error}")
        found = shutil.which("chromium")
    if found is None:
        pytest.skip("no Chromium, and none can be installed here (needs apt-get and root)")
    return found


@pytest.fixture
def folder(tmp_path, sample, predictions) -> Path:
    """A folder with a Sample, predictions and a notebook that shows the inspector."""
    sample.save(tmp_path / "sample")
    predictions.save(tmp_path / "predictions.parquet")
    assert len(Sample.load(tmp_path / "sample")) == len(sample)
    assert len(Predictions.load(tmp_path / "predictions.parquet")) == len(predictions)
    cells = (
        "from labkit.predictions import Predictions\nfrom labkit.sample import Sample\n"
        "from labkit.views.inspector import inspect_errors",
        "sample, predictions = Sample.load('sample'), Predictions.load('predictions.parquet')\n"
        "inspect_errors(sample, predictions, verdicts='verdicts.csv')",
    )
    notebook = v4.new_notebook(cells=[v4.new_code_cell(cell) for cell in cells])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, tmp_path / "inspect.ipynb")
    return tmp_path


@pytest.fixture
def lab(folder) -> Iterator[str]:
    """Address of a JupyterLab of its own, with settings of its own, stopped by its process at the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token, own = secrets.token_hex(16), folder / "own"
    places = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR",
              "JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR")  # fmt: skip
    news = own / "JUPYTERLAB_SETTINGS_DIR" / "@jupyterlab" / "apputils-extension"
    news.mkdir(parents=True)
    (news / "notification.jupyterlab-settings").write_text('{"fetchNews": "false", "checkForUpdates": false}')
    environment = {k: v for k, v in os.environ.items() if k != "LABKIT_HEADLESS"}
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1",
        f"--port={port}", "--ServerApp.port_retries=0", f"--IdentityProvider.token={token}",
        f"--ServerApp.root_dir={folder}",
    ]  # fmt: skip
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(
            command, cwd=folder, stdout=log, stderr=subprocess.STDOUT,
            env=environment | {name: str(own / name) for name in places},
        )  # fmt: skip
        try:
            wait_for(lambda: answers(port), "JupyterLab must answer", folder / "server.log")
            yield f"http://127.0.0.1:{port}/lab/tree/inspect.ipynb?token={token}"
        finally:
            server.terminate()
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait(20)


def answers(port: int) -> bool:
    with socket.socket() as trial:
        return trial.connect_ex(("127.0.0.1", port)) == 0


def wait_for(done, words: str, log: Path | None = None, seconds: float = SLOW_MS / 1000) -> None:
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            pytest.fail(words + (f"\n{log.read_text()[-2000:]}" if log else ""))
        time.sleep(0.05)


def verdicts(folder: Path) -> list[dict[str, str]]:
    path = folder / "verdicts.csv"
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_scientist_uses_the_inspector_in_jupyterlab(chromium, lab, folder):
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=list(FLAGS))
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(SLOW_MS)
        page.goto(lab)
        page.get_by_text("(ipykernel) | Idle").wait_for()
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_text("Run All Cells", exact=True).click()
        page.wait_for_selector(f".labkit-inspector[data-ready=true] .lk-card img, {ERROR}")
        assert not page.locator(ERROR).count(), page.locator(ERROR).inner_text()
        cells = page.locator(".jp-Notebook .jp-Cell").count()
        clicked = page.locator(".lk-card").nth(1).get_attribute("data-id")

        page.locator(".lk-card").nth(1).click()
        page.wait_for_selector(f".lk-facts h4:text-is('{clicked}')")
        page.keyboard.press("a")  # JupyterLab's own A would insert a cell
        wait_for(lambda: len(verdicts(folder)) == 1, "the key must write a verdict")
        page.get_by_role("button", name="Doubtful (d)").click()
        wait_for(lambda: len(verdicts(folder)) == 2, "the button must write a verdict")
        page.keyboard.press("u")
        wait_for(lambda: len(verdicts(folder)) == 3, "undo must write a line")
        page.keyboard.press("n")
        page.keyboard.type("dust, and an a")  # letters in a note are no keys
        page.keyboard.press("Enter")
        wait_for(lambda: len(verdicts(folder)) == 4, "Enter must save the note")
        page.keyboard.press("u")  # the keys are back when the note is saved
        wait_for(lambda: len(verdicts(folder)) == 5, "undo must write a line after a note")
        found = verdicts(folder)
        assert [line["verdict"] for line in found] == ["agree", "doubtful", "withdrawn", "note", "withdrawn"]
        assert found[0]["object_id"] == clicked
        assert found[1]["object_id"] == found[2]["object_id"] == found[3]["object_id"] != clicked
        assert found[3]["note"] == "dust, and an a"

        before = page.locator(".lk-matrix").inner_text()
        box = page.locator(".lk-curve").bounding_box()
        page.mouse.click(box["x"] + 0.2 * box["width"], box["y"] + 0.7 * box["height"])
        page.wait_for_function("old => document.querySelector('.lk-matrix').innerText !== old", arg=before)
        page.locator(".noUi-handle").focus()
        middle = page.locator(".lk-matrix").inner_text()
        for _ in range(3):
            page.keyboard.press("PageDown")
        page.wait_for_function("old => document.querySelector('.lk-matrix').innerText !== old", arg=middle)
        page.get_by_role("button", name="TP").click()
        page.wait_for_selector(".lk-kind-TP.lk-on")
        assert page.locator(".jp-Notebook .jp-Cell").count() == cells, (
            "no key may reach JupyterLab's shortcuts"
        )
        page.locator(".labkit-inspector").scroll_into_view_if_needed()
        page.screenshot(path=folder / "inspector.png")
        assert (folder / "inspector.png").stat().st_size > 20_000
        page.set_viewport_size({"width": 860, "height": 1000})
        page.locator(".labkit-inspector").evaluate(STICKS_OUT)
        page.wait_for_timeout(1000)
        page.screenshot(path=folder / "narrow.png")
        assert page.locator(".labkit-inspector").evaluate(STICKS_OUT) == []
        browser.close()
