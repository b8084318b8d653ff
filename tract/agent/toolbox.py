"""The functions that a run may call, and what a call of one brings.

Whatever a tool does wrong is told to the model: nothing of it is raised here.
Imports `domain`, `errors` and `formats.tools`; read `Toolbox.call`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from inspect import isawaitable, iscoroutinefunction
from typing import Any

import msgspec
from anyio import CapacityLimiter, to_thread
from attrs import frozen

from tract.domain.content import ToolIOContent
from tract.domain.messages import ABSENT, Absent, ToolCall
from tract.errors import ConfigError, ContentValidationError, ToolArgumentsError
from tract.formats.tools import Tool, read_arguments


@frozen(eq=False, repr=False)
class Toolbox:
    """Functions by the name that a model calls them by."""

    _functions: Mapping[str, Callable[..., Any]]

    def __len__(self) -> int:
        return len(self._functions)

    def __contains__(self, name: object) -> bool:
        return name in self._functions

    async def call(self, call: ToolCall, threads: CapacityLimiter, is_called_off: Callable[[], bool]) -> ToolIOContent:
        """Call a function and return its result, or what went wrong, to be committed.

        Args:
            call: What the model asked for.
            threads: Of how many worker threads at a time.
            is_called_off: Whether a cancellation is the run's, and not one
                that the function raised itself.

        Raises:
            BaseException: What is no `Exception`, and the run's cancellation.
        """
        function = self._functions.get(call.name)
        if function is None:
            known = ", ".join(self._functions) or "none"
            return _failure(call, f"There is no tool of this name; there are: {known}.")
        try:
            arguments = read_arguments(function, call.arguments)
        except ToolArgumentsError as exc:
            return _failure(call, f"{exc}")
        try:
            value = await _called(function, arguments, threads)
        except asyncio.CancelledError:
            if is_called_off():
                raise
            return _failure(call, "CancelledError")
        except Exception as exc:  # noqa: BLE001 - whatever the caller's own function raises
            return _failure(call, _described(exc))
        try:
            return _result(call, value)
        except Exception as exc:  # noqa: BLE001 - of a value that only looks like one of ours
            return _failure(call, f"The tool returned what cannot be written as JSON: {_described(exc)}")


def toolbox(tools: Iterable[Tool], schemas: Sequence[Mapping[str, Any]]) -> Toolbox:
    """Return the functions that a run may call.

    Args:
        tools: The functions.
        schemas: What a model is told of each.

    Raises:
        ConfigError: One is no function.
    """
    functions: dict[str, Callable[..., Any]] = {}
    for number, (tool, schema) in enumerate(zip(tools, schemas, strict=True)):
        if isinstance(tool, Mapping):
            raise ConfigError(
                f"tools[{number}]", "a schema cannot be run: give the function; chat() takes schemas and leaves the calls to you"
            )
        functions[schema["function"]["name"]] = tool
    return Toolbox(functions)


async def _called(function: Callable[..., Any], arguments: dict[str, Any], threads: CapacityLimiter) -> object:
    """Return what a function returns: of a coroutine function on the event loop, of others in a thread.

    A thread cannot be stopped: one whose run was cancelled goes on to its
    end, and nobody learns what it brought.
    """
    value: object
    if iscoroutinefunction(function) or iscoroutinefunction(getattr(function, "__call__", None)):  # noqa: B004
        value = await function(**arguments)
    else:
        value = await to_thread.run_sync(partial(function, **arguments), limiter=threads, abandon_on_cancel=True)
    return await _waited(value) if isawaitable(value) else value


async def _waited(value: Awaitable[object]) -> object:
    return await value


def _result(call: ToolCall, value: object) -> ToolIOContent:
    text: str | Absent = ABSENT
    payload: object = ABSENT
    if isinstance(value, str):
        # Of a class derived from str, the characters.
        text = str.__str__(value)
    else:
        payload = msgspec.to_builtins(value, str_keys=True, enc_hook=_plain)
    return ToolIOContent(call.name, "result", text=text, payload=payload, call_id=call.id, status="ok")


def _plain(value: object) -> object:
    """Return as JSON a value of pydantic's, which is no dependency, or of a class derived from one of JSON's."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float):
        return float.__float__(value)
    dump = getattr(value, "model_dump", None)
    if callable(dump):
        return dump(mode="json")
    raise TypeError(f"a {type(value).__name__} is not JSON")


def _described(error: Exception) -> str:
    try:
        said = f"{error}".strip()
    except Exception:  # noqa: BLE001 - a class of the caller's that cannot say what it is
        said = ""
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def _failure(call: ToolCall, reason: str) -> ToolIOContent:
    text = f"Error: {reason}"
    try:
        return ToolIOContent(call.name, "result", text=text, call_id=call.id, status="error")
    except ContentValidationError:
        # A lone surrogate, which no file and no provider takes.
        text = text.encode("utf-8", "replace").decode("utf-8")
        return ToolIOContent(call.name, "result", text=text, call_id=call.id, status="error")
