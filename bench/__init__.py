"""What syncd promises in numbers, measured: one module a benchmark, each gives back a `Result`.

Ratios are measured side by side on the same machine and interleaved, so that a busy neighbour slows both alike.
"""
