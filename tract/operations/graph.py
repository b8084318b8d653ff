"""Walking a history given as a function from a commit to its parents.

Imports nothing of ours.
"""

from collections.abc import Callable, Container, Hashable, Sequence
from typing import TypeVar

K = TypeVar("K", bound=Hashable)


def linearise(head: K, parents: Callable[[K], Sequence[K]], known: Container[K] = ()) -> list[K]:
    """Return the commits of *head*'s history in the order they take effect.

    `lin(c) = lin(first parent), then the commits of lin(second parent) not
    yet listed, then c`: no clock and no order of ids. Iterative, so a history
    may be any length.

    Args:
        head: Where to begin; it stands last.
        parents: The parents of a commit, in their order.
        known: Commits to leave out, together with everything before them: a
            set that holds every ancestor of its members.
    """
    listed: list[K] = []
    seen: set[K] = set()
    waiting: list[tuple[K, bool]] = [(head, False)]
    while waiting:
        commit, entered = waiting.pop()
        if entered:
            listed.append(commit)
        elif commit not in seen and commit not in known:
            seen.add(commit)
            waiting.append((commit, True))
            waiting.extend((parent, False) for parent in reversed(parents(commit)))
    return listed
