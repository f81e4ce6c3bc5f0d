"""Seconds and memory to parse a raw classification export, and to weight and combine parsed answers.

Run ``python tests/benchmarks/bench_votes.py``. Parsing is set beside a plain loop over ``csv`` and ``json``
that follows no tree; every figure is the best of the rounds, the two parsers in turns. Votes are simulated.
"""

import argparse
import csv
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
from timing import peak_gib, timed

from labkit.sources.zooniverse import read_export
from labkit.votes import METHODS, Answers, consensus, drop_repeats, read_tree, weights

HEADER = (
    "classification_id,user_name,user_id,user_ip,workflow_id,workflow_name,workflow_version,created_at,"
    "gold_standard,expert,metadata,annotations,subject_data,subject_ids\n"
)


def ways(tree):
    """Every way through a tree, as numbers of answers."""
    starts = dict(zip(tree.tasks, tree.offsets, strict=True))

    def after(task):
        for i, choice in enumerate(tree.questions[tree.tasks.index(task)].choices):
            number = int(starts[task]) + i
            rest = after(choice.next) if choice.next else [()]
            yield from ((number, *tail) for tail in rest)

    return list(after(tree.tasks[0]))


def random_answers(tree, n_answers: int, rng: np.random.Generator, votes: int = 30) -> Answers:
    """Parsed answers of volunteers, of whom each takes the subject's way in 30 to 90 % of cases, else any."""
    paths = ways(tree)
    lengths = np.array([len(path) for path in paths])
    n = int(n_answers / lengths.mean())
    n_subjects, n_users = max(1, n // votes), max(1, n // 300)
    user = rng.integers(0, n_users, n, dtype=np.int32)
    subject = rng.integers(0, n_subjects, n, dtype=np.int32)
    true_way, skill = rng.integers(0, len(paths), n_subjects), rng.uniform(0.3, 0.9, n_users)
    way = np.where(rng.random(n) < skill[user], true_way[subject], rng.integers(0, len(paths), n))
    flat = np.concatenate([paths[w] for w in range(len(paths))])
    starts = np.cumsum(lengths) - lengths
    place = np.arange(lengths[way].sum()) - np.repeat(np.cumsum(lengths[way]) - lengths[way], lengths[way])
    return Answers(
        tree,
        np.array([f"user-{i}" for i in range(n_users)], dtype=object),
        np.array([f"subject-{i}" for i in range(n_subjects)], dtype=object),
        user=user,
        subject=subject,
        ending=np.array([path[-1] for path in paths], dtype=np.int16)[way],
        logged_in=np.ones(n, dtype=bool),
        order=np.arange(n),
        classification=np.repeat(np.arange(n, dtype=np.int32), lengths[way]),
        answer=flat[np.repeat(starts[way], lengths[way]) + place].astype(np.int16),
    )


def write_export(path: Path, tree, rows: int, rng: np.random.Generator, *, unique: bool) -> None:
    """An export in the layout of Zooniverse, with client metadata; `unique` makes every annotation differ."""
    paths = ways(tree)
    metadata = json.dumps(
        {
            "source": "api",
            "started_at": "2018-11-02T10:41:13.381Z",
            "finished_at": "2018-11-02T10:41:33.480Z",
            "user_agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)",
            "user_language": "en",
            "utc_offset": "-3600",
            "session": "f" * 64,
            "subject_dimensions": [{"clientWidth": 424, "clientHeight": 424, "naturalWidth": 424}] * 4,
        }
    )
    numbers = rng.integers(0, [len(paths), max(1, rows // 30), max(1, rows // 40)], (rows, 3))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        file.write(HEADER)
        for row, (way, subject, user) in enumerate(numbers):
            annotations = [
                {
                    "task": tree.tasks[tree.question_of[a]],
                    "task_label": tree.questions[tree.question_of[a]].text,
                    "value": f"![a.png](https://example.org/{a:060d}.png) {tree.choices[a].text}",
                    **({"at": row} if unique else {}),
                }
                for a in paths[way]
            ]
            data = {str(subject): {"retired": None, "#object_id": f"X{subject:06d}", "ra": 10.0, "dec": -5.0}}
            who = (10**8 + row, f"volunteer-{user}", user, "")
            when = (6122, "Hunt", "28.30", "2018-11-02 10:41:33 UTC", "", "")
            writer.writerow((*who, *when, metadata, json.dumps(annotations), json.dumps(data), subject))


def plain_loop(path: Path) -> int:
    """Parse the same columns by ``csv`` and ``json`` and count the answers."""
    csv.field_size_limit(sys.maxsize)
    answers = 0
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            json.loads(row["subject_data"])
            answers += len([(a["task"], a["value"]) for a in json.loads(row["annotations"])])
    return answers


def parse(rows: int, rounds: int, rng: np.random.Generator) -> None:
    """Print rows a second of both parsers."""
    tree = read_tree("hunt")
    with tempfile.TemporaryDirectory() as folder:
        for unique in (False, True):
            path = Path(folder) / "export.csv"
            write_export(path, tree, rows, rng, unique=unique)
            seconds = {"ours": [], "plain": []}
            for _ in range(rounds):
                export, *ours = timed(lambda path=path: read_export(path, tree, repeats="all"))
                _, *plain = timed(lambda path=path: plain_loop(path))
                seconds["ours"].append(ours)
                seconds["plain"].append(plain)
            assert export.report.kept == rows
            what = "every annotation different" if unique else "annotations as they come"
            print(f"parse {rows} rows, {path.stat().st_size / 2**20:.0f} MiB, {what}:")
            for name, both in seconds.items():
                wall, used = np.min(both, axis=0)
                print(
                    f"  {name:5s} {rows / wall:9,.0f} rows/s, {rows / used:9,.0f} rows per processor second"
                )
            ratios = np.min(seconds["plain"], axis=0) / np.min(seconds["ours"], axis=0)
            print(f"  ours is {ratios[0]:.1f} x as fast, {ratios[1]:.1f} x by processor time")
    print(f"peak memory so far {peak_gib():.2f} GiB")


def combine(tree_name: str, n_answers: int, rng: np.random.Generator) -> None:
    """Print seconds of weights and of each consensus."""
    answers = random_answers(read_tree(tree_name), n_answers, rng)
    print(f"{answers!r}, peak so far {peak_gib():.2f} GiB")
    answers, *seconds = timed(lambda: drop_repeats(answers))
    report("drop repeats", seconds)
    report("weights", timed(lambda: weights(answers))[1:])
    for method in METHODS:
        report(f"{method} consensus", timed(lambda method=method: consensus(answers, method=method))[1:])


def report(what: str, seconds) -> None:
    """Print wall and processor seconds."""
    wall, used = seconds
    print(f"  {what:22s} {wall:6.1f} s, processor {used:6.1f} s, peak so far {peak_gib():.2f} GiB")


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--answers", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    rng = np.random.default_rng(1)
    parse(options.rows, options.rounds, rng)
    for tree in ("hunt", "presence_absence"):
        combine(tree, options.answers, rng)


if __name__ == "__main__":
    main()
