"""`aegis serve`, `aegis token` and `aegis dashboard`.

command     decisions over HTTP, and who may ask for them
dashboard   the page in the browser
"""

from aegis.cli.commands.serve.command import serve, token
from aegis.cli.commands.serve.dashboard import dashboard

__all__ = ["dashboard", "serve", "token"]
