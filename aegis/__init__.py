"""AEGIS: an agent moves off a large language model onto a small Hierarchical Reasoning Model of its own."""

__version__ = "0.1.0"
