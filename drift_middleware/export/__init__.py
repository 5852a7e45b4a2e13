"""What leaves the house: alerts, and metrics.  Optional dependencies are imported here, and late.

Nothing here knows the buffer or the detector: it takes records, and gives text or calls.
"""
