"""A client of `aegis serve`.

point      a decision point on a server, with the methods of a `Decider`
exchange   one request and its answer: what is sent, what is sent again, errors
"""

from aegis.client.point import Client

__all__ = ["Client"]
