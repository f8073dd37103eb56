"""coturn's table of accepted keys: an SQLite file that both write to at the same time.

coturn looks a key up for each new allocation and sees a change at once. It sets no busy timeout, so a lock
held by a writer would turn clients away; in WAL mode a reader never waits.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

BUSY_SECONDS = 5.0

# coturn reads all of these, the unused ones as well, and logs an error where one is missing.
SCHEMA = """
CREATE TABLE turnusers_lt (
    realm VARCHAR(127) DEFAULT '', name VARCHAR(512), hmackey CHAR(128), PRIMARY KEY (realm, name));
CREATE TABLE turn_secret (
    realm VARCHAR(127) DEFAULT '', value VARCHAR(256), PRIMARY KEY (realm, value));
CREATE TABLE allowed_peer_ip (
    realm VARCHAR(127) DEFAULT '', ip_range VARCHAR(256), PRIMARY KEY (realm, ip_range));
CREATE TABLE denied_peer_ip (
    realm VARCHAR(127) DEFAULT '', ip_range VARCHAR(256), PRIMARY KEY (realm, ip_range));
CREATE TABLE turn_origin_to_realm (origin VARCHAR(127), realm VARCHAR(127), PRIMARY KEY (origin));
CREATE TABLE turn_realm_option (
    realm VARCHAR(127) DEFAULT '', opt VARCHAR(32), value VARCHAR(128), PRIMARY KEY (realm, opt));
CREATE TABLE oauth_key (
    kid VARCHAR(128), ikm_key VARCHAR(256), timestamp BIGINT DEFAULT 0, lifetime INTEGER DEFAULT 0,
    as_rs_alg VARCHAR(64) DEFAULT '', realm VARCHAR(127), PRIMARY KEY (kid));
CREATE TABLE admin_user (name VARCHAR(32), realm VARCHAR(127), password VARCHAR(127), PRIMARY KEY (name));
"""


class KeyTable:
    """The ``turn_secret`` table of one realm. The file must belong to the user that coturn runs as."""

    def __init__(self, path: Path, realm: str) -> None:
        self.path = path
        self._realm = realm

    def create(self) -> None:
        """Start from an empty table: keys of an earlier run must not be accepted again.

        Raises:
            OSError, sqlite3.Error: the directory can't be written.
        """
        for suffix in ("", "-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        self.path.touch(mode=0o600)
        with closing(self._connect()) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.executescript(SCHEMA)

    def replace(self, secrets: Iterable[str]) -> None:
        """Accept exactly ``secrets`` from the next request on; none turns away all new allocations.

        Raises:
            sqlite3.Error: the table could not be written, and is as it was.
        """
        with closing(self._connect()) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("DELETE FROM turn_secret")
            connection.executemany(
                "INSERT INTO turn_secret (realm, value) VALUES (?, ?)",
                # Two key ids may stand for one secret; the table can't hold it twice.
                [(self._realm, secret) for secret in dict.fromkeys(secrets)],
            )
            connection.execute("COMMIT")

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None)
