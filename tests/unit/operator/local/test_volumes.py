"""Volumes as directories."""

from __future__ import annotations

import base64
import stat
from pathlib import Path
from typing import Any

import pytest
from callcluster_operator.local.volumes import NotReadyError, UnsupportedError, files_of, project
from callcluster_operator.objects import SECRET, Kind, Object

POD: Object = {"metadata": {"name": "app-1", "annotations": {"b": "2", "a": "1"}}, "spec": {}}


def lookup(kind: Kind, name: str) -> Object | None:
    values = {"keys.json": b"{}", "other": b"\x00\xff"}
    if (kind, name) == (SECRET, "keys"):
        data = {key: base64.b64encode(value).decode() for key, value in values.items()}
        return {"kind": "Secret", "data": data}
    if name == "config":
        return {"kind": "ConfigMap", "data": {"a.json": "[]"}, "binaryData": {"b": "AP8="}}
    return None


@pytest.mark.parametrize(
    ("volume", "files"),
    [
        ({"secret": {"secretName": "keys"}}, {"keys.json": b"{}", "other": b"\x00\xff"}),
        (
            {"secret": {"secretName": "keys", "items": [{"key": "keys.json", "path": "in/k"}]}},
            {"in/k": b"{}"},
        ),
        ({"secret": {"secretName": "absent", "optional": True}}, {}),
        ({"configMap": {"name": "config"}}, {"a.json": b"[]", "b": b"\x00\xff"}),
        (
            {"downwardAPI": {"items": [{"path": "a", "fieldRef": {"fieldPath": "metadata.annotations"}}]}},
            {"a": b'a="1"\nb="2"'},
        ),
        (
            {
                "projected": {
                    "sources": [
                        {"serviceAccountToken": {"path": "token"}},
                        {"secret": {"name": "keys", "items": [{"key": "other", "path": "o"}]}},
                        {"configMap": {"name": "config"}},
                    ]
                }
            },
            {"o": b"\x00\xff", "a.json": b"[]", "b": b"\x00\xff"},
        ),
    ],
)
def test_a_volume_has_the_files_that_its_source_has(
    volume: dict[str, Any], files: dict[str, bytes]
) -> None:
    assert files_of({"name": "v", **volume}, POD, lookup) == files


def test_a_secret_that_is_missing_is_waited_for() -> None:
    with pytest.raises(NotReadyError, match="waits for Secret absent"):
        files_of({"name": "v", "secret": {"secretName": "absent"}}, POD, lookup)


def test_a_volume_that_only_a_cluster_has_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedError, match="volume disk"):
        files_of({"name": "disk", "persistentVolumeClaim": {"claimName": "x"}}, POD, lookup)


def test_projected_files_are_for_this_user_alone_and_old_ones_go(tmp_path: Path) -> None:
    place = tmp_path / "v"
    project(place, {"a": b"1", "in/b": b"2"})
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert stat.S_IMODE((place / "in" / "b").stat().st_mode) == 0o600
    project(place, {"a": b"3"})
    assert (place / "a").read_bytes() == b"3"
    assert not (place / "in" / "b").exists()


def test_an_unchanged_file_is_not_written_again(tmp_path: Path) -> None:
    project(tmp_path, {"a": b"1"})
    inode = (tmp_path / "a").stat().st_ino
    project(tmp_path, {"a": b"1"})
    assert (tmp_path / "a").stat().st_ino == inode


def test_a_changed_file_is_swapped_so_that_no_reader_sees_half_of_it(tmp_path: Path) -> None:
    project(tmp_path, {"a": b"old" * 1000})
    with (tmp_path / "a").open("rb") as reader:
        first = reader.read(3)
        project(tmp_path, {"a": b"new" * 1000})
        assert first + reader.read() == b"old" * 1000
    assert (tmp_path / "a").read_bytes() == b"new" * 1000


@pytest.mark.parametrize("path", ["../out", "/etc/out", "in/../../out"])
def test_a_path_that_leads_out_of_the_volume_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(UnsupportedError, match="leads out"):
        project(tmp_path / "v", {path: b"x"})
    assert not (tmp_path / "out").exists()
