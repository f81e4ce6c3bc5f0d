"""Downloads: cached, checked, continued after a break, and clear when nothing can be had."""

from __future__ import annotations

import logging
import socket

import numpy as np
import pytest

from labkit.errors import InputError, MissingDataError
from labkit.sources.download import check_sum, default_cache, download, parse_checksum, zenodo_entry

CONTENT = np.random.default_rng(1).bytes(1_000_000)
KEPT = len(CONTENT) // 2  # all that arrived before the break


@pytest.fixture(autouse=True)
def _offer(server):
    server.offer(CONTENT)


def _asked_for_file(server):
    return [span for path, span in server.asked if path.endswith(".zip")]


def test_checksum_is_looked_up_and_kept_beside_the_file(server, tmp_path):
    path, checksum = download(server.url, cache=tmp_path)
    assert path.read_bytes() == CONTENT
    assert checksum == server.checksum
    assert sorted(file.name for file in tmp_path.iterdir()) == ["Kosiba2020.zip", "Kosiba2020.zip.checksum"]


@pytest.mark.parametrize(("kept", "ranges"), [(b"x" * 10, False), (CONTENT, True)])
def test_all_again_without_ranges_and_nothing_where_all_is_there(server, tmp_path, kept, ranges):
    server.ranges = ranges
    (tmp_path / "Kosiba2020.zip.partial").write_bytes(kept)
    assert download(server.url, cache=tmp_path)[0].read_bytes() == CONTENT


def test_a_cached_file_needs_no_server_and_a_damaged_one_is_replaced(server, tmp_path):
    path, _ = download(server.url, cache=tmp_path)
    server.asked.clear()
    assert download(server.url, cache=tmp_path)[0].read_bytes() == CONTENT
    assert server.asked == []
    path.write_bytes(CONTENT[:-1])
    assert download(server.url, cache=tmp_path)[0].read_bytes() == CONTENT


def test_broken_transfer_continues_by_itself(server, tmp_path, caplog):
    server.breaks = 1
    with caplog.at_level(logging.WARNING, "labkit.sources.download"):
        path, _ = download(server.url, cache=tmp_path)
    assert path.read_bytes() == CONTENT
    assert _asked_for_file(server) == ["", f"bytes={KEPT}-"]
    assert "attempt 2 of 3" in caplog.text


def test_next_call_continues_what_the_last_one_left(server, tmp_path):
    server.breaks = 1
    with pytest.raises(MissingDataError, match=f"{KEPT} bytes are kept .* the next call resumes"):
        download(server.url, cache=tmp_path, attempts=1)
    assert (tmp_path / "Kosiba2020.zip.partial").stat().st_size == KEPT
    assert not (tmp_path / "Kosiba2020.zip").exists()
    done = []
    path, _ = download(server.url, cache=tmp_path, attempts=1, progress=lambda *step: done.append(step))
    assert path.read_bytes() == CONTENT
    assert _asked_for_file(server)[-1] == f"bytes={KEPT}-"
    assert done[-1] == (len(CONTENT), len(CONTENT))
    assert done[0][0] > KEPT


def test_more_bytes_than_the_file_has_start_over(server, tmp_path):
    (tmp_path / "Kosiba2020.zip.partial").write_bytes(CONTENT + b"more")
    assert download(server.url, cache=tmp_path)[0].read_bytes() == CONTENT
    assert _asked_for_file(server) == [f"bytes={len(CONTENT) + 4}-", ""]


def test_wrong_checksum_keeps_nothing(server, tmp_path):
    with pytest.raises(InputError, match="must have the checksum md5:0{32}; it was not kept"):
        download(server.url, cache=tmp_path, checksum="md5:" + "0" * 32)
    assert list(tmp_path.iterdir()) == []


def test_bytes_of_another_version_are_noticed(server, tmp_path):
    (tmp_path / "Kosiba2020.zip.partial").write_bytes(b"x" * 500_000)
    with pytest.raises(InputError, match="must have the checksum"):
        download(server.url, cache=tmp_path)
    assert download(server.url, cache=tmp_path)[0].read_bytes() == CONTENT


def test_an_answer_without_a_length_is_whole_only_by_the_record(server, tmp_path):
    server.length, server.breaks = False, 1  # the half looks like a whole answer
    path, _ = download(server.url, cache=tmp_path)
    assert path.read_bytes() == CONTENT
    assert _asked_for_file(server) == ["", f"bytes={KEPT}-"]


def test_another_length_than_the_records(server, tmp_path):
    server.size = len(CONTENT) + 1
    with pytest.raises(InputError, match="must have the 1000001 bytes of its record, got 1000000"):
        download(server.url, cache=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("length", [True, False])
def test_too_many_bytes_are_given_up(server, tmp_path, length):
    server.length = length
    with pytest.raises(InputError, match="must have at most 300000 bytes, got more"):
        download(server.url, cache=tmp_path, largest=300_000)
    assert list(tmp_path.iterdir()) == []
    assert len(_asked_for_file(server)) == 1


ADDRESS, NO_FILE = "http://127.0.0.1:9/", "url must end in the name of a file"


@pytest.mark.parametrize(
    ("url", "options", "message"),
    [
        (ADDRESS, {}, NO_FILE),
        (f"{ADDRESS}a/..", {}, NO_FILE),
        (f"{ADDRESS}a%2Fb", {}, NO_FILE),
        (f"{ADDRESS}a.zip", {"attempts": 0}, "attempts must be at least 1, got 0"),
        *(
            (f"{ADDRESS}a.zip", {"checksum": checksum}, "checksum must look like")
            for checksum in ("", "abc", "md5:xyz", "crc32:" + "0" * 32)
        ),
    ],
)
def test_arguments_are_checked_before_the_network(tmp_path, url, options, message):
    with pytest.raises(InputError, match=message):
        download(url, cache=tmp_path, **{"checksum": "md5:" + "0" * 32} | options)
    assert parse_checksum("md5:" + "AB" * 16) == ("md5", "ab" * 16)


def test_missing_file(server, tmp_path):
    with pytest.raises(MissingDataError, match="404.*give its path"):
        download(server.address + "/records/1/files/none.zip", cache=tmp_path)


def test_offline(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}/records/1/files/a.zip"
    with pytest.raises(
        MissingDataError, match=f"127.0.0.1:{port}.*Without a network, fetch the file elsewhere"
    ):
        download(url, cache=tmp_path)


def test_cache_that_is_a_file(server, tmp_path):
    (tmp_path / "cache").write_text("")
    with pytest.raises(InputError, match="cache must be a folder with room"):
        download(server.url, cache=tmp_path / "cache")


def test_check_sum_of_an_own_file(tmp_path, server):
    (tmp_path / "a").write_bytes(CONTENT)
    check_sum(tmp_path / "a", server.checksum)
    with pytest.raises(InputError, match=f"must have the checksum md5:0+, got {server.checksum}"):
        check_sum(tmp_path / "a", "md5:" + "0" * 32)
    with pytest.raises(MissingDataError, match="path must be a file"):
        check_sum(tmp_path / "none", server.checksum)


def test_checksum_needs_the_address_of_a_record(server):
    with pytest.raises(InputError, match="url must look like .*give checksum="):
        zenodo_entry(server.address + "/some/file.zip")


def test_record_that_does_not_list_the_file(server):
    with pytest.raises(InputError, match=r"must list 'other.zip' with its checksum"):
        zenodo_entry(server.address + "/records/7236582/files/other.zip")
    server.checksum = "crc32:1"
    with pytest.raises(InputError, match=r"must list 'Kosiba2020.zip' with its checksum"):
        zenodo_entry(server.url)


def test_cache_folder_can_be_chosen(monkeypatch, tmp_path):
    monkeypatch.setenv("LABKIT_CACHE", str(tmp_path))
    assert default_cache() == tmp_path
