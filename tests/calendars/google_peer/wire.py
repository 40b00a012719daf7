"""From a request to its answer: who asks, what for, whether it is let through, what goes wrong."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from clinicrelay.testing import Asked

from . import batch, events, listing, tokens
from .faults import PAGE, Answer, Rule
from .fields import chosen, discovery, mask_of
from .quota import Quota
from .routes import Call, Route, body_of, noted, query_of, quota_user_of, route_of
from .state import ApiError, Asking, Body, Caller, World, invalid, not_found

READS = ("get", "list", "calendar", "entry")


@dataclass
class Api:
    """Answers requests, and keeps what was asked."""

    world: World
    own_url: str
    quota: Quota = field(default_factory=Quota)
    rules: list[Rule] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)

    def answer(self, asked: Asked) -> Answer:
        if asked.path == "/token":
            return self._logged(asked, Route("token", "", "", "", ""), self._token)
        if asked.path == "/batch/calendar/v3":
            return self._logged(asked, Route("batch", "", "", "", ""), self._batch)
        return self._call(asked)

    def _token(self, asked: Asked, _: Route) -> Answer:
        try:
            return Answer(200, tokens.grant(self.world, asked.body, self.own_url))
        except tokens.GrantError as error:
            return Answer(error.status, error.body)

    def _batch(self, asked: Asked, _: Route) -> Answer:
        return batch.answer(self.world, asked, lambda part: self._call(part, in_batch=True))

    def _call(self, asked: Asked, *, in_batch: bool = False) -> Answer:
        route = route_of(asked)
        if route is None:
            return _error(not_found())
        return self._logged(asked, route, self._answered, in_batch=in_batch)

    def _logged(
        self,
        asked: Asked,
        route: Route,
        act: Callable[[Asked, Route], Answer],
        *,
        in_batch: bool = False,
    ) -> Answer:
        now = self.world.now()
        call = noted(asked, route, self._account(asked), in_batch=in_batch, now=now)
        answer = self._disturbed(asked, route, act)
        error = answer.body.get("error") if isinstance(answer.body, dict) else None
        reason = error["errors"][0]["reason"] if isinstance(error, dict) else error or ""
        ended = replace(call, status=answer.status, reason=reason, wire=answer.wire)
        with self.world.lock:
            self.calls.append(ended)
        return answer

    def _account(self, asked: Asked) -> str:
        token = asked.headers.get("authorization", "").removeprefix("Bearer ")
        caller, _ = self.world.tokens.get(token, (None, None))
        return caller.account if caller else ""

    def _disturbed(
        self, asked: Asked, route: Route, act: Callable[[Asked, Route], Answer]
    ) -> Answer:
        rule = self._due(route)
        if rule is None:
            return self._act(asked, route, act)
        if rule.call:
            rule.call()
        if rule.kind == "hang":
            self.stopping.wait(rule.seconds)
        instead = _instead(rule, route)
        return instead or self._afterwards(rule, self._act(asked, route, act))

    def _due(self, route: Route) -> Rule | None:
        with self.world.lock:
            concerned = [r for r in self.rules if r.concerns(route.operation, route.calendar)]
            firing = [rule for rule in concerned if rule.fires(self.world.random)]
        return firing[0] if firing else None

    def _act(self, asked: Asked, route: Route, act: Callable[[Asked, Route], Answer]) -> Answer:
        try:
            return act(asked, route)
        except ApiError as error:
            return _error(error)

    def _afterwards(self, rule: Rule, answer: Answer) -> Answer:
        if rule.kind == "hang_after":
            self.stopping.wait(rule.seconds)
        if rule.kind == "empty_list" and answer.status == 200:
            return replace(answer, body={**answer.body, "items": []})
        wires = {"close_after": "close", "reset_after": "reset", "truncate": "truncate"}
        return replace(answer, wire={**wires, "drop_part": "drop"}.get(rule.kind, ""))

    def _answered(self, asked: Asked, route: Route) -> Answer:
        with self.world.lock:
            caller = tokens.caller_of(self.world, asked.headers.get("authorization", ""))
            self._admit(asked, route, caller)
            asking = self._asking(asked, route, caller)
            mask = mask_of(asking.query.get("fields", "*"), route.schema)
            body = _done(asking, route.operation, body_of(asked))
        return Answer(204) if body is None else Answer(200, chosen(body, mask))

    def _asking(self, asked: Asked, route: Route, caller: Caller) -> Asking:
        name = caller.email if route.calendar == "primary" else route.calendar
        calendar = self.world.calendars.get(name)
        if calendar is None:
            raise not_found()
        if_match = asked.headers.get("if-match", "")
        return Asking(self.world, calendar, caller, route.event, query_of(asked), if_match)

    def _admit(self, asked: Asked, route: Route, caller: Caller) -> None:
        method = discovery()["resources"][route.resource]["methods"][route.method]
        if caller.scopes.isdisjoint(method["scopes"]):
            words = "Request had insufficient authentication scopes."
            raise ApiError(403, "insufficientPermissions", words)
        user = quota_user_of(asked)
        if len(user) > 40:
            raise invalid("Invalid value for: quotaUser", "invalidParameter")
        now = self.world.now()
        self.quota.take(user or caller.account, now)
        if route.operation not in READS:
            self.quota.check_use(caller.account, now)


def _done(asking: Asking, operation: str, sent: Body) -> Body | None:
    match operation:
        case "list":
            return listing.listed(asking)
        case "delete":
            events.delete(asking)
            return None
        case "calendar" | "entry":
            return _described(asking, operation)
        case "get":
            asking.role()
            event = events.find(asking)
        case "insert":
            event = events.insert(asking, sent)
        case _:
            event = events.change(asking, sent, whole=operation == "update")
    return events.shown(asking, event)


def _described(asking: Asking, operation: str) -> Body:
    """Return a calendar; what is shared does not enter anybody's list by itself."""
    calendar, role = asking.calendar, asking.role()
    about = {"id": calendar.id, "summary": calendar.id, "timeZone": calendar.zone}
    if operation == "calendar":
        return {"kind": "calendar#calendar", "etag": f'"c{calendar.epoch}"', **about}
    if role != "owner":
        raise not_found()
    entry = {"kind": "calendar#calendarListEntry", "accessRole": role, "defaultReminders": []}
    return {**entry, "etag": f'"l{calendar.epoch}"', **about}


def _error(error: ApiError) -> Answer:
    return Answer(error.status, error.body, error.headers)


def _instead(rule: Rule, route: Route) -> Answer | None:
    """Return what comes in place of an answer, where nothing is done at all."""
    if rule.kind == "status":
        wait = {} if rule.retry_after is None else {"Retry-After": str(rule.retry_after)}
        if route.operation == "token":
            said = {"error": rule.reason, "error_description": rule.message}
            return Answer(rule.status, said, wait)
        return _error(ApiError(rule.status, rule.reason, rule.message, wait))
    if rule.kind == "html":
        return Answer(rule.status, PAGE, {"Content-Type": "text/html; charset=UTF-8"})
    wire = {"close_before": "close", "reset_before": "reset"}.get(rule.kind)
    return Answer(0, wire=wire) if wire else None
