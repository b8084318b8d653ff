"""What a search finds. Imports `commits`, `ids` and `results`."""

from datetime import datetime

from attrs import frozen

from tract.domain.commits import Priority
from tract.domain.ids import CommitId
from tract.domain.results import SHORT


@frozen
class SearchHit:
    """A text in which all that was searched for occurs.

    Attributes:
        commit_id: The commit that brought it.
        slot_id: The slot that it stands in; another commit where it is an edit.
        branch: A branch that shows it, the current one where that does; None
            where no branch does, or the search was at one commit.
        role: Of the message: system, user, assistant or tool.
        content_type: Tag of the content.
        snippet: The words that were found, marked, with some around them.
        score: How well it fits; the greater, the better. It compares hits of
            one search alone.
        priority: Of the slot there: skip where the text is not compiled. None
            where it is shown no more.
        time: Of the verb call that brought it, aware, UTC.
    """

    commit_id: CommitId
    slot_id: CommitId
    branch: str | None
    role: str
    content_type: str
    snippet: str
    score: float
    priority: Priority | None
    time: datetime

    def __str__(self) -> str:
        return f"{self.commit_id[:SHORT]} {self.role:<9} {' '.join(self.snippet.split())}"
