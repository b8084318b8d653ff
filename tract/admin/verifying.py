"""`verify`: whether a store is what its log says.

Reads only, in one snapshot, a row at a time. Imports `log`, `projections` and
the other modules of `admin`.
"""

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from os import PathLike
from threading import Event

from tract.admin.checking import LogCheck, check_blobs
from tract.admin.findings import Findings
from tract.admin.replaying import Replay, compare, declarations, replay_beside
from tract.admin.results import Verification
from tract.admin.snapshots import Snapshot, read_snapshot
from tract.admin.threads import on_thread
from tract.errors import CorruptLogError
from tract.log.sqlite_errors import DATABASE_ERRORS
from tract.log.sqlite_files import LOG_TABLES, SCHEMA


async def verify(path: str | PathLike[str]) -> Verification:
    """Check that a store is what its log says, and name what is not.

    That is: SQLite finds the file sound; the positions, versions and digests
    of the log are without a gap; every event can be read; the blobs and
    commits that it names are there; each blob is what its id says, or was
    collected or erased; and every row of the projections is what a replay of
    the log makes of it.

    Reads one snapshot and changes nothing, also beside processes that write;
    until it ends, what they append stays in the write-ahead log. The replay is
    kept in a temporary database; the memory does not grow with the log.
    Nothing that is wrong raises: it is a `Finding`.

    Raises:
        ConfigError: *path* is no path.
        StoreNotFoundError: There is no file.
        NotAStoreError: It is something else.
        NewerSchemaError: A later version wrote it.
        StoreError: It cannot be read.
    """
    return await on_thread(_verify_store, path)


def _verify_store(path: str, stop: Event) -> Verification:
    started, findings = time.perf_counter(), Findings()
    try:
        return read_snapshot(path, stop, _verify)
    except CorruptLogError as exc:
        # So damaged that not even the schema can be read.
        findings.add("file", "the schema", exc.finding)
    return Verification(
        path=path,
        events=0,
        blobs=0,
        rows=0,
        is_replayed=False,
        seconds=time.perf_counter() - started,
        findings=tuple(findings.kept),
    )


def _verify(snapshot: Snapshot) -> Verification:
    started, findings = time.perf_counter(), Findings()
    _attempt(lambda: _check_file(snapshot, findings), "the file", findings)
    with replay_beside(snapshot) as replay:
        things = declarations(snapshot("admin.things"))
        tables = {name for kind, name in things if kind == "table"}
        (schema,) = snapshot("admin.schema").fetchone()
        if schema == SCHEMA:
            _check_schema(snapshot, things, replay, findings)
        log = LogCheck(snapshot, replay, findings)
        is_read = _attempt(log.read, "the events", findings) is not None
        is_replayed = is_read and log.is_replayed
        blobs = _attempt(lambda: check_blobs(snapshot, schema, findings), "the blobs", findings)
        rows = None
        if is_replayed:
            rows = _attempt(lambda: compare(snapshot, replay, tables, findings), "the projections", findings)
    return Verification(
        path=snapshot.path,
        events=log.events,
        blobs=blobs or 0,
        rows=rows or 0,
        is_replayed=is_replayed,
        seconds=time.perf_counter() - started,
        findings=tuple(findings.kept),
        more=findings.more,
    )


def _attempt(check: Callable[[], int], where: str, findings: Findings) -> int | None:
    """Return what a check counted, or None where SQLite could not read that far."""
    try:
        return check()
    except DATABASE_ERRORS as exc:
        name = getattr(exc, "sqlite_errorname", type(exc).__name__)
        if name == "SQLITE_INTERRUPT":
            raise
        findings.add("file", where, f"SQLite cannot read this to its end ({name})")
    return None


def _check_file(snapshot: Snapshot, findings: Findings) -> int:
    said = [line for (text,) in snapshot("admin.integrity") for line in text.splitlines() if line != "ok"]
    for line in said:
        findings.add("file", "SQLite's integrity check", line)
    return len(said)


def _check_schema(snapshot: Snapshot, things: dict[tuple[str, str], str], replay: Replay, findings: Findings) -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as empty:
        for name in LOG_TABLES:
            empty.execute(snapshot.statements[name])
        declared = declarations(empty.execute(snapshot.statements["admin.things"])) | replay.things()
    for (kind, name), sql in sorted(declared.items()):
        found = things.get((kind, name))
        if found != sql:
            findings.add("schema", f"{kind} {name}", "it is missing" if found is None else "it is declared otherwise")
