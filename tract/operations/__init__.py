"""Pure functions: what a history means.

Synchronous, without I/O or a clock. Imports `errors`, `domain` and `formats`.
`folding` turns commits into a context and `compiling` shows it as messages;
read `folding` first.
"""
