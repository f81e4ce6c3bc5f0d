"""The progress page of a sweep: what each run does, as one HTML file that needs no network."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from labkit.errors import InputError
from labkit.views.style import FONT, INK, PALETTE

__all__ = ["STATES", "RunState", "duration", "progress_page", "time_left"]

#: What a run can be doing.
STATES = ("waiting", "running", "stopped", "failed", "done")
_COLOURS = dict(zip(STATES, ("#e6e6e6", PALETTE[5], PALETTE[4], PALETTE[1], PALETTE[2]), strict=True))
_REFRESH_S = 5
_STYLE = f"""
body {{ font: 15px/1.45 {FONT}; color: {INK}; margin: 2rem auto; max-width: 1080px; padding: 0 1rem; }}
h1 {{ font-size: 1.35rem; margin: 0 0 .2rem; }} a {{ color: {PALETTE[0]}; }}
.all {{ display: flex; height: 14px; border-radius: 3px; overflow: hidden; margin: .8rem 0 .4rem; }}
.legend span {{ display: inline-block; margin-right: 1.1rem; }}
.legend i {{ display: inline-block; width: 11px; height: 11px; border-radius: 2px; margin-right: .35rem; }}
table {{ border-collapse: collapse; width: 100%; margin-top: 1.1rem; }}
th {{ text-align: left; font-weight: 600; white-space: nowrap; vertical-align: top; }}
th {{ padding: .3rem 1rem .3rem 0; }}
td {{ padding: .3rem 0; width: 100%; }} tr + tr > * {{ border-top: 1px solid #e6e6e6; }}
.run {{ display: inline-block; width: 150px; border-radius: 3px; margin: 2px 4px 2px 0; padding: .15rem .5rem;
  font-size: 13px; font-variant-numeric: tabular-nums; border-left: 5px solid; }}
.failed {{ margin: .2rem 0; padding-left: .7rem; border-left: 5px solid {_COLOURS["failed"]}; }}
#old {{ display: none; padding: .5rem .8rem; background: #fdf3d8; border-radius: 3px; }}
@media print {{ #old {{ display: none !important; }} }}
"""
_OLD = """
const since = (Date.now() - Date.parse(document.body.dataset.written)) / 1000;
if (document.body.dataset.ended === "no" && since > 120) {
  document.getElementById("old").style.display = "block";
  document.getElementById("since").textContent = Math.round(since / 60);
}
"""


@dataclass(frozen=True)
class RunState:
    """How far one run is.

    Parameters
    ----------
    experiment : str
        Name of the experiment.
    seed, fold : int
        Of the run; fold -1: no folds.
    state : str
        One of `STATES`.
    epoch, epochs : int
        Epochs that have ended, and all of them.
    accuracy : float
        On the validation objects after the last epoch; NaN before.
    measured_epochs, seconds : float
        Epochs trained in this call, and the time they took.
    message : str
        Why it failed.
    """

    experiment: str
    seed: int
    fold: int = -1
    state: str = "waiting"
    epoch: int = 0
    epochs: int = 1
    accuracy: float = float("nan")
    measured_epochs: float = 0
    seconds: float = 0.0
    message: str = ""

    def __post_init__(self) -> None:
        if self.state not in STATES:
            raise InputError(f"state must be one of {STATES}, got {self.state!r}")

    @property
    def title(self) -> str:
        """Seed and fold in words."""
        return f"seed {self.seed}" + (f", fold {self.fold}" if self.fold >= 0 else "")

    @property
    def share(self) -> float:
        """Part of the work that is done, 0 to 1."""
        return 1.0 if self.state in ("done", "failed") else min(1.0, self.epoch / self.epochs)


def time_left(states: Sequence[RunState], *, workers: int = 1) -> float:
    """Seconds that the remaining epochs should take, from the time of those trained in this call.

    An experiment of which no epoch has ended yet counts with the mean of the others.

    Parameters
    ----------
    states : sequence of RunState
        All runs.
    workers : int
        Runs that are trained at a time.

    Returns
    -------
    float
        Seconds; NaN before the first epoch has ended.
    """
    measured: dict[str, list[float]] = {}
    for one in states:
        if one.measured_epochs > 0:
            total = measured.setdefault(one.experiment, [0.0, 0.0])
            total[0], total[1] = total[0] + one.seconds, total[1] + one.measured_epochs
    if not measured:
        return float("nan")
    pace = {name: seconds / epochs for name, (seconds, epochs) in measured.items()}
    usual = sum(pace.values()) / len(pace)
    open_runs = [one for one in states if one.state in ("waiting", "running", "stopped")]
    work = sum((one.epochs - one.epoch) * pace.get(one.experiment, usual) for one in open_runs)
    return work / max(1, min(workers, len(open_runs)))


def duration(seconds: float) -> str:
    """Seconds in words: ``40 s``, ``12 min``, ``3.5 h``; empty for NaN."""
    if seconds != seconds:
        return ""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def progress_page(
    states: Sequence[RunState],
    *,
    title: str,
    elapsed_s: float,
    workers: int = 1,
    dashboard: str | None = None,
    ended: bool = False,
    now: datetime | None = None,
) -> str:
    """A page that shows every run and reloads itself until the sweep has ended.

    Parameters
    ----------
    states : sequence of RunState
        All runs, in the order in which they are to be shown.
    title : str
        Heading.
    elapsed_s : float
        Since the sweep began, seconds.
    workers : int
        Runs that are trained at a time.
    dashboard : str, optional
        Address of Dask's own dashboard.
    ended : bool
        Whether nothing more will happen.
    now : datetime, optional
        When the page is written.

    Returns
    -------
    str
        HTML with nothing from outside.
    """
    written = datetime.now(UTC) if now is None else now
    left = "" if ended else duration(time_left(states, workers=workers))
    line = [f"{sum(one.state == 'done' for one in states)} of {len(states)} runs done"]
    line += [f"{duration(elapsed_s)} so far", f"about {left} left" if left else ""]
    line += [f"written {written.astimezone():%Y-%m-%d %H:%M:%S}", "ended" if ended else ""]
    link = f' · <a href="{html.escape(dashboard)}">Dask dashboard</a>' if dashboard and not ended else ""
    refresh = "" if ended else f'<meta http-equiv="refresh" content="{_REFRESH_S}">'
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f'{refresh}<style>{_STYLE}</style></head><body data-written="{written.isoformat()}" '
        f'data-ended="{"yes" if ended else "no"}"><h1>{html.escape(title)}</h1>'
        f"<div>{html.escape(' · '.join(part for part in line if part))}{link}</div>"
        '<p id="old">No news for <b id="since"></b> minutes: the sweep was probably stopped. The same call '
        f"goes on where it was.</p>{_overview(states)}{_table(states)}{_failures(states)}"
        f"<script>{_OLD}</script></body></html>\n"
    )


def _overview(states: Sequence[RunState]) -> str:
    """One bar of all runs, each as wide as every other, with a legend."""
    width = 100 / max(1, len(states))
    order = [one for name in reversed(STATES) for one in states if one.state == name]
    bar = "".join(f'<div style="width:{width:.3f}%;background:{_COLOURS[one.state]}"></div>' for one in order)
    counts = {name: sum(one.state == name for one in states) for name in reversed(STATES)}
    legend = "".join(
        f'<span><i style="background:{_COLOURS[name]}"></i>{n} {name}</span>'
        for name, n in counts.items()
        if n
    )
    return f'<div class="all">{bar}</div><div class="legend">{legend}</div>'


def _table(states: Sequence[RunState]) -> str:
    names = list(dict.fromkeys(one.experiment for one in states))
    rows = [
        f"<tr><th>{html.escape(name)}</th><td>"
        + "".join(_cell(one) for one in states if one.experiment == name)
        + "</td></tr>"
        for name in names
    ]
    return f"<table><tbody>{''.join(rows)}</tbody></table>"


def _cell(one: RunState) -> str:
    colour, share = _COLOURS[one.state], 100 * one.share
    wash = f"color-mix(in srgb, {colour} 25%, white)"
    fill = f"background: linear-gradient(to right, {wash} {share:.0f}%, #f6f6f6 {share:.0f}%)"
    told = "" if one.accuracy != one.accuracy else f"validation accuracy {one.accuracy:.3f}"
    state = {"waiting": "waiting", "failed": "failed"}.get(one.state, f"epoch {one.epoch} of {one.epochs}")
    return (
        f'<div class="run" style="border-color:{colour};{fill}" '
        f'title="{html.escape(one.message or told or one.state)}">'
        f"{one.title}<br>{state}<br>{f'accuracy {one.accuracy:.3f}' if told else '&nbsp;'}</div>"
    )


def _failures(states: Sequence[RunState]) -> str:
    failed = [one for one in states if one.state == "failed"]
    rows = "".join(
        f'<p class="failed"><b>{html.escape(one.experiment)}, {one.title}</b><br>'
        f"{html.escape(one.message)}</p>"
        for one in failed
    )
    return f"<h2>Failed</h2>{rows}" if failed else ""
