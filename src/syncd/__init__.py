"""syncd keeps a merchant's stock in step across malls and carts.

Start reading at `model.py` (the words), `sdk/channel.py` (what a channel is), `core/` (the decisions),
`daemon/` (the loops) and `app.py` (how it is put together).
"""

__version__ = "0.1.0"
