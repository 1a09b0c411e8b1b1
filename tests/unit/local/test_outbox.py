"""What left the stack, as the sandbox shows it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from local.emulator import Emulator
from local.outbox import Outbox

URL = "http://127.0.0.1:1/000000000000/sandbox-events"


@dataclass
class Looked:
    """In place of the emulator: what its own pages say."""

    pages: dict[str, Any]

    def look(self, what: str, **query: str) -> Any:
        """See `Emulator`."""
        assert query == ({"QueueUrl": URL} if what.startswith("sqs") else {})
        return self.pages[what]


def outbox(earlier: Path = Path("none.json"), **pages: Any) -> Outbox:
    """An outbox over pages that are named by service; the others are empty."""
    empty: dict[str, Any] = {
        "ses/messages": {"messages": {}},
        "sns/sms-messages": {"sms_messages": {}},
        "sqs/messages": {"messages": {}},
    }
    given = {name.replace("_", "/", 1).replace("_", "-"): page for name, page in pages.items()}
    return Outbox(cast("Emulator", Looked({**empty, **given})), URL, earlier)


def mail(subject: str, at: float) -> dict[str, Any]:
    """An e-mail as the emulator keeps it."""
    return {"To": ["a@example.com"], "Subject": subject, "BodyText": f"about {subject}", "Timestamp": at}


def test_nothing_was_sent() -> None:
    """Both lists are empty before anything happens."""
    assert outbox().messages() == []
    assert outbox().events() == []


def test_messages_as_handed_over() -> None:
    """E-mails come in the order of their times, then SMS, whose time nobody keeps, in their order."""
    texts = [{"PhoneNumber": "+8613800000000", "Message": text} for text in ("one", "two")]
    left = outbox(
        ses_messages={"messages": {"000000000000": [mail("second", 61.5), mail("first", 0.2)]}},
        sns_sms_messages={"sms_messages": {"+8613800000000": texts, "+8613800000001": []}},
    )
    common = {"channel": "email", "to": ["a@example.com"]}
    sms = {"channel": "sms", "to": ["+8613800000000"], "sent_at": None}
    assert left.messages() == [
        {**common, "subject": "first", "body": "about first", "sent_at": "1970-01-01T08:00:00+08:00"},
        {**common, "subject": "second", "body": "about second", "sent_at": "1970-01-01T08:01:01+08:00"},
        {**sms, "body": "one"},
        {**sms, "body": "two"},
    ]


def test_mails_of_an_earlier_start(tmp_path: Path) -> None:
    """Saved e-mails come before those of the next start, however often that is repeated."""
    kept = tmp_path / "mail.json"
    for start in range(3):
        sent = {"messages": {"000000000000": [mail(f"start {start}", 0)]}}
        left = outbox(kept, ses_messages=sent)
        assert [one["subject"] for one in left.messages()] == [f"start {number}" for number in range(start + 1)]
        left.save()


def test_events_as_the_bus_saw_them() -> None:
    """Events come as they arrived; a notice's time is its own, another event's that of the bus."""

    def message(number: str, detail: dict[str, Any]) -> dict[str, str]:
        envelope = {"id": number, "time": "2026-11-22T00:00:00Z", "detail-type": "kind", "source": "zhangben"}
        return {"Body": json.dumps({**envelope, "detail": detail})}

    notice = {"occurred_at": "2025-03-01T09:00:00+08:00", "kind": "arrears"}
    kept = [message("1", notice), message("2", {"x": 1})]
    left = outbox(sqs_messages={"messages": {"000000000000": {"us-east-1": {URL: kept}}}})
    common = {"detail_type": "kind", "source": "zhangben"}
    assert left.events() == [
        {**common, "event_id": "1", "time": "2025-03-01T09:00:00+08:00", "detail": notice},
        {**common, "event_id": "2", "time": "2026-11-22T08:00:00+08:00", "detail": {"x": 1}},
    ]
