"""A file that was exported once is imported for ever, and its form is never changed."""

import shutil
from pathlib import Path

import pytest

from tests.migration.test_stores import DIGESTS, STORES, every_schema, restored
from tract import AsyncTract, admin
from tract.admin.lines import BlobLine, EndLine, EventLine, HeadLine, Line, StreamLine, decode_head, decode_line, encode_line

SAMPLE = Path(__file__).with_name("export_1.jsonl")

LINES: list[tuple[Line, bytes]] = [
    (
        BlobLine("ab" * 32, "cd" * 16, "text", 'Grüße,\n"alle" \u2028'),
        f'{{"data":"Grüße,\\n\\"alle\\" \u2028","form":"text","id":"{"ab" * 32}","line":"blob","salt":"{"cd" * 16}"}}\n'.encode(),
    ),
    (
        BlobLine("ab" * 32, "cd" * 16, "base64", "/w=="),
        f'{{"data":"/w==","form":"base64","id":"{"ab" * 32}","line":"blob","salt":"{"cd" * 16}"}}\n'.encode(),
    ),
    (
        BlobLine("ab" * 32, None, "gone", None),
        f'{{"data":null,"form":"gone","id":"{"ab" * 32}","line":"blob","salt":null}}\n'.encode(),
    ),
    (
        EventLine("s", 1, "t", "tract.created", 1, "{}", "o", None, 5, "ef" * 32),
        (
            f'{{"actor":null,"data":"{{}}","digest":"{"ef" * 32}","line":"event","operation_id":"o","recorded_at":5,"schema":1,'
            '"stream_id":"s","tract_id":"t","type":"tract.created","version":1}\n'
        ).encode(),
    ),
    (StreamLine("s", 1, "ef" * 32), f'{{"digest":"{"ef" * 32}","line":"stream","stream_id":"s","version":1}}\n'.encode()),
    (EndLine(1, 2, 3), b'{"blobs":3,"events":2,"line":"end","streams":1}\n'),
]


@pytest.mark.parametrize(("line", "written"), LINES, ids=lambda value: getattr(value, "form", type(value).__name__))
def test_each_kind_of_line_is_written_as_it_was(line: Line, written: bytes) -> None:
    assert encode_line(line) == written
    assert decode_line(written) == line


def test_the_first_line_is_written_as_it_was() -> None:
    assert encode_line(HeadLine("tract-export", 1)) == b'{"format":"tract-export","number":1}\n'
    assert decode_head(SAMPLE.read_bytes().partition(b"\n")[0] + b"\n").number == 1


async def test_the_sample_is_imported_and_compiles_as_it_did(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    await admin.import_file(path, SAMPLE)
    assert (await admin.verify(path)).findings == ()
    async with AsyncTract.open(path, name="main", create=False) as t:
        found = {(name, (await t.compile(name)).head): (await t.compile(name)).digest for name in ("main", "side")}
    assert found == DIGESTS


async def test_the_store_that_the_sample_came_from_is_still_exported_to_it(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    await admin.export(restored(STORES / "schema_1.sql", tmp_path), file)
    assert file.read_bytes() == SAMPLE.read_bytes()


@every_schema
async def test_a_store_of_any_schema_is_copied_and_goes_on_from_an_export(schema: Path, tmp_path: Path) -> None:
    path, copy = restored(schema, tmp_path), tmp_path / "copy.db"
    await admin.backup(path, copy)
    before = shutil.copy(copy, tmp_path / "before.db")
    async with AsyncTract.open(path, name="main") as t:
        added = await t.user("More.")
    await admin.export(path, tmp_path / "more.jsonl")
    await admin.import_file(before, tmp_path / "more.jsonl")
    async with AsyncTract.open(before, name="main", create=False) as t:
        assert (await t.log(1))[0].id == added.id
    assert (await admin.verify(before)).findings == ()
