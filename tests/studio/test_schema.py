"""Whatever a signed-in lead sends, within the OpenAPI schema or not: never a status of 500 up."""

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings

from studio_client import HOSTS, Annotator
from studio_projects import ANSWER, make_project
from veridical.studio.web.app import make_app


@pytest.fixture(scope="module")
def lead(tmp_path_factory):
    studio = make_project(tmp_path_factory.mktemp("fuzz"), "correct", [ANSWER])
    yield Annotator(studio, "boss", role="lead")
    studio.database.close()


def _body(case):
    return case.body if isinstance(case.body, (dict, list, str, int, float)) else {}


def test_no_request_makes_the_server_fail(lead):
    app = make_app(lead.client.app.state.studio, hosts=HOSTS)
    schema = schemathesis.openapi.from_dict(app.openapi())
    seen = set()
    for result in schema.get_all_operations():
        operation = result.ok()
        if operation.path == "/api/logout":
            continue
        seen.add(operation.path)

        @settings(
            max_examples=6,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(operation.as_strategy())
        def send(case):
            answer = lead.client.request(case.method, case.path, json=_body(case))
            assert answer.status_code < 500, (case.path, case.body, answer.text)

        send()
    assert len(seen) >= 14
