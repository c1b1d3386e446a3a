"""The street door: decisions over HTTP, and a gateway that an agent uses by its `base_url` alone.

setting    the configuration: points, gateway, limits
access     who may do what: tokens and their scopes, other sites' pages
middleware a request's body, within its limits, before anything looks at it
admission  whether a request may pass: its token, its rate, and how many are in progress
point      the decision points that are served, each by an `aegis.Decider`
schema     the fields of requests and answers
fault      errors as answers
quick      `POST /v1/decisions`, the short way
service    `/v1/decisions`, `/v1/outcomes` and what there is to see
metric     what Prometheus reads
gateway/   requests to language models, passed on and observed
app        all of them together
server     the process that listens
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aegis.packages import on_demand

if TYPE_CHECKING:
    from aegis.serving.access import TokenBook
    from aegis.serving.app import make_app
    from aegis.serving.point import PointBook
    from aegis.serving.server import Listening, serve
    from aegis.serving.setting import GatewayConfig, LimitConfig, PointConfig, ServeConfig, UpstreamConfig, read_config

_MODULES = {
    "access": ("TokenBook",),
    "app": ("make_app",),
    "point": ("PointBook",),
    "server": ("Listening", "serve"),
    "setting": ("GatewayConfig", "LimitConfig", "PointConfig", "ServeConfig", "UpstreamConfig", "read_config"),
}

__all__ = [
    "GatewayConfig",
    "LimitConfig",
    "Listening",
    "PointBook",
    "PointConfig",
    "ServeConfig",
    "TokenBook",
    "UpstreamConfig",
    "make_app",
    "read_config",
    "serve",
]

__getattr__ = on_demand(__name__, _MODULES, "serving over HTTP", "serve")
