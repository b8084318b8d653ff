"""How fast Tract is, beside the floors that it stands on: `python -m benchmarks`.

Every figure that matters is a ratio of two things measured in turns in one
run, because absolute times drift by a factor of three from hour to hour. A
module a topic; `floors` holds what we are compared with. Read `__main__`
first, then `appending`.
"""
