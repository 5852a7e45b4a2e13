"""Rows to verdict: pure functions of what they are given; no I/O, no clock."""
