"""One form for everything that goes wrong: {"error": what · what to do, "field": where}.

Who opened a page in a browser gets the same words as a page.
"""

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from veridical.errors import ConfigError, StorageError
from veridical.studio.store.judgements import Refused
from veridical.studio.store.projects import load_project
from veridical.studio.tasks.payloads import JudgementFault
from veridical.studio.web.rendering import render

_TITLES = {401: "Please sign in", 403: "This is not for you", 404: "Not found"}


class Problem(Exception):  # noqa: N818 (it becomes an answer, not a crash)
    """An answer that is not the wanted one."""

    def __init__(self, status: int, text: str, *, field: str = "") -> None:
        self.status, self.text, self.field = status, text, field
        super().__init__(text)


def add_error_answers(app: FastAPI) -> None:
    """Let the app answer every error in one form."""

    def answer(
        status: int, text: str, field: str = "", *, request: Request | None = None
    ) -> Response:
        if request is not None and _wants_page(request):
            with app.state.studio.database.reading() as connection:
                project = load_project(connection)
            title = _TITLES.get(status, "That did not work")
            return render("error.html.j2", project, None, status=status, title=title, text=text)
        return JSONResponse({"error": text, "field": field}, status_code=status)

    @app.exception_handler(Problem)
    def _problem(request: Request, error: Problem) -> Response:
        return answer(error.status, error.text, error.field, request=request)

    @app.exception_handler(Refused)
    def _refused(_request: Request, error: Refused) -> Response:
        return answer(error.status, str(error))

    @app.exception_handler(JudgementFault)
    def _fault(_request: Request, error: JudgementFault) -> Response:
        return answer(422, str(error), error.field)

    @app.exception_handler(ConfigError)
    def _config(_request: Request, error: ConfigError) -> Response:
        return answer(422, str(error))

    @app.exception_handler(StorageError)
    def _storage(_request: Request, _error: StorageError) -> Response:
        return answer(
            507,
            "The server's disk is full: this was not saved there. It is kept on this device and "
            "sent again. Tell the lead of the project.",
        )

    @app.exception_handler(RequestValidationError)
    def _validation(_request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(str(step) for step in first["loc"][1:])
        return answer(422, f"`{where or 'request'}`: {first['msg']}", where)

    @app.exception_handler(HTTPException)
    def _http(request: Request, error: HTTPException) -> Response:
        text = str(error.detail)
        if error.status_code == 404:
            text = "There is no such page. Check the address, or start from the first page."
        return answer(error.status_code, text, request=request)


def _wants_page(request: Request) -> bool:
    return not request.url.path.startswith("/api/") and "text/html" in request.headers.get(
        "accept", ""
    )
