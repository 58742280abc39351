"""The API as one ASGI app: all routes, error responses, and the security middleware."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, FrozenSet, Mapping, Optional

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from provctl import __version__
from provctl.api.http.metrics import CONTENT_TYPE, Metrics
from provctl.api.http.responses import as_json, error_body, error_of, status_of
from provctl.api.http.routes import schedules, tasks, workflows
from provctl.api.http.routes.json_response import JSON, JsonResponse
from provctl.api.http.schemas import Health
from provctl.api.http.security_middleware import SecurityMiddleware
from provctl.errors import NotFound, ProvctlError, UsageError

if TYPE_CHECKING:
    from provctl.api.http.backend import SchedulerBackend


_HEALTH = {
    "status": "healthy",
    "success": True,
    "data": "Orchestrator is healthy",
    "version": __version__,
}


def make_app(
    service: SchedulerBackend,
    *,
    token: Optional[str],
    hosts: Mapping[str, FrozenSet[bytes]],
) -> Any:
    """Return the app. `hosts`: see `SecurityMiddleware`; TCP requires a token."""
    app = FastAPI(
        title="provctl",
        version=__version__,
        description="Runs infrastructure workflows. Every answer is JSON.",
        # The pages that show the document load scripts from other servers.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.service = service
    app.include_router(tasks.router)
    app.include_router(workflows.router)
    app.include_router(schedules.router)
    _add_plain_routes(app, Metrics(service))
    _add_mistakes(app)
    return SecurityMiddleware(app, token=token, hosts=hosts)


def _add_plain_routes(app: FastAPI, metrics: Metrics) -> None:
    health = as_json(_HEALTH)

    @app.get("/health", response_model=Health, tags=["service"], **JSON)
    async def check_health() -> Response:
        """Check that the scheduler is running. Needs no token."""
        return JsonResponse(health)

    @app.get(
        "/metrics",
        tags=["service"],
        response_class=Response,
        responses={200: {"content": {"text/plain": {}}}, **JSON["responses"]},
    )
    async def show_metrics() -> Response:
        """Return metrics for Prometheus."""
        return Response(metrics.text(), headers={"content-type": CONTENT_TYPE})


def _add_mistakes(app: FastAPI) -> None:
    async def of_ours(_: Request, problem: Exception) -> Response:
        assert isinstance(problem, ProvctlError)
        return JsonResponse(error_of(problem), status_code=status_of(problem))

    async def of_values(_: Request, problem: Exception) -> Response:
        assert isinstance(problem, RequestValidationError)
        # A text that cannot be a name of a run or task is reported as not found.
        is_name = all(error["loc"][0] == "path" for error in problem.errors())
        code = NotFound.exit_code if is_name else UsageError.exit_code
        body = error_body(_in_words(problem), code=code)
        return JsonResponse(body, status_code=404 if is_name else 422)

    async def of_http(_: Request, problem: Exception) -> Response:
        assert isinstance(problem, HTTPException)
        body = error_body(str(problem.detail).lower())
        return JsonResponse(
            body, status_code=problem.status_code, headers=problem.headers
        )

    async def of_bugs(_: Request, problem: Exception) -> Response:
        message = f"internal error: {type(problem).__name__}"
        hint = "this is a bug; see: provctl scheduler logs"
        return JsonResponse(error_body(message, hint=hint, code=1), status_code=500)

    app.add_exception_handler(ProvctlError, of_ours)
    app.add_exception_handler(RequestValidationError, of_values)
    app.add_exception_handler(HTTPException, of_http)
    app.add_exception_handler(Exception, of_bugs)


def _in_words(problem: RequestValidationError) -> str:
    return "; ".join(
        f"{'.'.join(map(str, error['loc']))}: {error['msg']}"
        for error in problem.errors()[:10]
    )
