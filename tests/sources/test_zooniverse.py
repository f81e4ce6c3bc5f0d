"""Classification exports as they really are: every row is read or counted with a reason."""

import csv
import gzip
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.errors import InputError, MissingDataError
from labkit.sources import read_export, read_flat_answers, read_workflow
from labkit.votes import cleaning_steps, consensus, read_tree, tree_from_workflow

COLUMNS = [
    *("classification_id", "user_name", "user_id", "user_ip", "workflow_id", "workflow_name"),
    *("workflow_version", "created_at", "gold_standard", "expert", "metadata", "annotations"),
    *("subject_data", "subject_ids"),
]
EMISSION = "X-ray emission"
CLUSTER = [
    *(("T0", EMISSION), ("T1", "Extended"), ("T2", "Galaxies or an empty field"), ("T3", "Bright and large")),
    ("T4", "Yes, a nearby cluster"),
]
POINT = [("T0", EMISSION), ("T1", "Point-like")]


def row(number=1, *, user="ann", subject="7", annotations=None, **other) -> dict[str, str]:
    """One row of an export; `annotations` are pairs of task and value, or text as it is."""
    pairs = POINT if annotations is None else annotations
    if not isinstance(pairs, str):
        pairs = json.dumps([{"task": task, "task_label": "?", "value": value} for task, value in pairs])
    values = {
        "classification_id": str(1000 + number),
        "user_name": user,
        "user_id": "" if user.startswith("not-logged-in") else f"id of {user}",
        "workflow_id": "6122",
        "workflow_name": "The Hunt",
        "workflow_version": "28.30",
        "created_at": "2018-11-02 10:41:33 UTC",
        "metadata": json.dumps({"session": 'a, "b"\n'}),
        "annotations": pairs,
        "subject_data": json.dumps({subject: {"retired": None, "ra": 1.0}}),
        "subject_ids": subject,
    }
    return dict.fromkeys(COLUMNS, "") | values | other


def write(path: Path, rows, *, encoding: str = "utf-8") -> Path:
    with path.open("w", newline="", encoding=encoding) as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture
def read(tmp_path):
    """Write rows as an export and read them; every row must be accounted for."""

    def run(rows, **options):
        export = read_export(write(tmp_path / "export.csv", rows), options.pop("tree", "hunt"), **options)
        report = export.report
        assert report.rows == len(rows) == report.kept + sum(report.dropped.values())
        assert report.kept == len(export.answers)
        return export

    return run


def endings(export) -> list[str]:
    names = {number: name for name, number in export.answers.tree.endings.items()}
    return [names.get(int(number), "unfinished") for number in export.answers.ending]


def test_a_good_row_becomes_its_way(read):
    export = read([row(annotations=CLUSTER), row(2, user="bob")])
    assert endings(export) == ["nearby cluster", "point"]
    assert export.answers.answer.tolist() == [0, 3, 5, 8, 10, 0, 4]
    assert export.answers.classification.tolist() == [0] * 5 + [1] * 2
    assert export.answers.users.tolist() == ["ann", "bob"]
    assert export.answers.subjects.tolist() == ["7"]
    assert export.answers.order.tolist() == [1001, 1002]
    assert not export.report.dropped
    assert not export.report.remarks


COMBINED = [("T9", [{"task": task, "value": value} for task, value in POINT])]
WRITTEN = ["![a.png](https://x.org/a.png)  point-like ", ["Point-like"], 1, 1.0, "1", ["![](x) POINT-LIKE"]]


def test_ways_to_write_an_answer(read):
    ways = [COMBINED, *([("T0", EMISSION), ("T1", value)] for value in WRITTEN)]
    rows = [row(number, user=f"u{number}", annotations=way) for number, way in enumerate(ways)]
    assert endings(read(rows)) == ["point"] * 7


def test_digits_are_text_where_answers_are_numbers(tmp_path):
    (tmp_path / "arms.toml").write_text(
        'name = "arms"\ntitle = "Arms"\nclasses = ["few", "many"]\n[[questions]]\ntask = "T0"\ntext = "?"\n'
        'answers = [{text = "1", leaf = "one", class = "few"}, {text = "2", leaf = "two", class = "many"}]\n'
    )
    rows = [row(i, subject=str(i), annotations=[("T0", value)]) for i, value in enumerate(["1", 1, "0"])]
    export = read_export(write(tmp_path / "e.csv", rows), read_tree(tmp_path / "arms.toml"))
    assert endings(export) == ["one", "two"]
    assert export.report.outside == {"T0: 0": 1}


OPEN, OUTSIDE, UNANSWERED = "tree not finished", "answer outside the tree", "question left without an answer"
SEVERAL = "several answers to one question"


@pytest.mark.parametrize(
    ("annotations", "remarks", "ending"),
    [
        ([("T0", EMISSION)], {OPEN}, "unfinished"),
        ([("T0", EMISSION), ("T1", "Fuzzy")], {OPEN, OUTSIDE}, "unfinished"),
        ([("T0", EMISSION), ("T1", 7)], {OPEN, OUTSIDE}, "unfinished"),
        ([("T0", EMISSION), ("T1", True)], {OPEN, OUTSIDE}, "unfinished"),
        ([*POINT, ("T77", "Blue")], {"unknown task"}, "point"),
        ([*POINT, ("T4", "No")], {"answer off the way through the tree"}, "point"),
        ([("T0", "No emission"), *POINT], {"question answered twice, the last counts"}, "point"),
        ([("T0", EMISSION), ("T1", None)], {OPEN, UNANSWERED}, "unfinished"),
        ([("T0", EMISSION), ("T1", [])], {OPEN, UNANSWERED}, "unfinished"),
        ([("T0", EMISSION), ("T1", ["Extended", "Point-like"])], {OPEN, SEVERAL}, "unfinished"),
    ],
)
def test_oddities_are_kept_and_said(read, annotations, remarks, ending):
    export = read([row(annotations=annotations), row(2, user="bob", annotations=annotations)])
    assert set(export.report.remarks) == remarks
    assert set(export.report.remarks.values()) == {2}
    assert endings(export) == [ending] * 2
    assert all(export.report.examples[remark] == ("1001", "1002") for remark in remarks)


BROKEN = ['[{"task": "T0", "val', "", "17", '[{"value": "x"}]', "[" * 100_000]
NOTHING = [[("T0", "9" * 5000)], "[]", [("T1", "Point-like")], [("T55", EMISSION)]]


def test_rows_without_an_answer_are_left_out(read):
    rows = [row(number, annotations=given) for number, given in enumerate([*BROKEN, *NOTHING])]
    export = read([*rows, row(20, user="bob")])
    assert export.report.dropped == {"annotations are not JSON": 5, "no answer in the tree": 4}
    assert export.report.examples["no answer in the tree"] == ("1005", "1006", "1007")
    assert endings(export) == ["point"]


def test_unknown_tasks_and_answers_are_named(read):
    odd = [("T0", EMISSION), ("T1", "![a](b) Fuzzy"), ("T77", "Blue")]
    report = read([row(i, user=f"u{i}", annotations=odd) for i in range(5)]).report
    assert report.unknown_tasks == {"T77": 5}
    assert report.outside == {"T1: Fuzzy": 5}
    table = report.table()
    assert table["rows"][table["which"] == "T77"].tolist() == [5]
    assert table["rows"][table["what"] == "read"].tolist() == [5]


def test_free_text_does_not_fill_the_memory(read):
    rows = [row(i, user=f"u{i}", annotations=[("T0", f"text {i}")]) for i in range(1200)]
    outside = read(rows).report.outside
    assert len(outside) == 1001
    assert outside["others"] == 200


def test_logged_out_volunteers(read):
    rows = [row(1), row(2, user="not-logged-in-4f0a"), row(3, user="bob", user_id=""), row(4, user="")]
    export = read(rows)
    assert export.report.dropped == {"volunteer not logged in": 3}
    kept = read(rows, logged_out=True).answers
    assert kept.logged_in.tolist() == [True, False, False, False]
    nobody = ["", "", "not-logged-in-4f0a", "not-logged-in-4f0a", "ann"]
    again = [row(number, user=user) for number, user in enumerate(nobody)]
    assert len(read([*again, row(9)], logged_out=True).answers) == 5  # who they are is not known: no repeats


def test_repeats_count_once_in_the_order_of_time(read):
    rows = [row(5, annotations=CLUSTER), row(2), row(3, subject="8"), row(4, user="bob")]
    export = read(rows)
    assert export.report.dropped == {"repeated by the same volunteer": 1}
    assert endings(export) == ["point"] * 3
    assert len(read(rows, repeats="all").answers) == 4
    assert endings(read(rows, repeats="none")) == ["point"] * 2
    with pytest.raises(InputError, match="repeats must be one of .*'none'.*, got 'last'"):
        read(rows, repeats="last")


def test_ids_that_are_no_numbers_stand_in_the_order_of_the_file(read):
    rows = [row(1, classification_id="c9", annotations=CLUSTER), row(2, classification_id="c1")]
    assert endings(read(rows)) == ["nearby cluster"]


def test_workflows_are_not_mixed(read):
    rows = [row(1), row(2, user="bob", workflow_id="99", workflow_name="Beta"), row(3, user="cy")]
    with pytest.raises(InputError, match=r"several: 6122 \(The Hunt\), 2 rows; 99 \(Beta\), 1 rows"):
        read(rows)
    with pytest.raises(InputError, match="workflow must be one of those in .* got '5'"):
        read(rows, workflow=5)
    export = read(rows, workflow=99)
    assert export.report.dropped == {"another workflow": 2}
    assert export.answers.users.tolist() == ["bob"]


def test_versions_are_counted_and_chosen(read):
    versions = ["28.30", "28.3", "28.30", "39.61"]
    rows = [row(i, user=f"u{i}", workflow_version=version) for i, version in enumerate(versions)]
    assert read(rows).report.versions == {"28.3": 1, "28.30": 2, "39.61": 1}
    assert len(read(rows, versions=("28",)).answers) == 3
    export = read(rows, versions=("28.30", "39"))
    assert export.report.dropped == {"another version of the workflow": 1}
    with pytest.raises(InputError, match=r"versions must be among .*'39.61': 1.* got \('2',\)"):
        read(rows, versions=("2",))


def test_gold_standard_rows(read):
    rows = [row(1, gold_standard="true"), row(2, user="bob", gold_standard="false"), row(3, user="cy")]
    assert read(rows).report.dropped == {"gold standard": 1}


def test_subjects_take_the_name_of_their_object(read):
    named = {
        key: json.dumps({"7": {key: "X01", "ra": 1}}) for key in ("object_id", "#object_id", "!object_id")
    }
    for data in named.values():
        assert read([row(subject_data=data)]).answers.subjects.tolist() == ["X01"]
    again = row(2, subject="8", subject_data=json.dumps({"8": {"object_id": "X01"}}))
    export = read([row(subject_data=named["object_id"]), again])  # uploaded twice, still one object
    assert export.answers.subjects.tolist() == ["X01"]
    assert export.report.dropped == {"repeated by the same volunteer": 1}
    assert read([row()], object_id="ra").answers.subjects.tolist() == ["1"]


def test_one_object_however_its_name_is_written(read):
    """Blanks around a name and the point of a whole number are none of its letters; zeros in front are."""
    names = ["C1", "C1 ", 12, 12.0, "12", "012", None, ""]
    data = [json.dumps({str(i): {"object_id": name}}) for i, name in enumerate(names)]
    rows = [row(i, user=f"u{i}", subject=str(i), subject_data=text) for i, text in enumerate(data)]
    answers = read(rows).answers
    assert answers.subjects.tolist() == ["C1", "12", "012", "6", "7"]
    assert answers.subject.tolist() == [0, 0, 1, 1, 1, 2, 3, 4]


def test_a_subject_is_not_the_object_that_has_its_number_for_a_name(read):
    data = json.dumps({"1": {"object_id": "2"}})
    rows = [row(1, subject="1", subject_data=data), row(2, subject="2", annotations=CLUSTER)]
    export = read(rows)
    assert export.answers.subjects.tolist() == ["2", "subject 2"]
    assert endings(export) == ["point", "nearby cluster"]
    assert not export.report.dropped


QUESTIONS = ("Is it a cluster?", "Is this just a star?")


@pytest.fixture
def yes_no(tmp_path):
    (tmp_path / "yes.toml").write_text(
        'name = "yes"\ntitle = "Yes"\nclasses = ["no", "yes"]\n[[questions]]\ntask = "T0"\ntext = "?"\n'
        'answers = [{text = "Yes", leaf = "yes", class = "yes"}, {text = "No", leaf = "no", class = "no"}]\n'
    )
    return read_tree(tmp_path / "yes.toml")


def asking(number: int, question: str | None, version: str, value: object = "Yes") -> dict[str, str]:
    annotations = json.dumps([{"task": "T0", "task_label": question, "value": value}])
    return row(number, user=f"u{number}", workflow_version=version, annotations=annotations)


def test_another_question_under_the_same_task_is_refused(read, yes_no):
    rows = [asking(i, QUESTIONS[i % 2], f"{1 + i % 2}.1") for i in range(6)]
    message = (
        r"'T0' must ask one question, got 'Is it a cluster\?' and 'Is this just a star\?'; choose .*'2.1': 3"
    )
    with pytest.raises(InputError, match=message):
        read(rows, tree=yes_no)
    export = read(rows, tree=yes_no, versions=("1",))
    assert export.answers.users.tolist() == ["u0", "u2", "u4"]
    assert len(read(rows, tree=yes_no, reworded=True).answers) == 6
    rows[1::2] = [asking(i, QUESTIONS[1], "2.1", ["Yes"]) for i in (1, 3, 5)]  # a list of one is that value
    with pytest.raises(InputError, match="must ask one question"):
        read(rows, tree=yes_no)


def test_the_same_question_may_be_written_in_many_ways(read, yes_no):
    wordings = [QUESTIONS[0], "is it a  CLUSTER", "![a.png](https://x.org/a) Is it a cluster ?", None, ""]
    assert len(read([asking(i, text, f"{i}.0") for i, text in enumerate(wordings)], tree=yes_no).answers) == 5
    other = asking(9, QUESTIONS[1], "9.0", "Perhaps")  # no answer of the tree, so nothing is pooled
    assert read([asking(1, QUESTIONS[0], "1.0"), other], tree=yes_no).report.kept == 1


@pytest.mark.parametrize("data", ["{broken", "[]", "{}", '{"7": 3}'])
def test_subjects_whose_data_are_broken_keep_their_id(read, data):
    export = read([row(subject_data=data)])
    assert export.answers.subjects.tolist() == ["7"]
    assert export.report.remarks == {"subject_data is not JSON": 1}
    assert read([row(subject_ids=" ")]).report.dropped == {"no subject": 1}


def test_names_that_are_not_utf_8(tmp_path):
    path = write(tmp_path / "e.csv", [row(1, user="José"), row(2, user="Ana")], encoding="latin-1")
    assert read_export(path, "hunt").answers.users.tolist() == ["José", "Ana"]
    path = write(tmp_path / "f.csv", [row(1, user="José"), row(2, user="Łucja")])
    assert read_export(path, "hunt").answers.users.tolist() == ["José", "Łucja"]


def test_broken_lines_spoil_only_themselves(tmp_path):
    path = write(tmp_path / "e.csv", [row(i, user=f"u{i}") for i in range(6)])
    lines = path.read_bytes().split(b"\r\n")
    lines[2] = lines[2].replace(b'"', b"", 1)  # an open quote
    lines[4] = b"17,too,few"
    lines[5] = lines[5][: len(lines[5]) // 2].replace(b'"', b"'")
    path.write_bytes(b"\r\n".join([*lines[:6], b"", *lines[6:]]))
    export = read_export(path, "hunt")
    assert export.report.rows == 6
    assert export.report.dropped == {"row cannot be split into the columns": 3}
    assert export.answers.users.tolist() == ["u0", "u2", "u5"]


def test_a_long_cell_stands_beside_a_broken_line(tmp_path):
    rows = [row(i, user=f"u{i}", metadata="x" * 140_000) for i in range(3)]
    path = write(tmp_path / "e.csv", rows)
    path.write_bytes(path.read_bytes() + b"too,few\r\n")
    export = read_export(path, "hunt")
    assert export.answers.users.tolist() == ["u0", "u1", "u2"]
    assert export.report.dropped == {"row cannot be split into the columns": 1}


def test_compressed_files(tmp_path, monkeypatch):
    """With a byte order mark and without a last line end; damaged; and one that swells."""
    content = write(tmp_path / "e.csv", [row(i, user=f"u{i}") for i in range(50)]).read_bytes()
    path = tmp_path / "e.csv.gz"
    path.write_bytes(gzip.compress(b"\xef\xbb\xbf" + content.removesuffix(b"\r\n")))
    assert len(read_export(path, "hunt").answers) == 50
    whole = gzip.compress(content)
    for damaged in (whole[:-40], b"no gzip", whole[:60] + bytes(200)):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match="e.csv.gz cannot be read to its end"):
            read_export(path, "hunt")
    monkeypatch.setattr("labkit.sources.csvrows._LARGEST", 2**20)
    monkeypatch.setattr("labkit.sources.csvrows._BLOCK", 2**18)
    path.write_bytes(gzip.compress(content + b"\n" * 2**21))
    with pytest.raises(InputError, match="must hold at most 1048576 bytes of text, got more"):
        read_export(path, "hunt")


def test_a_line_without_an_end_is_passed_over(tmp_path, monkeypatch):
    monkeypatch.setattr("labkit.sources.csvrows._LONGEST_LINE", 5000)
    monkeypatch.setattr("labkit.sources.csvrows._BLOCK", 1000)
    path = write(tmp_path / "e.csv", [row(1), row(2, user="long" * 4000), row(3, user="bob")])
    export = read_export(path, "hunt")
    assert export.answers.users.tolist() == ["ann", "bob"]
    assert export.report.dropped == {"row cannot be split into the columns": 1}
    assert export.report.rows == 3


@pytest.mark.parametrize("block_bytes", [300, 1000, 5000, 10**6])
def test_pieces_of_any_size_give_the_same(tmp_path, monkeypatch, block_bytes):
    ways = [CLUSTER, POINT, [("T0", EMISSION)], [("T0", "Blue")]]
    rows = [row(i, user=f"u{i % 5}", subject=str(i % 7), annotations=ways[i % 4]) for i in range(40)]
    path = write(tmp_path / "e.csv", rows)
    whole = read_export(path, "hunt")
    monkeypatch.setattr("labkit.sources.csvrows._BLOCK", block_bytes)
    pieces = read_export(path, "hunt")
    assert whole.report == pieces.report
    for name in ("user", "subject", "ending", "classification", "answer", "order"):
        np.testing.assert_array_equal(getattr(whole.answers, name), getattr(pieces.answers, name))


def test_a_header_without_rows_gives_no_answers(read, tmp_path):
    export = read([])
    assert len(export.answers) == len(consensus(export.answers)) == 0
    with pytest.raises(MissingDataError, match="there is no file"):
        read_export(tmp_path / "none.csv", "hunt")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "e.csv is empty, it has no header; download it again"),
        (b"user_name,annotations\n", "must have the columns .'classification_id', 'workflow_id'"),
        (b"a,b,a\n", "columns of e.csv must differ, got .'a'. more than once"),
        pytest.param(b"," * 3_000_000, r"must differ, got \[''\] more than once$", id="millions of columns"),
        ("a,b\n".encode("utf-16"), "must be CSV text in UTF-8"),
        (b"x" * 140_000 + b",annotations\n", "must begin with a line of column names"),
    ],
)
def test_files_that_are_no_export(tmp_path, content, message):
    (tmp_path / "e.csv").write_bytes(content)
    with pytest.raises((InputError, MissingDataError), match=message):
        read_export(tmp_path / "e.csv", "hunt")


def test_tasks_that_are_no_questions_are_named(read):
    odd = {
        "survey": [{"choice": "LION", "answers": {}}],
        "drawing": [{"tool": 0, "x": 1.5, "y": 2.0}],
        "dropdown": [{"value": "a1b2", "option": True}],
        "unknown": {"rows": 3},
    }
    export = read(
        [row(n, user=kind, annotations=[("T0", value)]) for n, (kind, value) in enumerate(odd.items())]
    )
    assert export.report.dropped == {"no answer in the tree": 4}
    assert export.report.remarks == {f"no question but a task of the type {kind}": 1 for kind in odd}


def test_volunteers_are_known_by_their_id(read):
    rows = [row(1, user="ann"), row(2, user="ann", subject="8"), row(3, user="ann", subject="9")]
    rows[0]["user_id"] = rows[1]["user_id"] = "5"
    rows[1]["user_name"] = "anna"
    rows[2]["user_id"] = "6"
    answers = read([*rows, row(4, user="not-logged-in-1f")], logged_out=True).answers
    assert answers.user.tolist() == [0, 0, 1, 2]
    assert answers.users.tolist() == ["anna", "ann", "not-logged-in-1f"], "the last name is shown"
    rows[2]["user_name"] = "anna"
    assert read(rows).answers.users.tolist() == ["anna (5)", "anna (6)"]


def test_exports_are_merged(tmp_path):
    first = write(tmp_path / "a.csv", [row(1), row(2, user="bob"), row(3, user="cy")])
    second = write(tmp_path / "b.csv", [row(3, user="cy"), row(4, user="dee"), row(2, user="bob")])
    export = read_export([first, second], "hunt")
    assert export.answers.users.tolist() == ["ann", "bob", "cy", "dee"]
    assert (export.report.source, export.report.rows, export.report.kept) == ("a.csv, b.csv", 6, 4)
    assert export.report.dropped == {"classification_id met before": 2}
    assert export.report.examples["classification_id met before"] == ("1003", "1002")
    with pytest.raises(InputError, match="path must name at least one file, got none"):
        read_export([], "hunt")


def test_versions_days_live_rows_and_gold(read):
    rows = [row(n, user=f"u{n}") for n in range(5)]
    for one, version, day in zip(rows, ("3.9", "4.2", "4.10", "12.1", "x"), range(1, 6), strict=True):
        one |= {"workflow_version": version, "created_at": f"2018-11-0{day} 10:41:33 UTC"}
        one["metadata"] = json.dumps({"session": "f", "live_project": day > 2})
    rows[4]["gold_standard"] = "true"

    def kept(**options):
        return read(rows, **options).answers.users.tolist()

    assert kept(min_version="4") == ["u1", "u2", "u3"]
    assert kept(min_version="4.10") == ["u2", "u3"]
    assert kept(since="2018-11-02", until="2018-11-03") == ["u1", "u2"]
    assert kept(until="2018-11-01") == ["u0"]
    assert kept(live=True) == ["u2", "u3"]
    assert kept(gold="only") == ["u4"]
    assert len(kept(gold="keep")) == 5
    rows[0]["created_at"] = "yesterday"
    dropped = read(rows, since="2018-11-04").report.dropped
    assert dropped == {"created_at is no date": 1, "another day": 2, "gold standard": 1}
    for options, message in (
        ({"since": "May"}, "since must be a day such as '2018-10-24', got 'May'"),
        ({"min_version": "new"}, "min_version must be a version such as .*, got 'new'"),
        ({"min_version": "40"}, "versions must be among those in .*; got none from 40 on"),
        ({"gold": "all"}, "gold must be one of .*'only'.*, got 'all'"),
    ):
        with pytest.raises(InputError, match=message):
            read(rows, **options)


def workflows(path: Path) -> Path:
    """A workflow export of a project: two versions of one workflow, and another workflow."""
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["workflow_id", "version", "minor_version", "first_task", "tasks", "strings"])
        for id_, version, minor, word in ((7, 9, 2, "Old"), (7, 10, 1, "New"), (8, 1, 1, "Other")):
            answers = [{"label": "a", "next": "T1"}, {"label": "b"}]
            tasks = {
                "T0": {"type": "single", "question": "q", "answers": answers},
                "T1": {"type": "dropdown"},
            }
            strings = {"q": 'Is it,\n"there"?', "a": word, "b": "No"}
            table.writerow([id_, version, minor, "T0", json.dumps(tasks), json.dumps(strings)])
    return path


def test_a_workflow_of_an_export(tmp_path, zooniverse):
    path = workflows(tmp_path / "w.csv")
    assert tree_from_workflow(read_workflow(path, workflow=7)).classes == ("New", "No"), "the newest"
    assert tree_from_workflow(read_workflow(path, workflow="7", version="9")).classes == ("Old", "No")
    assert read_workflow(path, workflow=8)["tasks"]["T1"]["type"] == "dropdown"
    for options, message in (
        ({}, r"workflow must be one of those in w.csv, \['7', '8'\], got None"),
        ({"workflow": 9}, "workflow must be one of .* got 9"),
        ({"workflow": 7, "version": "11"}, r"version must be one of .*\['9.2', '10.1'\], got '11'"),
    ):
        with pytest.raises(InputError, match=message):
            read_workflow(path, **options)
    (tmp_path / "broken.csv").write_text("workflow_id,version,first_task,tasks,strings\n7,1,T0,{,{}\n")
    with pytest.raises(InputError, match="broken.csv must hold workflows as Zooniverse exports them"):
        read_workflow(tmp_path / "broken.csv")
    assert read_workflow(zooniverse / "decision_tree_workflow.json")["first_task"] == "T0"


DAMAGE = st.binary(min_size=1, max_size=4) | st.sampled_from([b"\r", b"\n", b'"', b",", b"\xff", b'""'])


@settings(max_examples=80, deadline=None)
@given(
    spots=st.lists(st.tuples(st.integers(0, 10**6), DAMAGE), max_size=6),
    n_rows=st.integers(1, 6),
)
def test_damage_never_stops_the_reading(tmp_path_factory, spots, n_rows):
    """Bytes overwritten anywhere behind the first row: each row is kept or counted, and none is an error."""
    rows = [row(i, user=f"u{i}") for i in range(n_rows + 1)]
    path = write(tmp_path_factory.mktemp("damage") / "e.csv", rows)
    data = bytearray(path.read_bytes())
    start = data.index(b"\n", data.index(b"\n") + 1) + 1
    for place, new in spots:
        at = start + place % (len(data) - start)
        data[at : at + len(new)] = new
    path.write_bytes(bytes(data))
    export = read_export(path, "hunt", workflow=6122, logged_out=True, repeats="all")
    assert export.report.rows == export.report.kept + sum(export.report.dropped.values())
    assert export.report.kept >= 1 + n_rows - 2 * len(spots)


def flat(path: Path, text: str) -> Path:
    path.write_text("user_name,logged_in,subject_ids,answer\n" + text)
    return path


def test_flat_answers(tmp_path):
    rows = (
        "a,true,1,Yes!\na,true,1,No.\nb,false,1,No.\nc,true,,No.\nc,true,2,Perhaps\nc,true,2,null\nc,true\n"
    )
    export = read_flat_answers(flat(tmp_path / "f.csv", rows), "presence_absence")
    assert endings(export) == ["yes", "null"]
    assert export.report.rows == 7
    reasons = ("no subject", "no answer in the tree", "row cannot be split into the columns")
    reasons += ("volunteer not logged in", "repeated by the same volunteer")
    assert export.report.dropped == dict.fromkeys(reasons, 1)
    assert export.report.outside == {"T0: Perhaps": 1}
    everyone = read_flat_answers(tmp_path / "f.csv", "presence_absence", logged_in=None, repeats="all")
    assert len(everyone.answers) == 4
    assert endings(read_flat_answers(tmp_path / "f.csv", "presence_absence", repeats="none")) == ["null"]


def test_flat_answers_of_nobody(tmp_path):
    """A name that says so is not logged in; who has no name repeats nobody."""
    rows = "not-logged-in-4f0a,true,1,Yes!\n,true,1,Yes!\n , true,1,No.\na,true,1,Yes!\na,TRUE,1,Yes!\n"
    path = flat(tmp_path / "f.csv", rows)
    for logged_in in ("logged_in", None):
        options = {"tree": "presence_absence", "logged_in": logged_in}
        report = read_flat_answers(path, **options).report
        assert report.dropped == {"volunteer not logged in": 3, "repeated by the same volunteer": 1}
        everyone = read_flat_answers(path, **options, logged_out=True)
        assert endings(everyone) == ["yes", "yes", "no", "yes"]
        assert everyone.answers.users.tolist() == ["not-logged-in-4f0a", "", "a"]


def test_flat_answers_need_one_question(tmp_path):
    path = flat(tmp_path / "f.csv", "")
    with pytest.raises(InputError, match="one question for a flat table, 'hunt' has 6"):
        read_flat_answers(path, "hunt")
    with pytest.raises(MissingDataError, match="must have the columns .'volunteer'."):
        read_flat_answers(path, "presence_absence", user="volunteer")
    with pytest.raises(InputError, match="repeats must be one of .*'none'.*, got ''"):
        read_flat_answers(path, "presence_absence", repeats="")
    assert len(read_flat_answers(path, "presence_absence").answers) == 0


@pytest.fixture
def zooniverse(real) -> Path:
    return real / "zooniverse"


def test_real_export_is_read_to_the_last_row(zooniverse):
    workflow = json.loads((zooniverse / "decision_tree_workflow.json").read_text())
    ends = {"smooth": "smooth", "features or disk": "featured", "star or artefact": "artefact"}
    tree = tree_from_workflow(workflow, {"T0": ends})
    export = read_export(zooniverse / "decision_tree_export.csv", tree)
    assert export.report.rows == export.report.kept == len(export.answers.subjects) == 9
    assert Counter(endings(export)) == {"T0: Features or Disk": 5, "T0: Smooth": 3, "T0: Star or Artefact": 1}
    assert list(export.report.versions) == ["28.30", "39.61", "44.73", "46.73", "46.77", "55.121"]


def test_real_export_says_which_answers_an_older_workflow_gave(zooniverse):
    """The workflow's file is of version 28.30; later versions reworded answers and let some open."""
    workflow = json.loads((zooniverse / "decision_tree_workflow.json").read_text())
    merging = dict.fromkeys(("merging", "tidal debris", "both"), "merging") | {"neither": "calm"}
    tree = tree_from_workflow(workflow, {"T0": {"star or artefact": "artefact"}, "T11": merging})
    path = zooniverse / "decision_tree_export.csv"
    with pytest.raises(
        InputError, match="task 'T11' must ask one question, got .* or is there .* and .*merging\\?"
    ):
        read_export(path, tree)
    report = read_export(path, tree, reworded=True).report
    assert report.outside == {"T11: Neither (No Merger & No Tidal Debris)": 2, "T2: No - Something Else": 1}
    assert report.remarks["tree not finished"] == 4
    assert report.remarks["question left without an answer"] == 1
    early = read_export(path, tree, versions=("28", "39"))
    assert "tree not finished" not in early.report.remarks
    assert early.report.dropped == {"another version of the workflow": 5}
    assert len(early.answers) == 4


def test_real_counts_equal_the_published_ones(zooniverse):
    """The columns frac_* hold counts; the project's verdict calls a single yes a yes and is not compared."""
    path = zooniverse / "presence_absence_answers.csv"
    export = read_flat_answers(path, "presence_absence", logged_out=True, repeats="all")
    assert export.report.rows == export.report.kept == 7568
    table = consensus(export.answers, method="majority")
    published = Table.read(zooniverse / "presence_absence_consensus.csv", format="ascii.csv", comment="%")
    published.rename_column(published.colnames[0], "subject")
    counts = {str(r["subject"]): (r["frac_yes"], r["frac_no"], r["frac_null"]) for r in published}
    assert len(counts) == len(table) == 100
    for subject in table:
        votes = (subject["votes_yes"], subject["votes_no"], subject["votes_null"])
        assert votes == counts[subject["object_id"]]


def test_real_answers_after_the_cleaning(zooniverse):
    path = zooniverse / "presence_absence_answers.csv"
    cleaned = read_flat_answers(path, "presence_absence")
    assert cleaned.report.dropped == {
        "volunteer not logged in": 2853,
        "repeated by the same volunteer": 1564,
    }
    everyone = read_flat_answers(path, "presence_absence", logged_out=True, repeats="all").answers
    steps = cleaning_steps(everyone)
    assert steps["n_all"].sum() == 7568
    assert steps["n_logged_in"].sum() == 4715
    assert steps["n_first"].sum() == steps["n_weighted"].sum() == cleaned.report.kept == 3151
    assert (steps["n_first"] > 0).all()
    shift = np.abs(steps["soft_weighted"] - steps["soft_all"])
    assert 0.01 < shift.max() < 0.5  # fractions move; on these easy subjects no majority turns
    assert (steps["changed"] == "").all()
