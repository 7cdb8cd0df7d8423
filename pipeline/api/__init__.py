"""The platform: how a request is signed, sent and paced, and what its response means.

What comes in: message ids. What goes out: answers. This room knows no storage.
"""
