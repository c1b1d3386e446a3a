"""`aegis scan`: what decisions a file holds and what they promise.

command  the command and its options
text     what it prints
"""

from aegis.cli.commands.scan.command import scan

__all__ = ["scan"]
