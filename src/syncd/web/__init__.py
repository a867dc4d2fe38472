"""What is asked over HTTP: health and metrics without a token, the admin API with one, and the server beneath.

Routes only translate: rows come from `store/reports.py`, changes are made by the desk (`daemon/desk.py`). Nothing
here decides about stock, and every endpoint is a coroutine: a plain function would run in a thread.
"""
