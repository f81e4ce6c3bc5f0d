"""The run folder: one place for what a run reads, makes and was made with.

Layout of ``data/runs/<name>/``::

    manifest.json        versions, and seeds and hashes of the inputs of each experiment
    experiments/         one JSON file per experiment
    checkpoints/         trained networks, one folder per run
    states.csv, progress.html
                         how far each training of a sweep is
    predictions.parquet  the predictions table of the binary experiments
    predictions_<scheme>.parquet, predictions[_<scheme>]_folds.parquet
                         those of another class scheme, or of "numbers", and out-of-fold ones
    notebooks/           executed notebooks; steps.json: what each was made from
    figures/             figures and small tables
    report.html          the report page
"""

import json
import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from filelock import FileLock

from labkit.errors import InputError
from labkit.paths import atomic_file

#: Environment variable of kernels that run a notebook headlessly.
HEADLESS = "LABKIT_HEADLESS"

_RECORDED = ("labkit", "numpy", "torch", "pytorch-lightning", "timm", "astropy", "scikit-learn", "bokeh")


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that shape a result."""
    found = {"python": platform.python_version()}
    for name in _RECORDED:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


class RunFolder:
    """A folder of one run; its parts are made when first asked for.

    Parameters
    ----------
    path : path
        The folder; made if it is not there.

    Raises
    ------
    InputError
        If `path` is a file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        if self.path.exists() and not self.path.is_dir():
            raise InputError(f"path must be a folder, got the file {str(self.path)!r}")
        self.path.mkdir(parents=True, exist_ok=True)

    def __fspath__(self) -> str:
        return str(self.path)

    def __repr__(self) -> str:
        return f"<RunFolder {self.path}>"

    def _part(self, name: str) -> Path:
        part = self.path / name
        part.mkdir(exist_ok=True)
        return part

    @property
    def name(self) -> str:
        """Name of the run."""
        return self.path.name

    @property
    def experiments(self) -> Path:
        """Folder of the experiments' JSON files."""
        return self._part("experiments")

    @property
    def checkpoints(self) -> Path:
        """Folder of the trained networks."""
        return self._part("checkpoints")

    @property
    def notebooks(self) -> Path:
        """Folder of the executed notebooks."""
        return self._part("notebooks")

    @property
    def figures(self) -> Path:
        """Folder of figures and small tables."""
        return self._part("figures")

    @property
    def predictions(self) -> Path:
        """File of the predictions table of the binary experiments."""
        return self.predictions_of()

    def predictions_of(self, kind: str = "binary", *, folds: bool = False) -> Path:
        """File of the predictions table of one kind of experiment.

        A table has one set of classes, or numbers, and rows of one kind: every object for each run, or each
        object once, by the run that had it in its test fold. So each class scheme has a file of its own, and
        so have numbers, with and without folds.

        Parameters
        ----------
        kind : str
            Class scheme of the experiments, see `labkit.taxonomy`, or "numbers".
        folds : bool
            Out-of-fold predictions of experiments with folds.
        """
        parts = ["predictions", *([] if kind == "binary" else [kind]), *(["folds"] if folds else [])]
        return self.path / f"{'_'.join(parts)}.parquet"

    @property
    def report(self) -> Path:
        """File of the report page."""
        return self.path / "report.html"

    @property
    def manifest(self) -> dict[str, Any]:
        """What is recorded of how the run was made; empty at first."""
        file = self.path / "manifest.json"
        return json.loads(file.read_text()) if file.is_file() else {}

    def record(self, *, trainings: Mapping[str, Any] | None = None, **facts: Any) -> dict[str, Any]:
        """Add facts (JSON-able) to the manifest, with the versions and the time of the change.

        Parameters
        ----------
        trainings : mapping, optional
            What is known of each experiment; those of other experiments stay.
        **facts
            Anything else; a fact replaces the earlier one of its name.

        Returns
        -------
        dict
            The manifest as it is now.
        """
        now = datetime.now(UTC).isoformat(timespec="seconds")
        file = self.path / "manifest.json"
        with FileLock(self.path / ".manifest.lock"), atomic_file(file) as partial:
            manifest = {"created": now} | self.manifest | {"changed": now, "versions": versions()} | facts
            if trainings:
                manifest["trainings"] = manifest.get("trainings", {}) | trainings
            partial.write_text(json.dumps(manifest, indent=1))
        return manifest
