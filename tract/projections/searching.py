"""The search index: the texts that a model reads, and what changes the slots they stand in.

A text is there from its commit on, whatever becomes of its slot: that is
another thing on each branch, so whoever searches asks the branches. The tables
hold the texts once more. Imports `errors`, `domain`, `formats`, `operations` and `log`.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from tract.domain.commits import Commit, CommitOperation
from tract.domain.events import CommitRecorded, Event
from tract.domain.ids import BlobId, uuid_bytes
from tract.errors import ContentValidationError
from tract.formats.reading import decode_content
from tract.formats.rendering import RENDERING, render
from tract.log.protocol import Query, Statement
from tract.operations.searching import parted, searchable

_CHANGES = frozenset({CommitOperation.EDIT, CommitOperation.ANNOTATE, CommitOperation.COMPRESS, CommitOperation.REVERT})
"""What can decide which text a branch shows; a reorder cannot."""


def can_search(query: Query) -> bool:
    """Say whether this process's SQLite has the module that the index is made with."""
    return bool(query("search.module"))


def type_word(content_type: str) -> str:
    """Return what stands for a type of contents in the index: one word, and none that stands for a role."""
    return f"t{content_type.encode().hex()}"


class Search:
    """The tables `search_texts`, `search_entries` and `search_changes`.

    What was erased, collected or damaged before it was read is not there.
    """

    name = "search"
    version = 1
    is_inline = False
    folds = (CommitRecorded,)
    create = ("search.create_texts", "search.create_entries", "search.create_changes")
    drop = ("search.drop_texts", "search.drop_entries", "search.drop_changes")
    tables = (
        ("search_texts", "search.text_rows"),
        ("search_entries", "search.entry_rows"),
        ("search_changes", "search.change_rows"),
    )
    reads = ("tracts", "commits")

    def words(self, event: Event) -> Iterable[BlobId]:
        """Return what the commit brings."""
        body = event.body
        if isinstance(body, CommitRecorded) and body.commit.content is not None:
            yield body.commit.content.blob

    def apply(self, events: Sequence[Event], blobs: Mapping[BlobId, bytes]) -> Iterable[Statement]:
        """Add the texts and changes that were recorded."""
        for event in events:
            body = event.body
            if isinstance(body, CommitRecorded):
                commit = body.commit
                if commit.operation in _CHANGES:
                    for target in sorted(set(commit.targets)):
                        yield Statement("search.insert_change", (event.position, bytes.fromhex(target)))
                if commit.content is not None and commit.content.blob in blobs:
                    yield from _entry(event, commit, blobs[commit.content.blob])


def _entry(event: Event, commit: Commit, stored: bytes) -> Iterable[Statement]:
    assert commit.content is not None
    try:
        message = render(decode_content(commit.content.type, stored), commit.rendering or RENDERING)
    except ContentValidationError as exc:
        if _is_damaged(stored):
            # As if it were erased: the texts of all others can be found.
            return
        # No fault of a caller's: it stops the index there, as whatever cannot be folded does.
        raise ValueError("a content cannot be read") from exc
    text = searchable(message)
    if not text:
        return
    slot = commit.targets[0] if commit.operation is CommitOperation.EDIT and commit.targets else commit.id
    row = (event.position, uuid_bytes(event.tract), bytes.fromhex(slot), message.role, commit.content.type)
    yield Statement("search.insert_entry", row)
    kind = f"{message.role} {type_word(commit.content.type)}"
    yield Statement("search.insert_text", (event.position, uuid_bytes(event.stream), kind, parted(text)))


def _is_damaged(stored: bytes) -> bool:
    """Say whether bytes are none that any version stored."""
    try:
        msgspec.json.decode(stored)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return True
    return False
