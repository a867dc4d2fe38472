"""Decisions as pure functions: ledger, rule chain, fence, rates, retry. No I/O, no clock, no await.

A rule that decides about stock lives here and nowhere else; rows are in `store/`, loops in `daemon/`.
"""
