"""What tests of code that uses Tract need: a scripted model and a clock.

`tract.testing.server`, an OpenAI-compatible HTTP server, needs starlette and
uvicorn and is imported by its own name. Imports `errors`, `domain` and `llm`.
"""

from tract.testing.clocks import FixedClock
from tract.testing.scripted import Cut, ScriptedLLM

__all__ = ["Cut", "FixedClock", "ScriptedLLM"]
