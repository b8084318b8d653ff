"""A counter whose figures a reader can follow: a word is a token, and a context costs 3 more."""

from tract import Message


class WordCounter:
    """Counts words; roles, names and calls cost nothing."""

    name = "words"

    def count(self, text: str) -> int:
        return len(text.split())

    def count_message(self, message: Message) -> int:
        return self.count(message.content) if isinstance(message.content, str) else 0


def words(count: int) -> str:
    """A text of so many tokens."""
    return " ".join(["word"] * count)
