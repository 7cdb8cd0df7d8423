"""Attacks: each was seen to succeed before it was fixed."""
