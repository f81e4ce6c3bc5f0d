"""Where the numbers of each epoch go besides a model's history: a CSV table, TensorBoard or MLflow."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from labkit.errors import InputError, need_choice
from labkit.experiment import Experiment

#: Loggers of Lightning, and the packages of which each needs one.
LOGGERS: dict[str, tuple[str, ...]] = {
    "csv": (),
    "tensorboard": ("tensorboard", "tensorboardX"),
    "mlflow": ("mlflow",),
}


def check_logger(name: str | None) -> None:
    """Refuse an unknown logger, or one whose package is not installed, before anything is trained."""
    if name is None:
        return
    need_choice("logger", name, LOGGERS)
    if LOGGERS[name] and not any(map(find_spec, LOGGERS[name])):
        raise InputError(
            f"logger={name!r} needs the package {LOGGERS[name][0]!r}, which is not installed; "
            f"`pip install {LOGGERS[name][0]}`, or take logger='csv'"
        )


def open_logger(name: str | None, run: Path, folder: Path, experiment: Experiment) -> Any | Literal[False]:
    """Lightning's logger for a model's folder, with the experiment as its settings; False without a name.

    Files go to ``logs`` in the run folder, of a resumed training to a new version; MLflow's to the server of
    ``MLFLOW_TRACKING_URI``, where that is set.
    """
    check_logger(name)
    if name is None:
        return False
    from pytorch_lightning import loggers

    logs, opened = run / "logs", None
    if name == "mlflow":
        uri = str(logs / "mlruns")
        opened = loggers.MLFlowLogger(experiment_name=run.name, run_name=folder.name, save_dir=uri)
    else:
        kind = {"csv": loggers.CSVLogger, "tensorboard": loggers.TensorBoardLogger}[name]
        opened = kind(save_dir=str(logs), name=folder.name)
    opened.log_hyperparams(experiment.model_dump(mode="json"))
    return opened
