"""The command line: `tract demo` and `tract admin`.

`main` is the console script. What it runs stands in `commands`, which needs
click and rich; importing this module needs neither. Imports nothing of ours.
"""

import sys
from importlib import import_module

_EXTRAS = frozenset({"click", "rich"})


def main() -> None:
    """Run the command line, or say what to install where it is missing."""
    try:
        # By name, so that a library user's `import tract.cli` loads no terminal library.
        commands = import_module("tract.cli.commands")
    except ModuleNotFoundError as exc:
        missing = (exc.name or "").partition(".")[0]
        if missing not in _EXTRAS:
            raise
        sys.stderr.write(
            f"The command line needs {missing}, which is not installed. From a checkout of tract-context, run:\n\n"
            '    pip install -e ".[cli]"\n'
        )
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    commands.tract(prog_name="tract")
