"""Days computed again from the raw usage: when somebody asks, and by the job of every day (contract, Bills)."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from functools import partial
from itertools import count
from typing import Any

import pytest

from aws_platform import archive_check, keys
from aws_platform.archive_check import Pass
from rating.bill import Bill
from rating.civil import ONE_DAY
from rating.funds import Fund
from tests.adapters.prepaid import TAG, give, give_back, left
from tests.adapters.steps import A, at, tables
from tests.adapters.verifying import (
    DAY,
    PHONE,
    charge_of,
    entries,
    falsify,
    lay,
    line_of,
    lived,
    rewrite,
    take_record,
)
from tests.support.product import Product, event, events, queue_records

PHONE_TAG = "phone_two_factor"
FEN = Decimal("0.01")


@pytest.fixture
def settled(product: Product, opened: dict[str, list[Any]]) -> Product:
    """The product on the morning after a day with a bit of everything, after its run."""
    lived(product, opened)
    return product


def verification(product: Product, day: str = DAY, account_id: str = "acct-1") -> dict[str, Any]:
    """GET A/bills/verification."""
    reply = product.get(f"/v1/accounts/{account_id}/bills/verification", day=day)
    assert reply.status == 200, reply.text
    found: dict[str, Any] = reply.body
    assert found["matches"] == (not found["differences"])
    return found


def told(capsys: pytest.CaptureFixture[str], name: str) -> list[float]:
    """The values of a metric that were published since the last look."""
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    return [line[name][0] for line in lines if "_aws" in line and name in line]


def logged(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """The differences in the log, whose text is of no other line."""
    return [vars(one) for one in caplog.records if one.getMessage() == "verification difference"]


def worked(product: Product) -> list[dict[str, Any]]:
    """Work off what is queued for the job, and say what that was."""
    asked = []
    for bodies in product._taken(os.environ["VERIFICATION_QUEUE_URL"]):
        for body in bodies:
            asked.append(json.loads(body))
            assert product.invoke("VerificationFunction", queue_records([body])) == {"batchItemFailures": []}
    return asked


def settle(product: Product, account_id: str) -> None:
    """Settle one account, and no other."""
    message = json.dumps({"account_id": account_id})
    assert product.invoke("SettlementFunction", queue_records([message])) == {"batchItemFailures": []}


def of_the_same_part(account_id: str) -> str:
    """Another account's id that falls into the same part of the archive."""
    names = (f"other-{number}" for number in count())
    return next(name for name in names if keys.account_hash(name) == keys.account_hash(account_id))


def test_a_settled_day_matches(settled: Product) -> None:
    """A day that is charged as it should be has no difference, and its archive holds each of its calls."""
    assert verification(settled) == {
        "day": DAY,
        "settled": True,
        "matches": True,
        "differences": [],
        "archive": {"compared": True, "counted": 39, "archived": 39, "missing": 0, "unknown": 0, "other": 0},
    }


def test_a_day_without_usage_matches(settled: Product) -> None:
    """A day without usage matches, whenever it is; one that is not over is not settled."""
    for day, is_settled in (("2025-02-01", True), ("2025-03-02", False), ("2999-12-31", False)):
        found = verification(settled, day)
        assert (found["matches"], found["settled"]) == (True, is_settled)


def test_a_service_that_is_not_open_matches(product: Product) -> None:
    """An account that never could have usage has nothing that could differ."""
    assert product.request("POST", "/v1/accounts", {"account_id": "new", "name": "New"}).status == 201
    assert verification(product, DAY, "new")["matches"]


# --- what was falsified is named -------------------------------------------------------------------------------


def more_calls(bill: Bill) -> Bill:
    """One call more of a tag than was stored."""
    first, *rest = bill.counted
    return replace(bill, counted=(replace(first, calls={**first.calls, TAG: first.calls[TAG] + 1}), *rest))


def other_deduction(bill: Bill) -> Bill:
    """The package has given one call less."""
    first, *rest = bill.counted
    (one,) = first.deductions
    return replace(bill, counted=(replace(first, deductions=(replace(one, calls=one.calls - 1),)), *rest))


def other_cut(bill: Bill) -> Bill:
    """Postpaid was on where it was off."""
    first, noon, last = bill.counted
    return replace(bill, counted=(first, replace(noon, postpaid=True), last))


def other_quantity(bill: Bill) -> Bill:
    """One call more is charged."""

    def changed(line: Any) -> Any:
        quantities = replace(line.line.quantities, postpaid=line.line.quantities.postpaid + 1)
        return replace(line, line=replace(line.line, quantities=quantities))

    return line_of(bill, PHONE_TAG, changed)


def other_price(bill: Bill, name: str, value: str) -> Bill:
    """The line has another price, or another part of it."""
    price = partial(lambda line: replace(line.price, **{name: Decimal(value)}))
    return line_of(bill, PHONE_TAG, lambda one: replace(one, line=replace(one.line, price=price(one.line))))


def other_amount(bill: Bill) -> Bill:
    """A fen more was deducted."""
    return charge_of(bill, PHONE_TAG, lambda charge: replace(charge, amount=charge.amount + FEN))


def other_payment(bill: Bill) -> Bill:
    """Cash paid what gift money paid."""

    def changed(payment: Any) -> Any:
        return {fund: part for fund, part in {**payment, Fund.CASH: sum(payment.values())}.items() if fund == Fund.CASH}

    bill = charge_of(bill, PHONE_TAG, lambda charge: replace(charge, payment=changed(charge.payment)))
    return line_of(bill, PHONE_TAG, lambda line: replace(line, payment=changed(line.payment)))


def other_line_payment(bill: Bill) -> Bill:
    """The line says otherwise than its charge who paid."""
    return line_of(bill, PHONE_TAG, lambda line: replace(line, payment={Fund.INCOME_TRANSFER: FEN}))


def no_charge(bill: Bill) -> Bill:
    """A tag that was used is not charged."""
    return replace(bill, charges=tuple(charge for charge in bill.charges if charge.tag != PHONE_TAG))


def entry(number: int, amount: str) -> Callable[[Product], None]:
    """Another amount in the journal."""

    def change(page: Any) -> None:
        if page["kind"] == "settlement":
            page["entries"][number][1] = amount

    return lambda product: rewrite(product, "ledger", "J#2025-03-02", change, "page")


def reference(product: Product) -> None:
    """The journal's page names another bill."""
    rewrite(product, "ledger", "J#2025-03-02", lambda page: page.update(reference="other"), "page")


def kind_of_page(product: Product) -> None:
    """The journal's page is no settlement's."""
    rewrite(product, "ledger", "J#2025-03-02", lambda page: page.update(kind="order"), "page")


def no_page(product: Product) -> None:
    """The journal has no page."""
    (item,) = [
        one for one in product.dynamodb.scan(TableName="ledger")["Items"] if one["sk"]["S"].startswith("J#2025-03-02")
    ]
    product.dynamodb.delete_item(TableName="ledger", Key={name: item[name] for name in ("pk", "sk")})


def no_bill(product: Product) -> None:
    """The account's last bill is not there."""
    (item,) = [one for one in product.dynamodb.scan(TableName="ledger")["Items"] if one["sk"]["S"].startswith("B#")]
    product.dynamodb.delete_item(TableName="ledger", Key={name: item[name] for name in ("pk", "sk")})


def no_voucher(bill: Bill) -> Bill:
    """The bill does not say which voucher paid."""
    return replace(bill, voucher_id=None)


def used(number: int) -> Callable[[Product], None]:
    """Put the package back into its wallet, with so many calls used."""

    def change(product: Product) -> None:
        (package_id,) = left(product)
        kept = [package_id, "gift", 20, number, 1740794400, 1772330400, 0]
        rewrite(product, "ledger", f"1#wallet#{TAG}", lambda document: document.update(packages=[kept]), "body")

    return change


def bill(change: Callable[[Bill], Bill]) -> Callable[[Product], None]:
    """Falsify the bill."""
    return lambda product: falsify(product, change)


def no_lines(bill: Bill) -> Bill:
    """A charge has lost its lines."""
    return charge_of(bill, PHONE_TAG, lambda charge: replace(charge, lines=()))


def without_price(bill: Bill) -> Bill:
    """The bill has taken calls of a tag that has no price, so that nothing can be computed from it."""
    first, *rest = bill.counted
    return replace(bill, counted=(replace(first, calls={"no_such_tag": 1}), *rest))


def other_day(bill: Bill) -> Bill:
    """The bill says that it is for one day more."""
    return replace(bill, last_day=bill.last_day + ONE_DAY)


FALSIFIED: dict[str, tuple[Callable[[Product], None], dict[str, Any]]] = {
    "a record is gone": (take_record, {"kind": "usage", "tag": TAG, "charged": "15", "computed": "14"}),
    "a counted number": (bill(more_calls), {"kind": "usage", "tag": TAG, "charged": "16", "computed": "15"}),
    "a deduction": (bill(other_deduction), {"kind": "deduction", "tag": TAG, "charged": "14", "computed": "15"}),
    "a segment": (bill(other_cut), {"kind": "segment"}),
    "a quantity": (bill(other_quantity), {"kind": "line", "detail": "calls charged", "charged": "8", "computed": "7"}),
    "a price": (
        bill(partial(other_price, name="unit_price", value="0.99")),
        {"kind": "line", "detail": "unit price", "charged": "0.99", "tag": PHONE_TAG},
    ),
    "a list price": (
        bill(partial(other_price, name="list_price", value="0.99")),
        {"kind": "line", "detail": "list price", "charged": "0.99", "tag": PHONE_TAG},
    ),
    "a discount": (
        bill(partial(other_price, name="discount_rate", value="0.8")),
        {"kind": "line", "detail": "discount rate", "charged": "0.80", "computed": "0.90"},
    ),
    "an amount": (bill(other_amount), {"kind": "amount", "tag": PHONE_TAG}),
    "a payment": (bill(other_payment), {"kind": "payment", "tag": PHONE_TAG}),
    "the payment of a line": (bill(other_line_payment), {"kind": "payment", "tag": PHONE_TAG}),
    "a charge": (bill(no_charge), {"kind": "line", "tag": PHONE_TAG, "charged": None, "transaction_id": None}),
    "an entry": (entry(1, "-0.01"), {"kind": "journal", "detail": "sum of the entries"}),
    "a reference": (reference, {"kind": "journal", "detail": "reference", "charged": "other"}),
    "the kind of a page": (kind_of_page, {"kind": "journal", "detail": "kind", "charged": "order"}),
    "a page": (no_page, {"kind": "journal", "detail": "no page", "charged": None}),
    "a voucher": (bill(no_voucher), {"kind": "journal", "detail": "voucher", "computed": None}),
    "all lines of a charge": (bill(no_lines), {"kind": "line", "tag": PHONE_TAG, "charged": None}),
    "a tag": (bill(without_price), {"kind": "bill", "detail": "cannot be computed: UnknownTag"}),
    "the bill's days": (bill(other_day), {"kind": "bill", "charged": "2025-03-02", "computed": DAY}),
    "a bill that is gone": (
        no_bill,
        {"kind": "bill", "detail": "the account's last bill is not there", "charged": None, "tag": None},
    ),
    "a package": (used(19), {"kind": "package", "charged": "19", "computed": "20"}),
}


@pytest.mark.parametrize("name", FALSIFIED)
def test_what_was_falsified_is_named(settled: Product, name: str) -> None:
    """Whatever of a day's charges is changed afterwards, a difference names it and is no pending one."""
    change, wanted = FALSIFIED[name]
    change(settled)
    found = [one for one in verification(settled)["differences"] if one["kind"] != "archive"]
    assert any({name: one[name] for name in wanted} == wanted for one in found), found
    assert not any(one["pending"] for one in found)


# --- usage that nobody charged yet -----------------------------------------------------------------------------


def test_usage_of_an_open_day_is_pending(settled: Product) -> None:
    """What no run has taken was not charged, and so is a pending difference; after the run it matches."""
    settled.report(events("acct-1", 3, "2025-03-02T09:00:00+08:00", prefix="today"))
    found = verification(settled, "2025-03-02")
    (one,) = found["differences"]
    assert (one["kind"], one["tag"], one["charged"], one["computed"], one["pending"]) == ("usage", TAG, "0", "3", True)
    assert (found["settled"], found["archive"]["compared"]) == (False, False)
    settled.move("2025-03-03T09:30:00+08:00")
    assert verification(settled, "2025-03-02")["matches"]


def test_late_usage_is_pending_until_its_run(settled: Product, capsys: pytest.CaptureFixture[str]) -> None:
    """Late usage is pending; its run has the day verified again, and what the day's first bill took stays right."""
    settled.verify()
    assert entries(settled) == []
    settled.report([event("acct-1", "late", f"{DAY}T12:06:00+08:00"), event("acct-1", "l", f"{DAY}T23:00:00+08:00")])
    found = verification(settled)
    assert [one["pending"] for one in found["differences"]] == [True, True]
    assert not found["settled"]
    settled.move("2025-03-03T09:30:00+08:00")
    assert verification(settled)["matches"]
    assert len(entries(settled)) == 1
    told(capsys, "")
    assert settled.verify()["days"] == 1
    assert told(capsys, "VerificationDifferences") == [0, 0]


# --- the archive -----------------------------------------------------------------------------------------------


def archived(product: Product) -> dict[str, Any]:
    """The last pack of the day."""
    found: dict[str, Any] = product.archive.packs()[-1]
    return found


def test_repeats_in_the_archive_do_no_harm(settled: Product) -> None:
    """The same calls archived again and again are one each."""
    for number, pack in enumerate(settled.archive.packs()):
        lay(settled, pack, f"again-{number}")
    assert verification(settled)["matches"]


def test_a_call_that_is_not_archived_is_found(settled: Product) -> None:
    """A call that was counted and is not in the archive is a difference."""
    packs = settled.archive.packs()
    settled.archive.empty()
    for number, pack in enumerate(packs):
        lay(settled, {**pack, "calls": pack["calls"][1:]} if number == 0 else pack, f"{number}")
    found = verification(settled)
    assert found["archive"]["missing"] == 1
    assert [(one["kind"], one["charged"], one["pending"]) for one in found["differences"]] == [("archive", "1", False)]


def test_a_call_that_is_not_counted_is_found(settled: Product) -> None:
    """A call in the archive that was not counted is a difference, counted once however often it is there."""
    pack = archived(settled)
    call = [*pack["calls"][0][:2], "never counted", *pack["calls"][0][3:]]
    lay(settled, {**pack, "calls": [call, call]}, "more")
    found = verification(settled)
    assert found["archive"] == {
        "compared": True, "counted": 39, "archived": 40, "missing": 0, "unknown": 1, "other": 0
    }  # fmt: skip
    assert [(one["kind"], one["computed"]) for one in found["differences"]] == [("archive", "1")]


@pytest.mark.parametrize("column, value", [(3, "basic_authority"), (3, "no_such_tag"), (4, "false")])
def test_a_call_that_is_archived_as_another_is_found(settled: Product, column: int, value: str) -> None:
    """A call of another tag, or charged where it is not, differs, unless it is in the archive as it was counted too."""
    packs = settled.archive.packs()
    settled.archive.empty()
    for number, pack in enumerate(packs):
        calls = pack["calls"]
        if number == 0:
            calls = [[*calls[0][:column], value, *calls[0][column + 1 :]], *calls[1:]]
        lay(settled, {**pack, "calls": calls}, f"{number}")
    assert verification(settled)["archive"]["other"] == 1
    lay(settled, packs[0], "as it was")
    assert verification(settled)["matches"]


def test_a_call_on_its_way_to_the_archive_is_pending(settled: Product) -> None:
    """Firehose keeps calls back for a while: what is missing within an hour of the day or of its charge is pending."""
    settled.archive.empty()
    for now, pending in (("2025-03-02T08:59:59+08:00", True), ("2025-03-02T09:00:00+08:00", False)):
        settled.now = at(now)
        assert [one["pending"] for one in verification(settled)["differences"]] == [pending]


def test_late_usage_on_its_way_to_the_archive_is_no_alarm(settled: Product, capsys: pytest.CaptureFixture[str]) -> None:
    """What is missing of a day with late usage may be on its way; it is compared again after the run of that usage."""
    settled.report([event("acct-1", "late", f"{DAY}T23:00:00+08:00")])
    settled.archive.empty()
    settled.verify()
    assert sum(told(capsys, "VerificationDifferences")) == 0
    settled.move("2025-03-03T12:30:00+08:00")
    settled.verify()
    assert sum(told(capsys, "VerificationDifferences")) == 1


def test_a_call_that_comes_while_the_archive_is_read_is_no_alarm(
    settled: Product, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A call that was stored after the buckets were read, and archived before the archive was, is not unknown."""
    held = archive_check.ArchiveCheck._held

    def slow(*given: Any) -> Any:
        found = held(*given)
        settled.report([event("acct-1", "late", f"{DAY}T23:00:00+08:00")])
        return found

    monkeypatch.setattr(archive_check.ArchiveCheck, "_held", slow)
    settled.verify()
    assert sum(told(capsys, "VerificationDifferences")) == 0


def test_an_archive_that_is_broken_is_told(settled: Product) -> None:
    """What is no pack is a difference that names the object, and nothing is taken as compared."""
    pack = archived(settled)
    settled.archive.lay(f"calls/day={DAY}/account_hash={pack['account_hash']}/broken", b"{}\n")
    found = verification(settled)
    assert not found["archive"]["compared"]
    assert [one["detail"].endswith("/broken holds something that is no pack") for one in found["differences"]] == [True]


@pytest.mark.parametrize("name, value", [("SOON_READ_BYTES", 100), ("MOST_CALLS", 10)])
def test_a_large_archive_is_for_the_job(
    settled: Product, monkeypatch: pytest.MonkeyPatch, name: str, value: int
) -> None:
    """Where the archive takes too long to read, or holds too many calls, an answer leaves it out and says so."""
    module = "bills.verification" if name == "SOON_READ_BYTES" else "aws_platform.archive_check"
    monkeypatch.setattr(f"{module}.{name}", value)
    found = verification(settled)
    assert found["matches"]
    assert found["archive"] == dict.fromkeys(found["archive"], 0)


def test_what_has_left_the_archive_is_not_missed(settled: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """A day that is older than the archive is not compared with it."""
    settled.archive.empty()
    monkeypatch.setitem(os.environ, "ARCHIVE_DAYS", "90")
    settled.now = at("2025-06-01T09:00:00+08:00")
    found = verification(settled)
    assert (found["matches"], found["archive"]["compared"]) == (True, False)


# --- the job ---------------------------------------------------------------------------------------------------


def test_job_verifies_what_was_settled_once(settled: Product, capsys: pytest.CaptureFixture[str]) -> None:
    """The plan queues the parts with settled days, a part its days; what was looked at is not planned again."""
    assert len(entries(settled)) == 1
    assert settled.verify() == {"days": 1, "parts": 1, "overdue": 0}
    assert entries(settled) == []
    assert json.dumps(settled.verify()) == '{"days": 0, "parts": 0, "overdue": 0}'
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line]
    names = [line["_aws"]["CloudWatchMetrics"][0]["Metrics"][0]["Name"] for line in lines]
    assert names == ["UnverifiedDays", "VerificationDifferences", "VerificationDifferences", "UnverifiedDays"]
    assert [line[name] for line, name in zip(lines, names, strict=True)] == [[0]] * 4


def test_job_tells_and_repairs_nothing(
    settled: Product, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Each difference is in the log with its ids and counts in the metric; but for the index everything stays."""
    falsify(settled, other_amount)
    lay(
        settled,
        {**archived(settled), "calls": [["2025-03-01T12:00:00+08:00", "s", "x", TAG, "true", "", "", "", ""]]},
        "x",
    )
    before = tables(settled)
    settled.verify()
    after = tables(settled)
    assert (before["ledger"], before["live"]) == (after["ledger"], after["live"])
    changed = set(before["usage"]) ^ set(after["usage"])
    assert len(changed) == 2
    assert all('"sk": {"S": "D#2025-03-01"}' in one for one in changed)
    found = logged(caplog)
    assert sorted((one["kind"], one["account_id"], one["day"]) for one in found) == sorted(
        (kind, "acct-1", DAY) for kind in ("amount", "archive", "journal", "payment")
    )
    assert all(one["bill_id"].startswith("20250301-") for one in found if one["kind"] != "archive")
    assert sum(told(capsys, "VerificationDifferences")) == 4


def test_days_that_wait_too_long_are_counted(settled: Product) -> None:
    """A day that could not be verified is planned again each day, and told once it has waited for two."""
    part = archived(settled)["account_hash"]
    settled.archive.lay(f"calls/day={DAY}/account_hash={part}/broken", b"{}\n")
    message = json.dumps({"task": "archive", "settled_on": "2025-03-02", "day": DAY, "part": part})
    overdue = []
    for day in ("02", "03", "04"):
        settled.now = at(f"2025-03-{day}T12:30:00+08:00")
        overdue.append(settled.invoke("PlannerFunction", {"task": "verify"})["overdue"])
        failed = settled.invoke("VerificationFunction", queue_records([message]))
        assert failed == {"batchItemFailures": [{"itemIdentifier": "m-0"}]}
    assert overdue == [0, 0, 1]
    queued = [json.loads(body) for bodies in settled._taken(os.environ["VERIFICATION_QUEUE_URL"]) for body in bodies]
    # The charges do not wait for an archive that can be read.
    assert {"task": "charges", "account_id": "acct-1", "day": DAY} in queued


@pytest.mark.parametrize(
    "body", ["no json", "{}", '{"task": "repair"}', '{"task": "charges", "account_id": "nobody", "day": "2025-03-01"}']
)
def test_a_message_that_cannot_be_worked_stays_on_the_queue(settled: Product, body: str) -> None:
    """A message that makes no sense fails alone, so that the queue puts it aside."""
    message = json.dumps({"task": "charges", "account_id": "acct-1", "day": DAY})
    answer = settled.invoke("VerificationFunction", queue_records([message, body]))
    assert answer == {"batchItemFailures": [{"itemIdentifier": "m-1"}]}


def test_a_large_part_is_gone_through_in_passes(
    settled: Product, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A large part takes several messages, each of which holds a share of the calls; all of them are compared."""
    falsified = archived(settled)
    lay(settled, {**falsified, "calls": [[*falsified["calls"][0][:2], "new", *falsified["calls"][0][3:]]]}, "more")
    monkeypatch.setattr(archive_check, "MOST_CALLS", 15)
    held: dict[int, list[int]] = {}
    compare = archive_check.ArchiveCheck.compare

    def watched(check: Any, day: Any, part: Any, accounts: Any, share: Pass, *more: Any) -> Any:
        compared = compare(check, day, part, accounts, share, *more)
        held.setdefault(share.of, []).append(sum(one.counted for one in compared))
        return compared

    monkeypatch.setattr(archive_check.ArchiveCheck, "compare", watched)
    settled.verify()
    passes = held[max(held)]
    assert len(passes) == max(held) > 2
    assert (sum(passes), max(passes) <= 15) == (39, True)
    assert sum(told(capsys, "VerificationDifferences")) == 1
    assert entries(settled) == []


def test_a_part_with_too_many_calls_takes_more_passes(
    settled: Product, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where a pass holds more calls than it may, there are twice as many passes, until they fit."""
    monkeypatch.setattr(archive_check, "MOST_CALLS", 15)
    settled.verify()
    assert sum(told(capsys, "VerificationDifferences")) == 0
    assert entries(settled) == []


def test_a_day_that_is_settled_after_the_plan_is_verified_whole(settled: Product) -> None:
    """A part queues the charges of each day that it takes out of the index, also of one that came after the plan."""
    settled.verify()
    today, other = "2025-03-02", of_the_same_part("acct-1")
    settled.open_account(other, cash="100", opened_at="2025-01-01T00:00:00+08:00")
    for account_id in ("acct-1", other):
        settled.report(events(account_id, 3, f"{today}T09:00:00+08:00", prefix="today"))
    settled.now = at("2025-03-03T12:30:00+08:00")
    settle(settled, "acct-1")
    assert settled.invoke("PlannerFunction", {"task": "verify"}) == {"days": 1, "parts": 1, "overdue": 0}
    settle(settled, other)
    asked = worked(settled)
    assert entries(settled) == []
    charges = [(one["account_id"], one["day"]) for one in asked if one["task"] == "charges"]
    assert sorted(charges) == sorted([("acct-1", today), (other, today)])


@pytest.mark.parametrize("lost", ["due_pk", "item"])
def test_a_day_that_no_run_finds_is_told(
    settled: Product, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str], lost: str
) -> None:
    """Usage that left the index without being charged is seen in the archive, where its part is worked off."""
    settled.verify()
    today, other = "2025-03-02", of_the_same_part("acct-1")
    settled.open_account(other, cash="100", opened_at="2025-01-01T00:00:00+08:00")
    for account_id in ("acct-1", other):
        settled.report(events(account_id, 3, f"{today}T09:00:00+08:00", prefix="today"))
    key = {"pk": {"S": keys.usage_account(other)}, "sk": {"S": f"D#{today}"}}
    if lost == "item":
        settled.dynamodb.delete_item(TableName="usage", Key=key)
    else:
        settled.dynamodb.update_item(TableName="usage", Key=key, UpdateExpression="REMOVE due_pk, due_sk")
    settled.move("2025-03-03T12:30:00+08:00")
    settled.verify()
    found = [(one["kind"], one["account_id"], one["day"], one["charged"], one["computed"]) for one in logged(caplog)]
    assert found == [("usage", other, today, "0", "3")]
    assert sum(told(capsys, "VerificationDifferences")) == 1


def test_accounts_that_wait_for_their_run_are_not_missed(settled: Product, capsys: pytest.CaptureFixture[str]) -> None:
    """Who settles by the month, or was not settled in time, is due: the archive has the usage, and no bill has it."""
    settled.verify()
    today, other = "2025-03-02", of_the_same_part("acct-1")
    settled.open_account(other, cash="100", opened_at="2022-06-01T00:00:00+08:00")
    for account_id in ("acct-1", other):
        settled.report(events(account_id, 3, f"{today}T09:00:00+08:00", prefix="today"))
    settled.move("2025-03-03T12:30:00+08:00")
    settled.invoke("PlannerFunction", {"task": "verify"})
    assert [one["account_id"] for one in worked(settled) if one["task"] == "charges"] == ["acct-1"]
    assert sum(told(capsys, "VerificationDifferences")) == 0


def test_a_late_day_does_not_bring_the_others_back(settled: Product) -> None:
    """Where a part holds only late usage, the other accounts of the day were verified before, and are not again."""
    other = of_the_same_part("acct-1")
    settled.open_account(other, cash="100", opened_at="2025-01-01T00:00:00+08:00")
    settled.verify()
    settled.report(events(other, 3, f"{DAY}T10:00:00+08:00"))
    settled.move("2025-03-03T12:30:00+08:00")
    settled.invoke("PlannerFunction", {"task": "verify"})
    assert [one["account_id"] for one in worked(settled) if one["task"] == "charges"] == [other]


@pytest.mark.parametrize("most_calls", [1000, 15])
def test_what_is_missing_is_looked_for_once_more(
    settled: Product, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], most_calls: int
) -> None:
    """Calls that are late in the archive are told, and looked for again on the next day, but no third time."""
    monkeypatch.setattr(archive_check, "MOST_CALLS", most_calls)
    first, *packs = settled.archive.packs()
    settled.archive.empty()
    for number, pack in enumerate([{**first, "calls": first["calls"][1:]}, *packs]):
        lay(settled, pack, f"{number}")
    kept = []
    for day in ("02", "03"):
        settled.now = at(f"2025-03-{day}T12:30:00+08:00")
        assert settled.verify() == {"days": 1, "parts": 1, "overdue": 0}
        assert sum(told(capsys, "VerificationDifferences")) == 1
        kept.append(len(entries(settled)))
    assert kept == [1, 0]


def test_only_days_with_calls_missing_are_kept(settled: Product) -> None:
    """Whose calls are all in the archive is done, whatever is missing of its neighbours."""
    settled.verify()
    today, other = "2025-03-02", of_the_same_part("acct-1")
    settled.open_account(other, cash="100", opened_at="2025-01-01T00:00:00+08:00")
    settled.report(events("acct-1", 3, f"{today}T09:00:00+08:00", prefix="today"))
    kept = archived(settled)
    settled.report(events(other, 3, f"{today}T09:00:00+08:00", prefix="today"))
    settled.move("2025-03-03T12:30:00+08:00")
    settled.archive.empty()
    lay(settled, kept, "kept")
    settled.verify()
    (entry_,) = entries(settled)
    assert keys.read_verify(entry_)[3] == other


def test_passes_go_by_the_calls_that_are_compared(settled: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much of other accounts lies in a part, the few calls that are to be compared take one pass."""
    other, pack = of_the_same_part("acct-1"), archived(settled)
    lay(settled, {**pack, "account_id": other, "calls": pack["calls"][:1] * 5_000}, "huge")
    monkeypatch.setattr(archive_check, "MOST_CALLS", 50)
    settled.open_account(other, cash="100", opened_at="2025-01-01T00:00:00+08:00")
    settled.invoke("PlannerFunction", {"task": "verify"})
    assert [one["task"] for one in worked(settled)].count("archive") == 1


def test_the_plan_asks_for_parts_alone(settled: Product) -> None:
    """However many days wait, a plan is one message a part; what the part holds is queued by who works it off."""
    settled.invoke("PlannerFunction", {"task": "verify"})
    (bodies,) = settled._taken(os.environ["VERIFICATION_QUEUE_URL"])
    part = archived(settled)["account_hash"]
    assert [json.loads(body) for body in bodies] == [
        {"task": "archive", "settled_on": "2025-03-02", "part": part, "day": DAY}
    ]


def test_a_day_that_is_billed_again_meanwhile_is_verified_again(
    settled: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An entry that came after the comparison began stays, for the next plan."""
    settled.report([event("acct-1", "late", f"{DAY}T23:00:00+08:00")])
    compare = archive_check.ArchiveCheck.compare

    def slow(*given: Any) -> Any:
        compared = compare(*given)
        settled.now = at("2025-03-03T08:00:00+08:00")
        settled.run()
        return compared

    monkeypatch.setattr(archive_check.ArchiveCheck, "compare", slow)
    settled.verify()
    (entry_,) = entries(settled)
    assert entry_.startswith("2025-03-03#")


def test_passes_begin_anew_where_a_day_came_meanwhile(settled: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where another day of the part was settled between two passes, the passes that did not see it are repeated."""
    (first,) = entries(settled)
    monkeypatch.setattr(archive_check, "MOST_CALLS", 15)
    settled.invoke("PlannerFunction", {"task": "verify"})
    numbers: list[int] = []
    for bodies in settled._taken(os.environ["VERIFICATION_QUEUE_URL"]):
        for body in bodies:
            message = json.loads(body)
            numbers.append(message.get("pass", 0))
            settled.invoke("VerificationFunction", queue_records([body]))
            if len(numbers) == 2:
                settled.dynamodb.update_item(
                    TableName="usage",
                    Key={"pk": {"S": "acct-1#days"}, "sk": {"S": f"D#{DAY}"}},
                    UpdateExpression="SET due_sk = :other",
                    ExpressionAttributeValues={":other": {"S": f"{first}0"}},
                )
    assert numbers.count(0) >= 3
    assert entries(settled) == []


# --- no false alarm --------------------------------------------------------------------------------------------


def test_a_month_is_verified_with_its_first_day(product: Product, capsys: pytest.CaptureFixture[str]) -> None:
    """A monthly account's days are verified once the month is charged; late usage that changes its tier is right."""
    product.open_account("monthly", cash="10000", opened_at="2022-06-01T00:00:00+08:00")
    product.report(events("monthly", 990, "2025-03-01T09:00:00+08:00"))
    product.now = at("2025-03-20T10:00:00+08:00")
    product.report(events("monthly", 9, "2025-03-20T09:00:00+08:00", prefix="y"))
    assert verification(product, "2025-03-20", "monthly")["differences"][0]["pending"]
    product.now = at("2025-04-01T08:00:00+08:00")
    product.run()
    product.report(events("monthly", 20, "2025-03-20T11:00:00+08:00", prefix="late"))
    product.now = at("2025-04-01T12:30:00+08:00")
    assert product.verify() == {"days": 2, "parts": 2, "overdue": 0}
    product.now = at("2025-05-01T08:00:00+08:00")
    product.run()
    product.now = at("2025-05-01T12:30:00+08:00")
    assert product.verify() == {"days": 1, "parts": 1, "overdue": 0}
    assert sum(told(capsys, "VerificationDifferences")) == 0
    for day in ("2025-03-01", "2025-03-20", "2025-03-21"):
        assert verification(product, day, "monthly")["matches"], day


def test_switches_that_are_forgotten_do_no_harm(settled: Product) -> None:
    """Switches are kept for a while only; an older day is believed how its bill was cut, and else computed again."""
    settled.now = at("2025-09-01T09:00:00+08:00")
    for enabled in (False, True):
        assert settled.request("PATCH", A, {"postpaid_enabled": enabled}).status == 200
    assert verification(settled)["matches"]
    falsify(settled, other_deduction)
    assert [one["kind"] for one in verification(settled)["differences"]] == ["deduction", "package"]


def test_nothing_of_a_package_s_life_is_a_difference(metered: Product) -> None:
    """Refunds, gifts, packages that ended and left their wallet, prices and terms that changed: days stay right."""
    product = metered
    days = []

    def use(number: int, **fields: Any) -> None:
        now = product.now.isoformat()
        days.append(now[:10])
        product.report(events("acct-1", number, now, prefix=now, **fields))
        product.now = at(f"{product.now.date().isoformat()}T23:00:00+08:00")
        product.now = product.now.replace(hour=8) + (at("2025-01-02T00:00:00+08:00") - at("2025-01-01T00:00:00+08:00"))
        product.run()

    give(product, 40)
    body = {"items": [{"sku": "identity_check:1000", "quantity": 2}]}
    order = product.request("POST", f"{A}/orders", body, headers={"Idempotency-Key": "o"}).body
    use(30)
    assert give_back(product, order["packages"][1]["package_id"]).status == 202
    product.sweep_until(at("2025-03-02T10:00:00+08:00"))
    use(30)
    price = {"price_list": "daily", "unit_price": "0.40", "from": "2025-03-05"}
    assert product.request("PUT", f"/v1/prices/{PHONE_TAG}", price).status == 200
    contract = {"unit_price": "0.125", "from": "2025-03-04"}
    assert product.request("PUT", f"{A}/contract-prices/{TAG}", contract).status == 200
    use(8, **PHONE)
    # A year and more: what is left of the packages has ended, and leaves the wallet with the next bill.
    product.now = at("2026-03-01T09:00:00+08:00")
    use(3)
    product.now = at("2026-06-01T09:00:00+08:00")
    use(3)
    assert [one for one in product.dynamodb.scan(TableName="ledger")["Items"] if one["sk"]["S"].startswith("E#")]
    for day in days:
        found = verification(product, day)
        assert found["matches"], found
