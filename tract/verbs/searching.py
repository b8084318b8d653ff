"""Finding what was said: search.

Imports `core`, `formats`, `projections` and `operations`.
"""

from collections.abc import Iterator

from attrs import frozen

from tract.core import TractCore
from tract.core.graph import Place, Spot, resolve
from tract.core.visibility import Brought, Lineage, Visibility
from tract.domain.commits import Priority
from tract.domain.content import CONTENT_TYPES
from tract.domain.hits import SearchHit
from tract.domain.ids import CommitId, uuid_bytes
from tract.domain.results import moment
from tract.domain.texts import require_text
from tract.errors import ContentValidationError, SearchUnavailableError
from tract.formats.registry import registered_names
from tract.log.protocol import Query, Row
from tract.operations.searching import Finder, expression, snippet, unparted
from tract.projections.searching import Search, can_search, type_word

MOST = 1_000
"""Hits that one call of `search` returns at the most."""
LONGEST = 1_000
"""Characters that can be searched for."""
LOOKED_THROUGH = 1_000_000
"""Bytes of text that one search looks through for where its words stand: some 100 ms."""
AT_LEAST = 2_000
"""Bytes of each hit, when those are used up."""
_NOT_ASKED = "it was opened with search=False; open it without that, and the index catches up"
_NO_MODULE = "this Python's SQLite was built without FTS5; use a Python that has it; everything else works"
_ROLES = ("system", "user", "assistant", "tool")


async def search(
    t: TractCore,
    text: str,
    *,
    limit: int = 20,
    cursor: str | None = None,
    at: str | None = None,
    role: str | None = None,
    content_type: str | None = None,
    superseded: bool = False,
    marks: tuple[str, str] = ("[", "]"),
) -> tuple[SearchHit, ...]:
    """Return the texts in which all the words of *text* occur, the best first.

    What counts is what a model reads where a branch of this tract is now: its
    text, and the names and arguments of the tools it calls. What was edited
    away is found where a branch still shows it, and what was kept off the
    branches, as the question of a call that failed, is not; skipped texts
    are, with their priority. All that was recorded before the call is
    searched; what an open batch holds is recorded at its end.

    Words are letters and digits, whatever their case and accents; everything
    else parts them. A Chinese or Japanese character is a word. Emoji are none.

    Pages follow one another without gap or repeat as long as nothing is recorded
    in the store. Whatever is may change the order of all others, for how rare a word is
    and how long a text compare with the rest: a page is what stands behind the cursor
    in the order of its own moment. What must be complete is asked for in one call.

    Args:
        t: The tract.
        text: Words, parted by spaces, in any order. Those `"in quotes"`, or
            joined as in `refund_policy`, must follow one another; `refun*` is
            all that begin so. Nothing else has a meaning.
        limit: The most hits to return, at least 1.
        cursor: The `commit_id` of the last hit of the page before; goes on behind it.
        at: Search what the context at this commit shows instead, any ref.
        role: Only messages of this role: system, user, assistant or tool.
        content_type: Only contents of this type: one of Tract's own, one that
            is registered here, or one that stands in the store.
        superseded: Whether to find also what this tract recorded and no branch
            shows any more.
        marks: What stands before and behind the words that were found in a snippet.

    Raises:
        SearchUnavailableError: Nothing is kept ready for searching here.
        ContentValidationError: *text* holds no word or is too long; or
            another argument makes no sense.
        RefNotFoundError: Nothing answers to *at* or *cursor*.
        ProjectionLagError: The index did not catch up in time; it goes on.
        ProjectionError: The index met an event that it cannot take in.
    """
    words = _words(text)
    _check(limit, role, content_type, marks)
    if superseded and at is not None:
        raise ContentValidationError("superseded", "give either superseded or at")
    t.require_open()
    runner, place = t.collaborators.shared.runner, t.place
    if not runner.follows(Search.name):
        reason = _NOT_ASKED if await t.read(can_search) else _NO_MODULE
        raise SearchUnavailableError(t.collaborators.shared.store.where, reason)
    await runner.caught_up(Search.name)

    def load(query: Query) -> list[SearchHit]:
        _check_type(query, content_type)
        ((family,),) = query("search.family", uuid_bytes(place.stream))
        kinds = [] if role is None else [role]
        kinds += [] if content_type is None else [type_word(content_type)]
        match = " AND ".join([f'family : "{family}"', *(f'kind : "{kind}"' for kind in kinds), f"text : ({words})"])
        sight = _Sight(query, place, at)
        excerpts = _Excerpts(query, text, marks)
        after = None if cursor is None else resolve(query, place, cursor).number
        hits: list[SearchHit] = []
        for row in _ranked(query, match, limit, after):
            found = _found(row)
            shown = sight.of(found.text)
            if shown is None and not (superseded and found.tract == place.tract):
                continue
            hits.append(_hit(query, found, shown, excerpts.of(found.text.number)))
            if len(hits) == limit:
                break
        return hits

    return tuple(await t.read(load))


def _words(text: str) -> str:
    require_text("text", text)
    if len(text) > LONGEST:
        raise ContentValidationError("text", f"it must have {LONGEST:,} characters at most")
    words = expression(text)
    if words is None:
        raise ContentValidationError("text", "it must hold a word to search for: letters or digits")
    return words


def _check(limit: int, role: str | None, content_type: str | None, marks: object) -> None:
    if type(limit) is not int or not 1 <= limit <= MOST:
        raise ContentValidationError("limit", f"it must be a whole number from 1 to {MOST}")
    if role is not None and role not in _ROLES:
        raise ContentValidationError("role", f"it must be one of {', '.join(_ROLES)}")
    if content_type is not None:
        require_text("content_type", content_type)
    if not isinstance(marks, tuple) or len(marks) != 2:
        raise ContentValidationError("marks", "it must be what stands before a word and what stands behind it")
    for place, mark in enumerate(marks):
        require_text(f"marks[{place}]", mark)


def _check_type(query: Query, name: str | None) -> None:
    known = (*CONTENT_TYPES, *registered_names())
    # Whoever wrote it may have registered a type that is not known here.
    if name is not None and name not in known and not query("search.has_type", name):
        raise ContentValidationError("content_type", f"it must be one of {', '.join(known)}, or of those in the store")


@frozen(eq=False, repr=False)
class _Found:
    """A row of `search.ranked`."""

    text: Brought
    tract: int
    role: str
    content_type: str
    score: float


def _found(row: Row) -> _Found:
    number, run, id, slot, tract, role, content_type, score, _ = row
    return _Found(Brought(number, run, CommitId(id.hex()), slot), tract, role, content_type, -score)


def _ranked(query: Query, match: str, limit: int, after: int | None) -> Iterator[Row]:
    """Yield what is found and was not erased, the best first, behind the commit of a number."""
    start, count = 0, max(4 * limit, 64)
    while True:
        rows = query("search.ranked", match, count, start)
        for row in rows:
            if after is None:
                if row[-1]:
                    yield row
            elif row[0] == after:
                after = None
        if len(rows) < count:
            break
        # Each page ranks everything once more, so there are few.
        start, count = start + count, 8 * count
    if after is not None:
        raise ContentValidationError("cursor", "it must be the commit of a hit of the same search")


@frozen(eq=False, repr=False)
class _Shown:
    """On which branch a text is shown, and how."""

    branch: str | None
    priority: Priority


class _Sight:
    """What the branches of a tract show, or one commit."""

    def __init__(self, query: Query, place: Place, at: str | None) -> None:
        self._query = query
        self._visibility = Visibility(query)
        self._lineages: dict[Spot, Lineage] = {}
        if at is not None:
            node = resolve(query, place, at)
            self._heads: list[tuple[str | None, Spot]] = [(None, (node.run, node.number))]
        else:
            heads = [(name, (run, number)) for name, run, number in query("search.heads", place.tract)]
            # The branch one is on tells most.
            self._heads = sorted(heads, key=lambda head: head[0] != place.head.branch)

    def of(self, text: Brought) -> _Shown | None:
        """Return where a text is shown; None where it is not."""
        asked = set()
        for branch, head in self._heads:
            if head not in asked:
                asked.add(head)
                priority = self._visibility.find_priority(self._lineage(head), text)
                if priority is not None:
                    return _Shown(branch, priority)
        return None

    def _lineage(self, head: Spot) -> Lineage:
        found = self._lineages.get(head)
        if found is None:
            found = self._lineages[head] = Lineage(self._query, head)
        return found


class _Excerpts:
    """Snippets of the hits of one search, which looks through so much text and no more."""

    def __init__(self, query: Query, text: str, marks: tuple[str, str]) -> None:
        self._query = query
        self._finder = Finder(text)
        self._marks = marks
        self._left = LOOKED_THROUGH

    def of(self, number: int) -> str:
        ((stored,),) = self._query("search.text", number, max(self._left, AT_LEAST))
        self._left -= len(stored)
        # The end may have been cut within a character.
        text = unparted(stored.decode(errors="ignore"))
        return snippet(text, self._finder.spans(text), self._marks)


def _hit(query: Query, found: _Found, shown: _Shown | None, excerpt: str) -> SearchHit:
    text = found.text
    slot = text.id
    if text.slot != text.number:
        slot = CommitId(query("commits.by_number", text.slot)[0][1].hex())
    ((time,),) = query("search.time", text.number)
    return SearchHit(
        commit_id=text.id,
        slot_id=slot,
        branch=None if shown is None else shown.branch,
        role=found.role,
        content_type=found.content_type,
        snippet=excerpt,
        score=found.score,
        priority=None if shown is None else shown.priority,
        time=moment(time),
    )
