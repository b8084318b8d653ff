"""One public coroutine a verb, each taking the core first.

`AsyncTract` binds them as its methods. A verb reads, calls pure functions and
records; it keeps no state. Read `writing` first. Imports everything below.
"""
