"""Downloads: cached, checked, continued after a break, and clear when nothing can be had."""

import logging
import socket

import numpy as np
import pytest

from labkit.errors import InputError, MissingDataError
from labkit.sources.download import default_cache, download, parse_checksum, zenodo_entry

CONTENT = np.random.default_rng(1).bytes(1_000_000)
KEPT = len(CONTENT) // 2  # all that arrived before the break
ZEROS = "md5:" + "0" * 32


@pytest.fixture(autouse=True)
def _offer(server):
    server.offer(CONTENT)


@pytest.fixture
def fetch(server, tmp_path):
    """Download what the server offers, and see that it is whole."""

    def run(**options):
        path, checksum = download(server.url, cache=tmp_path, **options)
        assert path.read_bytes() == CONTENT
        assert checksum == server.checksum
        return path

    return run


def _asked_for_file(server):
    return [span for path, span in server.asked if path.endswith(".zip")]


def test_a_cached_file_needs_no_server_and_a_damaged_one_is_replaced(server, tmp_path, fetch, monkeypatch):
    path = fetch()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["Kosiba2020.zip", "Kosiba2020.zip.checksum"]
    server.asked.clear()
    fetch()
    assert server.asked == []
    path.write_bytes(CONTENT[:-1])
    fetch()
    monkeypatch.setenv("LABKIT_CACHE", str(tmp_path))
    assert default_cache() == tmp_path


@pytest.mark.parametrize(
    ("kept", "ranges", "asked"),
    [
        (b"x" * 10, False, ["bytes=10-"]),
        (CONTENT, True, [f"bytes={len(CONTENT)}-"]),
        (CONTENT + b"more", True, [f"bytes={len(CONTENT) + 4}-", ""]),
    ],
    ids=["all again without ranges", "nothing where all is there", "too many bytes start over"],
)
def test_what_was_kept_of_a_transfer(server, tmp_path, fetch, kept, ranges, asked):
    server.ranges = ranges
    (tmp_path / "Kosiba2020.zip.partial").write_bytes(kept)
    fetch()
    assert _asked_for_file(server) == asked


@pytest.mark.parametrize("length", [True, False])
def test_a_broken_transfer_continues_by_itself(server, fetch, caplog, length):
    server.length, server.breaks = length, 1  # without a length, the half looks like a whole answer
    with caplog.at_level(logging.WARNING, "labkit.sources.download"):
        fetch()
    assert _asked_for_file(server) == ["", f"bytes={KEPT}-"]
    assert "attempt 2 of 3" in caplog.text


def test_next_call_continues_what_the_last_one_left(server, tmp_path, fetch, monkeypatch):
    monkeypatch.setattr("labkit.sources.download._ATTEMPTS", 1)
    server.breaks = 1
    with pytest.raises(MissingDataError, match=f"{KEPT} bytes are kept .* the next call resumes"):
        fetch()
    assert (tmp_path / "Kosiba2020.zip.partial").stat().st_size == KEPT
    assert not (tmp_path / "Kosiba2020.zip").exists()
    done = []
    fetch(progress=lambda *step: done.append(step))
    assert _asked_for_file(server)[-1] == f"bytes={KEPT}-"
    assert done[-1] == (len(CONTENT), len(CONTENT))
    assert done[0][0] > KEPT


def test_bytes_that_are_not_the_files_are_noticed_and_not_kept(server, tmp_path, fetch, monkeypatch):
    with pytest.raises(InputError, match="must have the checksum md5:0{32}; it was not kept"):
        fetch(checksum=ZEROS)
    server.size = len(CONTENT) + 1
    with pytest.raises(InputError, match="must have the 1000001 bytes of its record, got 1000000"):
        fetch()
    server.size = None
    (tmp_path / "Kosiba2020.zip.partial").write_bytes(b"x" * 500_000)  # of another version
    with pytest.raises(InputError, match="must have the checksum"):
        fetch()
    monkeypatch.setattr("labkit.sources.download._LARGEST", 300_000)
    for server.length in (True, False):
        server.asked.clear()
        with pytest.raises(InputError, match="must have at most 300000 bytes, got more"):
            fetch()
        assert len(_asked_for_file(server)) == 1
    assert list(tmp_path.iterdir()) == []


ADDRESS, NO_FILE, RECORD = (
    "http://127.0.0.1:9/",
    "url must end in the name of a file",
    "/records/7236582/files/",
)


@pytest.mark.parametrize(
    ("url", "options", "message"),
    [
        (ADDRESS, {}, NO_FILE),
        (f"{ADDRESS}a/..", {}, NO_FILE),
        (f"{ADDRESS}a%2Fb", {}, NO_FILE),
        *(
            (f"{ADDRESS}a.zip", {"checksum": checksum}, "checksum must look like")
            for checksum in ("", "abc", "md5:xyz", "crc32:" + "0" * 32)
        ),
    ],
)
def test_arguments_are_checked_before_the_network(tmp_path, url, options, message):
    with pytest.raises(InputError, match=message):
        download(url, cache=tmp_path, **{"checksum": ZEROS} | options)
    assert parse_checksum("md5:" + "AB" * 16) == ("md5", "ab" * 16)


def test_what_cannot_be_had_is_said(server, tmp_path):
    with pytest.raises(MissingDataError, match="404.*give its path"):
        download(server.address + "/records/1/files/none.zip", cache=tmp_path)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    message = f"127.0.0.1:{port}.*Without a network, fetch the file elsewhere"
    with pytest.raises(MissingDataError, match=message):
        download(f"http://127.0.0.1:{port}/records/1/files/a.zip", cache=tmp_path)
    (tmp_path / "cache").write_text("")
    with pytest.raises(InputError, match="cache must be a folder with room"):
        download(server.url, cache=tmp_path / "cache")


def test_a_record_that_does_not_give_a_checksum(server):
    with pytest.raises(InputError, match="url must look like .*give checksum="):
        zenodo_entry(server.address + "/some/file.zip")
    with pytest.raises(InputError, match=r"must list 'other.zip' with its checksum"):
        zenodo_entry(server.address + RECORD + "other.zip")
    server.checksum = "crc32:1"
    with pytest.raises(InputError, match=r"must list 'Kosiba2020.zip' with its checksum"):
        zenodo_entry(server.url)
