"""The simulated world at work: a stage with emulators and a real daemon, buyers, and the demo.

May use everything; only `cli` (for `demo`), tests and benches use it.
"""
