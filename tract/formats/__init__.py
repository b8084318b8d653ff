"""From contents to messages, to what a provider takes, and back.

Everything here is pure and numbered: what was released is never changed, only
added to. Imports `errors` and `domain`. Read `rendering` first, then `openai`
and `anthropic`; `reading` is the other direction, from callers and from stored
bytes, and `registry` knows the types of callers.
"""
