"""Owns the life of opaque session tokens: issued once, renewed by use, ended on time."""

__version__ = "0.1.0"
