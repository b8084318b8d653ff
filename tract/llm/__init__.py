"""Talking to models and counting tokens. Knows nothing of branches.

Read `protocol` first. Imports `errors`, `domain` and `formats`.
"""
