"""One form for everything that goes wrong: {"error": what · what to do, "field": where}."""

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from veridical.errors import ConfigError, StorageError
from veridical.studio.store.judgements import Refused
from veridical.studio.tasks.payloads import JudgementFault


class Problem(Exception):  # noqa: N818 (it becomes an answer, not a crash)
    """An answer that is not the wanted one."""

    def __init__(self, status: int, text: str, *, field: str = "") -> None:
        self.status, self.text, self.field = status, text, field
        super().__init__(text)


def add_error_answers(app: FastAPI) -> None:
    """Let the app answer every error in one form."""

    def answer(status: int, text: str, field: str = "") -> JSONResponse:
        return JSONResponse({"error": text, "field": field}, status_code=status)

    @app.exception_handler(Problem)
    def _problem(_request: Request, error: Problem) -> JSONResponse:
        return answer(error.status, error.text, error.field)

    @app.exception_handler(Refused)
    def _refused(_request: Request, error: Refused) -> JSONResponse:
        return answer(error.status, str(error))

    @app.exception_handler(JudgementFault)
    def _fault(_request: Request, error: JudgementFault) -> JSONResponse:
        return answer(422, str(error), error.field)

    @app.exception_handler(ConfigError)
    def _config(_request: Request, error: ConfigError) -> JSONResponse:
        return answer(422, str(error))

    @app.exception_handler(StorageError)
    def _storage(_request: Request, _error: StorageError) -> JSONResponse:
        return answer(
            507,
            "The server's disk is full: this was not saved there. It is kept on this device and "
            "sent again. Tell the lead of the project.",
        )

    @app.exception_handler(RequestValidationError)
    def _validation(_request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(step) for step in first["loc"][1:])
        return answer(422, f"`{where or 'request'}`: {first['msg']}", where)

    @app.exception_handler(HTTPException)
    def _http(_request: Request, error: HTTPException) -> JSONResponse:
        return answer(error.status_code, str(error.detail))
