"""A judge at an endpoint: what the cache lacks is estimated, asked, kept and billed."""

from collections.abc import Sequence
from typing import NamedTuple

from veridical.errors import ConfigError
from veridical.judges.bill import Bill, Tokens, estimate_tokens, total, used_tokens
from veridical.judges.cache import AnswerCache
from veridical.judges.client import ChatClient
from veridical.judges.completions import JsonObject, is_model, read_completion
from veridical.judges.protocol import Case, Review, Template
from veridical.judges.requests import ChatRequest, build_requests
from veridical.judges.settings import JudgeSettings
from veridical.progress import log


class Plan(NamedTuple):
    """What is to be asked, and what it will cost at most."""

    requests: list[ChatRequest]
    """One per case."""
    answers: dict[str, JsonObject]
    """Answers that are there already, by key."""
    missing: list[ChatRequest]
    """What must be asked, each once."""
    spent: Tokens
    """Tokens of the answers that are there."""
    ahead: Tokens
    """Most tokens of what must be asked."""


class EndpointJudge:
    """A language model at an OpenAI-compatible endpoint.

    Args:
        settings: Which judge, how patiently, for how much.
        offline: Ask nothing; what is not in the cache has failed.
    """

    def __init__(self, settings: JudgeSettings, *, offline: bool = False) -> None:
        self.settings = settings
        self.offline = offline
        self.cache = AnswerCache(settings.cache, url=settings.url)
        self.bill = Bill(0, 0, 0, 0, 0, Tokens())

    @property
    def name(self) -> str:
        """The model asked for."""
        return self.settings.model

    def plan(self, cases: Sequence[Case], template: Template) -> Plan:
        """Find out what must be asked. Asks nothing."""
        requests = build_requests(cases, template, self.settings)
        unique = {request.key: request for request in requests}
        answers = {}
        for key, request in unique.items():
            answer = self.cache.read(request)
            if answer is not None and not (
                self.settings.ask_again and self._review("", answer).text is None
            ):
                answers[key] = answer
        missing = [request for key, request in unique.items() if key not in answers]
        spent = total(
            used_tokens(unique[key], answer, self.settings) for key, answer in answers.items()
        )
        ahead = total(estimate_tokens(request, self.settings) for request in missing)
        return Plan(requests, answers, missing, spent, ahead)

    def review(self, cases: Sequence[Case], template: Template) -> list[Review]:
        """Judge cases.

        Raises:
            ConfigError: The estimate is above the budget, or the endpoint refuses whatever is
                asked.
            MissingPackageError: The package `openai` is not installed.
        """
        with self.cache.lock():
            plan = self.plan(cases, template)
            if self.offline:
                outcomes = {
                    request.key: "not in the cache, and nothing is asked"
                    for request in plan.missing
                }
                self.bill = Bill(len(plan.answers), 0, len(plan.missing), 0, 0, Tokens())
            else:
                self.check_budget(plan)
                outcomes = self._ask(plan)
        cut = sum(read_completion(answer).cut for answer in plan.answers.values())
        if cut:
            log(
                f"{cut} {'answer was' if cut == 1 else 'answers were'} cut at"
                f" {self.settings.max_tokens} tokens; a rating at the end is lost."
            )
        return [
            (
                self._review(case.id, plan.answers[request.key])
                if request.key in plan.answers
                else Review(case.id, None, outcomes[request.key], self.name)
            )
            for case, request in zip(cases, plan.requests, strict=True)
        ]

    def check_budget(self, plan: Plan) -> None:
        """Say what is ahead and what it may cost.

        Raises:
            ConfigError: It is above the budget.
        """
        log(f"judge {self.name}: {self.estimate(plan)}")
        spent, ahead, budget = (
            plan.spent.cost(self.settings),
            plan.ahead.cost(self.settings),
            self.settings.budget,
        )
        if (
            budget is None
            or spent is None
            or ahead is None
            or not plan.missing
            or spent + ahead <= budget
        ):
            return
        raise ConfigError(
            f"Judging may cost {spent + ahead:.2f} USD ({spent:.2f} spent already), the budget is"
            f" {budget:.2f} USD. Nothing was asked. Raise the budget, lower `max_tokens`, or judge"
            " fewer items."
        )

    def estimate(self, plan: Plan) -> str:
        """What is ahead, in a line."""
        cost = plan.ahead.cost(self.settings)
        price = (
            "; set price_in and price_out for an amount" if cost is None else f", {cost:.2f} USD"
        )
        count = len(plan.missing)
        return (
            f"{count} {'request' if count == 1 else 'requests'} to ask, {len(plan.answers)} in the"
            f" cache; at most about {plan.ahead.read:,} tokens read and {plan.ahead.written:,}"
            f" written{price}"
        )

    def _ask(self, plan: Plan) -> dict[str, str]:
        """Ask what is missing; answers go into the cache and the plan. Returns problems by key."""
        used = Tokens()
        reserved: dict[str, Tokens] = {}
        # Problems of the last answers in a row that were paid for and cannot be used.
        useless: list[str] = []

        def keep(request: ChatRequest, completion: JsonObject) -> None:
            nonlocal used
            self.cache.write(request, completion)
            review = self._review("", completion)
            useless[:] = [*useless, review.problem] if review.text is None else []
            plan.answers[request.key] = completion
            reserved.pop(request.key, None)
            used = used.plus(used_tokens(request, completion, self.settings))

        def stop_before(request: ChatRequest) -> str:
            if len(useless) >= self.settings.give_up_after:
                return f"{len(useless)} answers in a row are of no use, the last: {useless[-1]}"
            reserved[request.key] = estimate_tokens(request, self.settings)
            bound = total((plan.spent, used, *reserved.values())).cost(self.settings)
            if self.settings.budget is None or bound is None or bound <= self.settings.budget:
                return ""
            return (
                f"the budget of {self.settings.budget:.2f} USD could be overdrawn. Raise it and run"
                " again."
            )

        kept = len(plan.answers)
        client = ChatClient(self.settings, on_answer=keep, stop_before=stop_before)
        outcomes = client.ask(plan.missing) if plan.missing else []
        self.bill = Bill(
            kept=kept,
            answered=len(plan.answers) - kept,
            failed=sum(outcome.completion is None for outcome in outcomes),
            retries=sum(outcome.retries for outcome in outcomes),
            lost=sum(outcome.lost for outcome in outcomes),
            tokens=used,
        )
        log(self.bill.text(self.settings))
        return {
            request.key: outcome.problem
            for request, outcome in zip(plan.missing, outcomes, strict=True)
        }

    def _review(self, case_id: str, completion: JsonObject) -> Review:
        read = read_completion(completion)
        if read.model and not is_model(read.model, self.name, accepted=self.settings.accept_models):
            problem = (
                f"answered by {read.model!r}, not by {self.name!r}; name it in accept_models if"
                " that is right"
            )
            return Review(case_id, None, problem, read.model)
        return Review(case_id, read.text, read.problem, read.model or self.name, completion)
