"""The version of this distribution, from its metadata: written once, in pyproject.toml."""

from importlib.metadata import version

VERSION = version("lowbit-server")
