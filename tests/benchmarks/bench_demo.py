"""Wall seconds and peak memory of the demonstration (`make demo`) after installation.

Run ``python tests/benchmarks/bench_demo.py``. A second call into the same folder shows what resuming costs.
"""

import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def resident_bytes(pid: int) -> int:
    """Resident memory of a process and all that it started (Linux); shared pages count in each."""
    total, todo = 0, [pid]
    while todo:
        process = Path("/proc") / str(todo.pop())
        try:
            pages = int((process / "statm").read_text().split()[1])
            todo += (process / "task" / process.name / "children").read_text().split()
        except FileNotFoundError:
            continue
        total += 4096 * pages
    return total


def run(folder: str) -> tuple[float, float]:
    """Seconds and peak GiB of one demonstration."""
    command = [sys.executable, "-m", "labkit", "--quiet", "run", str(ROOT / "notebooks" / "demo.toml")]
    start = time.perf_counter()
    with subprocess.Popen([*command, "--run", folder], stdout=subprocess.DEVNULL) as process:
        peaks = [0]
        done = threading.Event()

        def watch() -> None:
            while not done.wait(0.2):
                peaks.append(resident_bytes(process.pid))

        watcher = threading.Thread(target=watch)
        watcher.start()
        code = process.wait()
        done.set()
        watcher.join()
    if code:
        raise SystemExit(f"the demonstration failed with code {code}")
    return time.perf_counter() - start, max(peaks) / 2**30


def main() -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("first run", "run again, nothing changed"):
            seconds, peak = run(folder)
            print(f"{name:28s} {seconds:7.1f} s   peak of all processes {peak:5.2f} GiB")


if __name__ == "__main__":
    main()
