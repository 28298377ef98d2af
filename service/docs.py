"""`/docs`: the interactive documentation, with its scripts served from here, so that it opens without the internet.

Addresses in the page are relative: behind a proxy that ends TLS, absolute ones would be `http:` and blocked.
"""

from importlib.resources import files
from typing import Any

from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import Response
from starlette.staticfiles import StaticFiles


def add_docs(app: FastAPI) -> None:
    """Adds the page and the scripts of Swagger UI, which the package fastapi-swagger carries."""
    app.add_api_route("/docs", _page, include_in_schema=False)
    app.mount("/docs-assets", StaticFiles(directory=str(files("fastapi_swagger") / "resources")))


async def _page(request: Request) -> Response:
    parameters: dict[str, Any] = {"tryItOutEnabled": True, "displayRequestDuration": True}
    if request.app.state.service.settings.admin_port is not None:  # predictions are answered on another port
        parameters = {"supportedSubmitMethods": []}
    return get_swagger_ui_html(
        openapi_url="openapi.json",
        title=request.app.title,
        swagger_js_url="docs-assets/swagger-ui-bundle.js",
        swagger_css_url="docs-assets/swagger-ui.css",
        swagger_favicon_url="docs-assets/favicon-32x32.png",
        swagger_ui_parameters=parameters,
    )
