"""Rows and nothing but rows: engine, schema, and plain functions of a connection, one a transaction.

No decision about stock is made here (see `core/`), no loop runs here (see `daemon/`), no network is touched.
"""
