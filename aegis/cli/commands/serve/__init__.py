"""`aegis serve` and `aegis token`.

command   the two commands
"""

from aegis.cli.commands.serve.command import serve, token

__all__ = ["serve", "token"]
