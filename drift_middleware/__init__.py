"""Say, truthfully, whether a model server's traffic has drifted from its baseline."""

__version__ = "0.1.0"
