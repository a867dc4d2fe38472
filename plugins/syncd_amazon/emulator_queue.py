"""The queue in memory, by SQS's JSON protocol signatures checked by our own hand, and the desk of subscriptions."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from syncd.clock import Clock
from syncd_amazon.emulator_listings import Result

REGION = "ap-northeast-1"
ARN = f"arn:aws:sqs:{REGION}:123456789012:syncd"
ADDRESS = "http://127.0.0.1/123456789012/syncd"
KEY_ID = "AKIAEMULATED"
SECRET = "emulated-queue-secret"  # noqa: S105  # opens the emulator only
LOOK_SECONDS = 1.0


@dataclass(slots=True)
class Waiting:
    """One message: when it is seen again, and how often it was."""

    body: str
    seen_at: float = 0.0
    deliveries: int = 0


@dataclass(slots=True)
class QueueDesk:
    """A standard queue: at least once, in no order. What is not deleted comes again."""

    clock: Clock
    messages: dict[int, Waiting] = field(default_factory=dict)
    key_works: bool = True
    refuse: str = ""
    """A code of SQS to answer every call with."""
    sent: int = 0

    def put(self, body: str) -> None:
        self.sent += 1
        self.messages[self.sent] = Waiting(body)

    async def answer(self, request: Request) -> Response:
        content = await request.body()
        if not self.key_works or not signed(request, content):
            return _refused(403, "InvalidSignatureException", "The request signature we calculated does not match")
        if self.refuse:
            return _refused(400, self.refuse, "refused")
        given = json.loads(content)
        if urlsplit(given.get("QueueUrl", "")).path != urlsplit(ADDRESS).path:
            return _refused(400, "QueueDoesNotExist", "The specified queue does not exist.")
        match request.headers.get("x-amz-target", ""):
            case "AmazonSQS.ReceiveMessage":
                return _answered(await self._receive(given))
            case "AmazonSQS.DeleteMessageBatch":
                return _answered(self._delete(given))
        return _refused(400, "InvalidAction", "no such action")

    async def _receive(self, given: Mapping[str, Any]) -> dict[str, Any]:
        until = self.clock.monotonic() + given.get("WaitTimeSeconds", 0)
        while not self._seen() and self.clock.monotonic() < until:
            await self.clock.sleep(LOOK_SECONDS)
        found = []
        for number in self._seen()[: given.get("MaxNumberOfMessages", 1)]:
            message = self.messages[number]
            message.seen_at = self.clock.monotonic() + given.get("VisibilityTimeout", 30)
            message.deliveries += 1
            found.append(
                {
                    "MessageId": f"00000000-0000-4000-8000-{number:012d}",
                    "ReceiptHandle": f"{number}:{message.deliveries}",
                    "MD5OfBody": hashlib.md5(message.body.encode(), usedforsecurity=False).hexdigest(),
                    "Body": message.body,
                }
            )
        return {"Messages": found} if found else {}

    def _seen(self) -> list[int]:
        now = self.clock.monotonic()
        return [number for number, message in self.messages.items() if message.seen_at <= now]

    def _delete(self, given: Mapping[str, Any]) -> dict[str, Any]:
        done, failed = [], []
        for entry in given["Entries"]:
            number, _, delivery = entry["ReceiptHandle"].partition(":")
            message = self.messages.get(int(number))
            if message is not None and str(message.deliveries) != delivery:
                failed.append({"Id": entry["Id"], "Code": "ReceiptHandleIsInvalid", "SenderFault": True})
                continue
            self.messages.pop(int(number), None)
            done.append({"Id": entry["Id"]})
        return {"Successful": done, "Failed": failed}


def signed(request: Request, content: bytes) -> bool:
    """Whether a request bears the signature (version 4) of our key over method, path, named headers and body."""
    method, _, rest = request.headers.get("authorization", "").partition(" ")
    parts = dict(part.strip().partition("=")[::2] for part in rest.split(","))
    moment, scope = request.headers.get("x-amz-date", ""), f"/{REGION}/sqs/aws4_request"
    if method != "AWS4-HMAC-SHA256" or parts.get("Credential") != f"{KEY_ID}/{moment[:8]}{scope}":
        return False
    names = parts.get("SignedHeaders", "").split(";")
    if not {"host", "x-amz-date", "x-amz-target"} <= set(names):
        return False
    headers = "".join(f"{name}:{' '.join(request.headers.get(name, '').split())}\n" for name in names)
    body = hashlib.sha256(content).hexdigest()
    canonical = f"{request.method}\n{request.url.path}\n{request.url.query}\n{headers}\n{';'.join(names)}\n{body}"
    told = f"{method}\n{moment}\n{moment[:8]}{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{SECRET}".encode()
    for step in (moment[:8], REGION, "sqs", "aws4_request"):
        key = hmac.digest(key, step.encode(), "sha256")
    return hmac.compare_digest(hmac.digest(key, told.encode(), "sha256").hex(), parts.get("Signature", ""))


def _answered(body: Mapping[str, Any]) -> Response:
    return Response(json.dumps(body), 200, media_type="application/x-amz-json-1.0")


def _refused(status: int, code: str, message: str) -> Response:
    body = {"__type": f"com.amazonaws.sqs#{code}", "message": message}
    return JSONResponse(body, status_code=status, headers={"Content-Type": "application/x-amz-json-1.0"})


@dataclass(slots=True)
class SubscriptionDesk:
    """Destinations of the application and subscriptions of its one seller."""

    kept: list[dict[str, Any]] = field(default_factory=list)
    by_kind: dict[str, dict[str, Any]] = field(default_factory=dict)
    may_send: bool = True
    """Whether the queue's policy lets Amazon send to it."""

    def destinations(self) -> Result:
        return 200, {"payload": self.kept}

    def create_destination(self, body: Any) -> Result:
        if not self.may_send:
            return 400, _errors("InvalidInput", "The destination cannot be sent to")
        resource = body["resourceSpecification"]
        if any(one["resource"] == resource for one in self.kept):
            return 409, _errors("Conflict", "The destination exists")
        made = {"name": body["name"], "destinationId": f"destination-{len(self.kept) + 1}", "resource": resource}
        self.kept.append(made)
        return 200, {"payload": made}

    def get(self, kind: str) -> Result:
        found = self.by_kind.get(kind)
        return (200, {"payload": found}) if found else (404, _errors("NotFound", "There is no subscription"))

    def create(self, kind: str, body: Any) -> Result:
        if all(one["destinationId"] != body["destinationId"] for one in self.kept):
            return 400, _errors("InvalidInput", "There is no such destination")
        if kind in self.by_kind:
            return 409, _errors("Conflict", "The subscription exists")
        self.by_kind[kind] = {"subscriptionId": f"subscription-{kind}", **body}
        return 200, {"payload": self.by_kind[kind]}


def _errors(code: str, message: str) -> dict[str, Any]:
    return {"errors": [{"code": code, "message": message}]}
