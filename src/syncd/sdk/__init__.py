"""All that a channel plugin may import: the interface, its settings, its errors, HTTP and files.

Nothing here knows the store or the daemon. What is named here is public and keeps its meaning.
"""
