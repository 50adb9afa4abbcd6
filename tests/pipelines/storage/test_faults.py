"""What a network and a busy store do to a run's files: stated behaviour for each fault, on a real S3 server."""

from __future__ import annotations

import hashlib
import logging
import os
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from pipelines import storage
from pipelines.storage import retry
from pipelines.storage.errors import Truncated
from tests.pipelines.storage.s3_server import Proxy

TABLE = pa.table({"id": [str(n) for n in range(5_000)]})


def test_a_store_that_refuses_a_tenth_of_the_calls_loses_nothing(s3: Path, faulty: Proxy) -> None:
    faulty.faults.busy = 0.1
    entries = [storage.write_parquet(s3 / "run" / "ledger" / f"part-{n:05d}.parquet", TABLE) for n in range(20)]
    for n in range(20):
        storage.write_json(s3 / "run" / "_tasks" / f"{n}.json", entries[n].model_dump())
    for n in range(20):
        entry = storage.FileEntry.model_validate(storage.read_json(s3 / "run" / "_tasks" / f"{n}.json"))
        path = s3 / "run" / entry.path
        assert storage.size(path) == entry.bytes
        assert storage.sha256(path) == entry.sha256
    refused = sum(count for (_, status), count in faulty.faults.seen.items() if status == 503)
    assert 0.05 < refused / faulty.faults.seen.total() < 0.15


@pytest.mark.parametrize("fault", ["truncate", "corrupt", "lose"])
def test_an_upload_that_arrives_wrong_is_sent_again(
    s3: Path, faulty: Proxy, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    setattr(faulty.faults, fault, 2)
    with caplog.at_level(logging.DEBUG, "pipelines.storage"):
        entry = storage.write_parquet(s3 / "documents" / "part-00000.parquet", TABLE)
    assert storage.sha256(s3 / entry.path) == entry.sha256
    assert sum(asked.startswith("PUT") for asked in faulty.faults.asked) == 3
    tries = [record.message for record in caplog.records if "writing failed" in record.message]
    assert len(tries) == 2 or (fault == "lose" and tries)  # the HTTP client itself sends once more
    assert all("documents/part-00000.parquet" in message for message in tries)


def test_a_part_of_a_large_upload_that_arrives_wrong_is_sent_again_alone(
    s3: Path, faulty: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("pipelines.storage.s3", "pipelines.storage.remote"):
        monkeypatch.setattr(sys.modules[module], "PIECE", 5 << 20)
    data = os.urandom(13 << 20)
    (tmp_path / "large").write_bytes(data)
    faulty.faults.corrupt = 1
    storage.publish(tmp_path / "large", s3 / "large")
    assert sum(asked.startswith("PUT") for asked in faulty.faults.asked) == 4
    faulty.faults.cut = 1
    storage.publish(s3 / "large", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == data
    assert sum(asked.startswith("GET") for asked in faulty.faults.asked) == 4


def test_a_connection_cut_during_a_read_is_read_again(s3: Path, faulty: Proxy) -> None:
    entry = storage.write_parquet(s3 / "documents" / "part-00000.parquet", TABLE)
    faulty.faults.cut = 3
    assert storage.read_table(s3 / entry.path) == TABLE
    faulty.faults.cut = 3
    assert hashlib.sha256(storage.read_bytes(s3 / entry.path)).hexdigest() == entry.sha256
    assert faulty.faults.cut == 0


def test_nothing_is_decided_by_a_listing(s3: Path, faulty: Proxy, tmp_path: Path) -> None:
    faulty.faults.blind_lists = True
    folder = s3 / "steps" / "03-dedup"
    assert not storage.exists(folder / "_manifest.json")
    entry = storage.write_parquet(folder / "documents" / "part-00000.parquet", TABLE)
    storage.write_json(folder / "_manifest.json", {"outputs": [entry.model_dump()]})
    storage.publish(folder / entry.path, s3 / "mixture" / "part-00000.parquet")
    (tmp_path / "index").mkdir()
    (tmp_path / "index" / "a").write_bytes(b"a")
    storage.publish_folder(tmp_path / "index", folder / "index")
    assert storage.exists(folder / "_manifest.json")
    assert storage.size(folder / entry.path) == entry.bytes
    assert storage.read_table(s3 / "mixture" / "part-00000.parquet") == TABLE
    with storage.local_copy(folder / "index") as copy:
        assert (copy / "a").read_bytes() == b"a"
    with storage.lock(folder, "pomona build"):
        pass
    storage.check_writable(folder)
    assert not any("list-type" in asked for asked in faulty.faults.asked)
    # Removing has to list; but without its manifest a folder is not there for a reader, whatever else stays.
    storage.remove(folder)
    assert not storage.exists(folder / "_manifest.json")


def test_a_store_that_stays_busy_is_given_up_with_url_operation_tries_and_error(s3: Path, faulty: Proxy) -> None:
    faulty.faults.busy = 1.0
    with pytest.raises(
        storage.StorageError,
        match=rf"^{s3}/?run\.json: reading failed after 8 tries \(.*503 SlowDown.*\); check the store and AWS_ENDPOINT",
    ):
        storage.read_json(s3 / "run.json")
    assert faulty.faults.seen == {("GET", 503): 8}


@pytest.mark.parametrize("status", [400, 403, 404])
def test_what_will_not_pass_is_not_tried_again(s3: Path, faulty: Proxy, status: int) -> None:
    faulty.faults.statuses = [status] * 20
    with pytest.raises((storage.StorageError, FileNotFoundError)) as caught:
        storage.read_bytes(s3 / "run.json")
    assert faulty.faults.seen.total() == 1
    assert "run.json" in str(caught.value)
    if status == 403:
        assert "after 1 try" in str(caught.value)
        assert "credentials" in str(caught.value)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again(s3: Path, faulty: Proxy, status: int) -> None:
    storage.write_bytes(s3 / "a", b"text")
    faulty.faults.statuses = [status] * 3
    assert storage.read_bytes(s3 / "a") == b"text"
    faulty.faults.statuses = [status] * 3
    storage.write_bytes(s3 / "a", b"more")
    assert storage.read_bytes(s3 / "a") == b"more"


def test_an_endpoint_that_is_not_there_is_tried_for_a_bounded_time(
    s3: Path, monkeypatch: pytest.MonkeyPatch, unused_port: int
) -> None:
    monkeypatch.setattr(retry, "POLICY", retry.Policy(tries=3, first=0.001, most=0.01))
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{unused_port}")
    with pytest.raises(
        storage.StorageError, match=r"after 3 tries .*AWS_ENDPOINT_URL, then run the same command again"
    ):
        storage.write_bytes(s3 / "a", b"x")


def test_a_clock_that_is_wrong_is_named() -> None:
    from botocore.exceptions import ClientError

    def skewed() -> None:
        found = {"Error": {"Code": "RequestTimeTooSkewed"}, "ResponseMetadata": {"HTTPStatusCode": 403}}
        raise ClientError(found, "PutObject")  # pyright: ignore[reportArgumentType]

    with pytest.raises(storage.StorageError, match=r"after 1 try .*RequestTimeTooSkewed.*: set this machine's"):
        retry.retried("writing", "s3://b/a", skewed)


def test_a_missing_bucket_is_named(s3_environment: None) -> None:
    with pytest.raises(storage.StorageError, match="the bucket 'no-such-bucket' does not exist"):
        storage.write_bytes(storage.at("s3://no-such-bucket/run/a"), b"x")
    with pytest.raises(storage.NotWritable, match=r"cannot write there \(.*no-such-bucket.* nothing was started"):
        storage.check_writable(storage.at("s3://no-such-bucket/run"))


def test_missing_credentials_are_named(s3: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ENDPOINT_URL", os.environ["AWS_ENDPOINT_URL"] + "/")  # another connection
    with pytest.raises(storage.StorageError, match="set AWS_ACCESS_KEY_ID"):
        storage.write_bytes(s3 / "a", b"x")


def test_secrets_are_neither_logged_nor_told(s3: Path, faulty: Proxy, caplog: pytest.LogCaptureFixture) -> None:
    faulty.faults.statuses = [503, 503, 403]
    with caplog.at_level(logging.DEBUG, "pipelines"), pytest.raises(storage.StorageError) as caught:
        storage.write_bytes(s3 / "a", b"x")
    assert len(caplog.records) == 2
    said = caplog.text + str(caught.value) + repr(s3) + repr(caught.value.__cause__)
    assert os.environ["AWS_SECRET_ACCESS_KEY"] not in said
    told = storage.shown("https://user:word@host/a?X-Amz-Signature=abc&X-Amz-Credential=def&part=1 failed")
    assert told == "https://host/a?X-Amz-Signature=…&X-Amz-Credential=…&part=1 failed"


def test_waits_grow_with_full_jitter_and_stop_at_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr("tenacity.nap.time.sleep", waits.append)
    policy = retry.Policy(tries=12, first=0.5, most=8.0)
    for _ in range(200):

        def fail() -> None:
            raise Truncated("again")

        with pytest.raises(storage.StorageError, match="after 12 tries"):
            retry.retried("writing", "s3://b/a", fail, policy)
    rounds = [waits[at : at + 11] for at in range(0, len(waits), 11)]
    limits = [min(8.0, 0.5 * 2**n) for n in range(11)]
    for limit, column in zip(limits, zip(*rounds, strict=True), strict=True):
        assert max(column) <= limit
        assert min(column) < 0.1 * limit  # from nothing on, so that clients part
        assert max(column) > 0.9 * limit
