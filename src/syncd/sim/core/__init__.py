"""The core layer of the simulation: the real pure functions of `syncd.core` on rows in memory, and shops as models.

No SQL, no HTTP, no event loop: thousands of times faster than life, so that rare things happen often. What a shop
is assumed to be stands in `assumptions.py`; the truth is `market.py`, what the daemon holds is `rows.py`, what it
decides is `keeper.py` and `writing.py`. `cells.py` counts oversold units, `play.py` hunts broken promises.
"""
