"""Log lines for whoever runs Tract: one logger, named `tract`.

It is silent until a program gives that logger a level and a handler. A line
holds ids, names, counts and types, never text that a person or a model wrote.
Imports nothing of ours.
"""

import logging
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from structlog.stdlib import BoundLogger

_standard = logging.getLogger("tract")
_standard.addHandler(logging.NullHandler())


def note(event: str, **facts: str | float | None) -> None:
    """Log at level INFO that something happened, such as a retry."""
    if _standard.isEnabledFor(logging.INFO):
        _logger().info(event, **facts)


def warn(event: str, **facts: str | float | None) -> None:
    """Log at level WARNING that somebody should look."""
    if _standard.isEnabledFor(logging.WARNING):
        _logger().warning(event, **facts)


@cache
def _logger() -> "BoundLogger":
    # With processors of its own, so that a program's structlog.configure()
    # and ours never meet. Imported here: 44 ms that most programs never need.
    import structlog

    logger: BoundLogger = structlog.wrap_logger(
        _standard,
        processors=[structlog.processors.KeyValueRenderer(key_order=["event"])],
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    return logger
