"""The append-only log: events, blobs, the store and its SQL.

Knows nothing of branches: what a request reads and decides is handed in.
Read `protocol` first. Imports `errors` and `domain`.
"""
