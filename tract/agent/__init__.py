"""What works on its own with a model: the loop that runs its tool calls.

Verbs on top of the verbs, each taking the core first. Read `running` first.
Imports `verbs` and everything below.
"""
