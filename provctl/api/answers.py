"""Owns what routes have in common: the service they ask, and how they answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, cast

from starlette.responses import Response

from provctl.api.shapes import Problem

if TYPE_CHECKING:
    from starlette.requests import Request

    from provctl.api.service import Service

__all__ = ["JSON", "Json", "service_of"]

# What every operation may answer besides a success.
JSON: Dict[str, Any] = {
    "responses": {
        "4XX": {"model": Problem, "description": "Refused"},
        "5XX": {"model": Problem, "description": "Not possible now"},
    }
}


class Json(Response):
    """An answer that is JSON already."""

    media_type = "application/json"


def service_of(request: Request) -> Service:
    """Return whoever has the runs."""
    return cast("Service", request.app.state.service)
