"""Loops and what they do in one transaction: intake, dispatcher, reconcile, scheduler, and their supervision.

Data travels one way: intake -> booking -> targets -> outbox -> dispatcher. Decisions are asked of `core/`, rows
are kept by `store/`; every call of a plugin goes through `running.py`.
"""
