"""One SQS queue: receive and delete. Body, signature and answers are botocore's, the transport is the shop's own.

botocore comes with the extra `amazon-sqs` only. It is never asked for keys, regions or files of its own: all that it
needs stands in the shop's file. Its signature takes the wall clock, as the queue does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from syncd.sdk.channel import ShopContext
from syncd.sdk.errors import BrokenAnswer, SignInRequired, Throttled, Unavailable
from syncd.sdk.http import read_json, shown
from syncd_amazon.settings import AmazonSettings

EXTRA = "queue_arn needs an extra that is not installed: pip install 'syncd[amazon-sqs]', or take queue_arn away"
WAIT_SECONDS = 20
SPARE_SECONDS = 5.0
HIDDEN_SECONDS = 60
MESSAGES = 10
REFUSED_KEYS = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "InvalidClientTokenId",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)


@dataclass(frozen=True, slots=True)
class Message:
    """One delivery of a message; `receipt` deletes it."""

    body: str
    receipt: str


class Queue:
    """The queue that a shop's notifications wait in. Raises ValueError when it is built without the extra."""

    def __init__(self, settings: AmazonSettings, context: ShopContext) -> None:
        try:
            from botocore import parsers, serialize
            from botocore.auth import SigV4Auth
            from botocore.awsrequest import AWSRequest
            from botocore.credentials import Credentials
            from botocore.loaders import Loader
            from botocore.model import ServiceModel
        except ImportError:
            raise ValueError(EXTRA) from None
        assert settings.queue_arn is not None  # the settings see to these three
        assert settings.queue_key_id is not None
        assert settings.queue_secret is not None
        self._address = settings.queue_address
        parts = urlsplit(self._address)
        self._place = f"{parts.scheme}://{parts.netloc}"
        self._http = context.http(self._place)
        self._model = ServiceModel(Loader().load_service_model("sqs", "service-2"))
        self._serializer = serialize.create_serializer("json")
        self._parser = parsers.create_parser("json")
        self._request = AWSRequest
        keys = Credentials(settings.queue_key_id.get_secret_value(), settings.queue_secret.get_secret_value())
        self._signer = SigV4Auth(keys, "sqs", settings.queue_arn.split(":")[3])

    async def receive(self) -> list[Message]:
        """Up to ten messages; waits for the first as long as a call may last. They stay hidden for a minute."""
        wait = max(0, min(WAIT_SECONDS, int(self._http.timeout_seconds - SPARE_SECONDS)))
        answer = await self._call(
            "ReceiveMessage",
            {"MaxNumberOfMessages": MESSAGES, "WaitTimeSeconds": wait, "VisibilityTimeout": HIDDEN_SECONDS},
        )
        found = answer.get("Messages") or []
        return [Message(one["Body"], one["ReceiptHandle"]) for one in found if "Body" in one and "ReceiptHandle" in one]

    async def delete(self, receipts: Sequence[str]) -> None:
        """Delete messages. One that is not deleted comes again, which is harmless."""
        for start in range(0, len(receipts), MESSAGES):
            rows = receipts[start : start + MESSAGES]
            entries = [{"Id": str(i), "ReceiptHandle": receipt} for i, receipt in enumerate(rows)]
            await self._call("DeleteMessageBatch", {"Entries": entries})

    async def _call(self, name: str, given: Mapping[str, Any]) -> Mapping[str, Any]:
        operation = self._model.operation_model(name)
        made = self._serializer.serialize_to_request({"QueueUrl": self._address, **given}, operation)
        content: bytes = made["body"]
        answer = await self._http.send(
            name,
            made["method"],
            made["url_path"],
            content=content,
            fresh_headers=lambda: self._signed(made, content),
            accept=lambda _: True,
        )
        if answer.status_code >= 500:
            raise Unavailable(f"{name}: {answer.status_code} {shown(answer.text)}")
        read_json(answer, name)  # botocore would take a page of a proxy for an empty answer
        told = {"status_code": answer.status_code, "headers": dict(answer.headers), "body": answer.content}
        parsed: Any
        try:
            parsed = self._parser.parse(told, operation.output_shape)
        except Exception as error:  # noqa: BLE001  # botocore's parsers raise what they meet in a broken answer
            raise BrokenAnswer(f"{name}: {answer.status_code}, not an answer of SQS ({type(error).__name__})") from None
        if answer.status_code != 200:
            raise_refused(name, answer.status_code, parsed.get("Error", {}))
        if not isinstance(parsed, Mapping):
            raise BrokenAnswer(f"{name}: the answer is no object")
        return parsed

    def _signed(self, made: Mapping[str, Any], content: bytes) -> dict[str, str]:
        request = self._request(
            method=made["method"], url=self._place + made["url_path"], data=content, headers=dict(made["headers"])
        )
        self._signer.add_auth(request)
        return dict(request.headers.items())

    async def aclose(self) -> None:
        await self._http.aclose()


def raise_refused(name: str, status: int, error: Mapping[str, Any]) -> None:
    """Raise what a refusal means."""
    code = str(error.get("Code", ""))
    told = str(error.get("Message", ""))
    text = f"{name}: {status} {shown(f'{code} {told}')}"
    if "Throttl" in code or status == 429:
        raise Throttled(text)
    if status in (401, 403) or code in REFUSED_KEYS:
        raise SignInRequired(f"{text}; the queue refuses queue_key_id and queue_secret")
    raise BrokenAnswer(text)
