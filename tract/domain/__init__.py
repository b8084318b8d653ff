"""The vocabulary: frozen values without I/O, clock or randomness.

Imports nothing of ours but `errors`. Read `commits` first: a commit is what
everything else is about.
"""
