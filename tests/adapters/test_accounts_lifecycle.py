"""The life of an account: created, applied for, approved or rejected, changed, stopped (contract, Accounts)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.adapters.steps import NOW, A, at, tables
from tests.support.product import CUSTOMER, Product, Reply, event, events

NEW = {"account_id": "acct-1", "name": "Example"}
SERVICE = f"{A}/service"


def create(product: Product, **fields: Any) -> Reply:
    """POST /v1/accounts."""
    return product.request("POST", "/v1/accounts", {**NEW, **fields})


def apply(product: Product, **fields: Any) -> Reply:
    """POST A/service/application, as the customer."""
    body = {"purpose": "identity checks", **fields}
    return product.request("POST", f"{SERVICE}/application", body, CUSTOMER, "acct-1")


def approve(product: Product, **fields: Any) -> Reply:
    """POST A/service/approval."""
    return product.request("POST", f"{SERVICE}/approval", fields)


def reject(product: Product, **fields: Any) -> Reply:
    """POST A/service/rejection."""
    return product.request("POST", f"{SERVICE}/rejection", fields)


def test_a_new_account_is_not_opened(product: Product) -> None:
    """A created account has every field of the contract, no service, no money and postpaid on."""
    contact = {"email": "billing@example.com", "phone": "+86 138 0000 0000", "locale": "en"}
    reply = create(product, enterprise_verified=True, contact=contact)
    assert reply.status == 201
    assert reply.headers["content-type"] == "application/json"
    expected = {
        "account_id": "acct-1",
        "name": "Example",
        "status": "not_opened",
        "settlement_cycle": None,
        "opened_at": None,
        "postpaid_enabled": True,
        "enterprise_verified": True,
        "violation": None,
        "arrears": None,
        "balance": {"available": "0.00", "cash": "0.00", "income_transfer": "0.00", "gift": "0.00"},
        "contact": contact,
    }
    assert {name: reply.body[name] for name in expected} == expected
    assert product.get(A).text == reply.text


def test_only_id_and_name_are_needed(product: Product) -> None:
    """Verification is false and the contact empty, in Chinese, unless given."""
    body = create(product).body
    assert (body["enterprise_verified"], body["contact"]) == (False, {"email": None, "phone": None, "locale": "zh-CN"})


def test_an_account_is_created_once(product: Product) -> None:
    """A second account with the same id is refused, whatever it says, and the first stays as it is."""
    first = create(product)
    before = tables(product)
    for fields in ({}, {"name": "Another"}):
        reply = create(product, **fields)
        assert (reply.status, reply.code) == (409, "account_exists")
    assert create(product, name="").status == 422
    assert tables(product) == before
    assert product.get(A).text == first.text
    assert create(product, account_id="ACCT-1").status == 201


@pytest.mark.parametrize("account_id", ["a", "A", "0", "_", "-", "a" * 64, "Az_09-", "sandbox", "due", "null"])
def test_ids_that_an_account_may_have(product: Product, account_id: str) -> None:
    """1 to 64 letters, digits, underscores and hyphens; the account is then found under exactly this id."""
    assert create(product, account_id=account_id).status == 201
    assert product.get(f"/v1/accounts/{account_id}").body["account_id"] == account_id


BAD_IDS = ["", "a" * 65, "a b", "a#b", "a/b", "a.b", "ä", "账", "a\n", "a\u0000", " a", "a%20b", "'; DROP TABLE", "🀄"]


@pytest.mark.parametrize("account_id", [*BAD_IDS, 1, None, True, ["a"], {"a": 1}])
def test_ids_that_no_account_has(product: Product, account_id: object) -> None:
    """Anything else is no id, and nothing is created."""
    reply = create(product, account_id=account_id)
    assert (reply.status, reply.code) == (422, "invalid_request")
    assert [error["field"] for error in reply.body["errors"]] == ["account_id"]
    assert tables(product)["ledger"] == []


BAD_FIELDS = [
    ({"name": ""}, "name"),
    ({"name": None}, "name"),
    ({"name": 5}, "name"),
    ({"name": "x" * 100_000}, "name"),
    ({"enterprise_verified": "true"}, "enterprise_verified"),
    ({"enterprise_verified": 1}, "enterprise_verified"),
    ({"enterprise_verified": None}, "enterprise_verified"),
    ({"contact": None}, "contact"),
    ({"contact": "billing@example.com"}, "contact"),
    ({"contact": {"email": 5}}, "contact.email"),
    ({"contact": {"email": "nobody"}}, "contact.email"),
    ({"contact": {"email": "a@b"}}, "contact.email"),
    ({"contact": {"email": "a@b.c\nBcc: x@y.z"}}, "contact.email"),
    ({"contact": {"email": "a@b.c,x@y.z"}}, "contact.email"),
    ({"contact": {"email": "a@b.c\r\n"}}, "contact.email"),
    ({"contact": {"email": "a\u2028b@c.d"}}, "contact.email"),
    ({"contact": {"email": "Example <a@b.c>"}}, "contact.email"),
    ({"contact": {"email": "x" * 300 + "@example.com"}}, "contact.email"),
    ({"contact": {"phone": "call me"}}, "contact.phone"),
    ({"contact": {"phone": 13800000000}}, "contact.phone"),
    ({"contact": {"phone": "1" * 100}}, "contact.phone"),
    ({"contact": {"locale": "zh"}}, "contact.locale"),
    ({"contact": {"locale": "EN"}}, "contact.locale"),
    ({"contact": {"locale": None}}, "contact.locale"),
    ({"contact": {"fax": "1"}}, "contact.fax"),
    ({"status": "active"}, "status"),
    ({"balance": {"cash": "100.00"}}, "balance"),
    ({"opened_at": NOW}, "opened_at"),
]


@pytest.mark.parametrize("fields, wrong", BAD_FIELDS, ids=[repr(fields)[:60] for fields, _ in BAD_FIELDS])
def test_a_wrong_field_is_named(product: Product, fields: dict[str, Any], wrong: str) -> None:
    """Wrong types, values that make no sense and unknown fields are each named in `errors`; nothing is created."""
    reply = create(product, **fields)
    assert (reply.status, reply.code) == (422, "invalid_request")
    assert wrong in [error["field"] for error in reply.body["errors"]]
    assert all(set(error) == {"field", "detail"} for error in reply.body["errors"])
    assert tables(product)["ledger"] == []


def test_every_wrong_field_is_named_at_once(product: Product) -> None:
    """One answer names all that is wrong."""
    reply = product.request("POST", "/v1/accounts", {"account_id": "a b", "enterprise_verified": 5, "x": 1})
    assert {error["field"] for error in reply.body["errors"]} == {"account_id", "name", "enterprise_verified", "x"}


def test_refusals_do_not_repeat_personal_data(product: Product) -> None:
    """What a customer sent does not come back in an error, where it might be logged."""
    reply = create(product, contact={"email": "secret-person", "phone": "secret-number"}, secret="secret-word")
    assert reply.status == 422
    assert "secret-" not in reply.text


BROKEN_BODIES = {
    "no JSON": b"{",
    "NaN": b'{"account_id": NaN}',
    "a name twice": b'{"account_id": "a", "account_id": "b", "name": "x"}',
    "an invalid byte": b'{"account_id": "a", "name": "\xff"}',
    "UTF-16": '{"account_id": "a", "name": "x"}'.encode("utf-16"),
    "an encoded surrogate": b'{"account_id": "a", "name": "\xed\xa0\x80"}',
    "an integer of 5,000 digits": b'{"account_id": ' + b"9" * 5000 + b"}",
    "100,000 brackets": b"[" * 100_000,
}


@pytest.mark.parametrize("body", BROKEN_BODIES.values(), ids=BROKEN_BODIES.keys())
def test_a_body_that_is_not_json_is_malformed(product: Product, body: bytes) -> None:
    """A body that is no JSON text in UTF-8, or gives a name twice, is malformed."""
    reply = product.request("POST", "/v1/accounts", body)
    assert (reply.status, reply.code) == (400, "malformed_body")


@pytest.mark.parametrize("depth", [100, 1000, 10_000, 50_000])
def test_deep_nesting_is_refused_and_nothing_worse(product: Product, depth: int) -> None:
    """However deep a body is nested, it is refused as the caller's mistake."""
    body = b'{"account_id": "a", "name": ' + b"[" * depth + b"]" * depth + b"}"
    assert product.request("POST", "/v1/accounts", body).status in {400, 422}


@pytest.mark.parametrize("body", ["[]", '"x"', "5", "null", "true"])
def test_a_body_is_an_object(product: Product, body: str) -> None:
    """JSON that is no object is an invalid request."""
    reply = product.request("POST", "/v1/accounts", body)
    assert (reply.status, reply.code) == (422, "invalid_request")


def test_a_body_has_a_type_and_a_limit(product: Product) -> None:
    """Bodies are JSON by their content type, and a huge one is refused before it is read."""
    for content_type in ("text/plain", "", "application/x-www-form-urlencoded", "application/cloudevents+json"):
        reply = product.request("POST", "/v1/accounts", NEW, headers={"content-type": content_type})
        assert (reply.status, reply.code) == (415, "unsupported_media_type")
    reply = product.request("POST", "/v1/accounts", b"x" * 10 * 1024 * 1024)
    assert (reply.status, reply.code) == (413, "body_too_large")
    for content_type in ("application/json; charset=utf-8", "APPLICATION/JSON"):
        headers = {"content-type": content_type}
        new = {**NEW, "account_id": str(len(content_type))}
        assert product.request("POST", "/v1/accounts", new, headers=headers).status == 201


def test_strange_names_come_back_as_they_were(product: Product) -> None:
    """A name may be any text."""
    for number, name in enumerate(["账单有限公司", "🀄", "\u202ecba", "a\u0000b", '"; DROP TABLE', "<b>", "e\u0301"]):
        assert create(product, account_id=f"n-{number}", name=name).status == 201
        assert product.get(f"/v1/accounts/n-{number}").body["name"] == name


def test_the_way_to_an_open_service(product: Product) -> None:
    """Applied, the account is under review; approved, it is active, opened now, and settled daily."""
    create(product)
    reply = apply(product, license_reference="licence-1")
    assert (reply.status, reply.body["status"]) == (202, "under_review")
    product.now = at("2025-03-03T09:30:15.750+08:00")
    reply = approve(product)
    assert (reply.status, reply.body["status"]) == (200, "active")
    assert (reply.body["opened_at"], reply.body["settlement_cycle"]) == ("2025-03-03T09:30:15+08:00", "daily")
    assert product.get(A).text == reply.text


def test_an_open_service_is_not_applied_for_again(product: Product) -> None:
    """Who is open hears `already_open`; who is under review may apply again and stays under review."""
    create(product)
    assert apply(product).status == 202
    assert apply(product, purpose="something else").body["status"] == "under_review"
    approve(product)
    reply = apply(product)
    assert (reply.status, reply.code) == (409, "already_open")


@pytest.mark.parametrize("decide", [approve, reject])
def test_nothing_is_decided_without_an_application(product: Product, decide: Any) -> None:
    """Neither before an application nor after the decision there is anything to decide on."""
    create(product)
    for prepare in (lambda: None, lambda: (apply(product), approve(product))):
        prepare()
        before = tables(product)
        reply = decide(product)
        assert (reply.status, reply.code) == (409, "no_application")
        assert tables(product) == before


def test_a_rejected_application_may_be_made_again(product: Product) -> None:
    """Rejection leads back to not opened; a new application can then be approved."""
    create(product)
    apply(product)
    reply = reject(product, reason="no licence")
    assert (reply.status, reply.body["status"], reply.body["opened_at"]) == (200, "not_opened", None)
    assert approve(product).code == "no_application"
    assert reject(product).code == "no_application"
    assert apply(product).body["status"] == "under_review"
    assert approve(product).body["status"] == "active"


@pytest.mark.parametrize(
    "opened_at, shown, cycle",
    [
        ("2023-01-03T23:59:59+08:00", "2023-01-03T23:59:59+08:00", "monthly"),
        ("2023-01-03T15:59:59.999Z", "2023-01-03T23:59:59+08:00", "monthly"),
        ("2023-01-04T00:00:00+08:00", "2023-01-04T00:00:00+08:00", "daily"),
        ("2023-01-03T16:00:00Z", "2023-01-04T00:00:00+08:00", "daily"),
        ("2023-01-04T00:30:00+09:00", "2023-01-03T23:30:00+08:00", "monthly"),
        ("2018-06-01t00:00:00z", "2018-06-01T08:00:00+08:00", "monthly"),
        ("2025-03-01T10:00:00+08:00", "2025-03-01T10:00:00+08:00", "daily"),
    ],
)
def test_the_opening_decides_the_cycle(product: Product, opened_at: str, shown: str, cycle: str) -> None:
    """Opened before 4 January 2023 in Shanghai is settled monthly, from then on daily, to the second (D2)."""
    create(product)
    apply(product)
    body = approve(product, opened_at=opened_at).body
    assert (body["opened_at"], body["settlement_cycle"], body["status"]) == (shown, cycle, "active")


@pytest.mark.parametrize(
    "opened_at",
    [
        "2025-03-01T10:00:01+08:00",
        "2025-03-01T10:00:00Z",
        "9999-12-31T23:59:59-12:00",
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "1990-07-01T00:00:00Z",
        "2025-02-30T00:00:00Z",
        "2025-03-01",
        "2025-03-01T10:00:00",
        "2025-03-01 10:00:00Z",
        "2025-03-01T09:59:60Z",
        "2025-02-28T24:00:00Z",
        "2025-03-01T00:00:00+07:60",
        "2025-03-01T00:00:00+24:00",
        "1740787200",
        1740787200,
        True,
        "",
        "now",
        "２０２４-03-01T10:00:00Z",
    ],
)
def test_an_opening_is_a_past_time_of_this_age(product: Product, opened_at: object) -> None:
    """Only a time in the past of this service can be given; anything else is refused and the application stays."""
    create(product)
    apply(product)
    before = tables(product)
    reply = approve(product, opened_at=opened_at)
    assert (reply.status, reply.code) == (422, "invalid_request")
    assert [error["field"] for error in reply.body["errors"]] == ["opened_at"]
    assert tables(product) == before


def test_bodies_that_may_be_left_out(product: Product) -> None:
    """Approval and rejection take no body, an empty one and null for what is optional."""
    create(product)
    for body in (None, {}, b"", {"reason": None}):
        apply(product)
        assert product.request("POST", f"{SERVICE}/rejection", body).status == 200
    for number, body in enumerate((None, {}, b"", {"opened_at": None})):
        create(product, account_id=f"b-{number}")
        service = f"/v1/accounts/b-{number}/service"
        product.request("POST", f"{service}/application", {"purpose": "x"})
        assert product.request("POST", f"{service}/approval", body).body["opened_at"] == NOW


@pytest.mark.parametrize(
    "path, body, wrong",
    [
        ("application", {}, "purpose"),
        ("application", {"purpose": ""}, "purpose"),
        ("application", {"purpose": 5}, "purpose"),
        ("application", {"purpose": None}, "purpose"),
        ("application", {"purpose": "x", "license_reference": 5}, "license_reference"),
        ("application", {"purpose": "x", "licence": "y"}, "licence"),
        ("approval", {"opened": NOW}, "opened"),
        ("rejection", {"reason": 5}, "reason"),
        ("rejection", {"why": "x"}, "why"),
    ],
)
def test_what_an_application_and_its_decision_may_say(
    product: Product, path: str, body: dict[str, Any], wrong: str
) -> None:
    """Wrong and unknown fields are named, before the state is even looked at."""
    create(product)
    reply = product.request("POST", f"{SERVICE}/{path}", body)
    assert (reply.status, [error["field"] for error in reply.body["errors"]]) == (422, [wrong])


def test_the_customer_changes_contact_and_postpaid(metered: Product) -> None:
    """A change changes what it names and leaves the rest."""

    def patch(body: dict[str, Any]) -> Any:
        reply = metered.request("PATCH", A, body, CUSTOMER, "acct-1")
        assert reply.status == 200, reply.text
        assert metered.get(A).text == reply.text
        return reply.body

    before = metered.get(A).body
    assert patch({}) == before
    assert patch({"postpaid_enabled": False}) == {**before, "postpaid_enabled": False}
    contact = {"email": "a@example.com", "phone": None, "locale": "en"}
    assert patch({"contact": contact}) == {**before, "postpaid_enabled": False, "contact": contact}
    assert patch({"postpaid_enabled": True}) == {**before, "contact": contact}


def test_a_contact_is_changed_field_by_field(metered: Product) -> None:
    """Of a contact too, what is left out stays, and null clears."""
    contact: dict[str, Any] = {"email": "a@example.com", "phone": "13800000000", "locale": "en"}
    metered.request("PATCH", A, {"contact": contact})
    changes: list[dict[str, Any]] = [{"phone": None}, {"email": "b@example.com"}, {}, {"locale": "zh-CN"}]
    for change in changes:
        contact |= change
        assert metered.request("PATCH", A, {"contact": change}).body["contact"] == contact


def test_switching_postpaid_to_and_fro_ends_somewhere(metered: Product) -> None:
    """A bill names each stretch of its day, so switches of a day are bounded; the next day there are new ones."""
    for day in ("2025-03-02", "2025-03-03"):
        codes = set()
        for second in range(60):
            metered.now = at(f"{day}T12:00:{second:02d}+08:00")
            reply = metered.request("PATCH", A, {"postpaid_enabled": second % 2 == 1})
            if reply.status != 200:
                codes.add((reply.status, reply.code))
        assert codes == {(409, "too_many_changes")}
        assert metered.request("PATCH", A, {"contact": {"locale": "en"}}).status == 200


def test_only_the_operator_verifies_an_enterprise(metered: Product) -> None:
    """A customer who asks for it is refused, and nothing else of that request happens either."""
    before = tables(metered)
    for value in (True, False, None):
        body = {"enterprise_verified": value, "postpaid_enabled": False}
        reply = metered.request("PATCH", A, body, CUSTOMER, "acct-1")
        assert (reply.status, reply.code) == (403, "forbidden")
    assert tables(metered) == before
    assert metered.request("PATCH", A, {"enterprise_verified": True}).body["enterprise_verified"] is True
    assert metered.request("PATCH", A, {"enterprise_verified": False}).body["enterprise_verified"] is False


@pytest.mark.parametrize(
    "body, wrong",
    [
        ({"postpaid_enabled": "false"}, "postpaid_enabled"),
        ({"postpaid_enabled": 0}, "postpaid_enabled"),
        ({"enterprise_verified": "yes"}, "enterprise_verified"),
        ({"contact": {"email": "nobody"}}, "contact.email"),
        ({"name": "Another"}, "name"),
        ({"status": "active"}, "status"),
        ({"balance": {}}, "balance"),
    ],
)
def test_what_a_change_may_say(metered: Product, body: dict[str, Any], wrong: str) -> None:
    """Wrong and unknown fields are named, and nothing is changed."""
    before = tables(metered)
    reply = metered.request("PATCH", A, body)
    assert (reply.status, [error["field"] for error in reply.body["errors"]]) == (422, [wrong])
    assert tables(metered) == before


def violation(product: Product, *, active: bool, reason: str = "abuse") -> Reply:
    """PUT A/violation."""
    return product.request("PUT", f"{A}/violation", {"active": active, "reason": reason})


def test_a_violation_stops_an_account_until_it_is_lifted(metered: Product) -> None:
    """The stop begins at once, apart from arrears and without a release, and ends when it is lifted (D22)."""
    reply = violation(metered, active=True)
    assert (reply.status, reply.body["status"], reply.body["arrears"]) == (200, "stopped", None)
    assert reply.body["violation"]["active"] is True
    metered.now = at("2025-06-01T10:00:00+08:00")
    assert metered.get(A).body["status"] == "stopped"
    reply = violation(metered, active=False)
    assert (reply.body["status"], reply.body["violation"]) == ("active", None)


def test_a_violation_put_on_or_lifted_twice_is_the_same_as_once(metered: Product) -> None:
    """Repeating keeps the time of the stop; only the reason may change."""
    first = violation(metered, active=True).body
    metered.now = at("2025-03-01T11:00:00+08:00")
    assert violation(metered, active=True).body == first
    assert violation(metered, active=True, reason="fraud").body["violation"]["reason"] == "fraud"
    lifted = violation(metered, active=False).body
    assert violation(metered, active=False).body == lifted


@pytest.mark.parametrize(
    "body, wrong",
    [
        ({}, "active"),
        ({"active": "true"}, "active"),
        ({"active": 1, "reason": "x"}, "active"),
        ({"activ": True}, "activ"),
    ],
)
def test_what_a_violation_may_say(metered: Product, body: dict[str, Any], wrong: str) -> None:
    """Wrong and unknown fields are named."""
    reply = metered.request("PUT", f"{A}/violation", body)
    assert reply.status == 422
    assert wrong in [error["field"] for error in reply.body["errors"]]


def test_arrears_stop_release_and_recovery(product: Product) -> None:
    """After 24 hours of arrears the service stops, after 30 more days it is released; reaching zero ends all (D21)."""
    product.open_account("acct-1", cash="1.00")
    product.report(events("acct-1", 10, NOW))
    product.move("2025-03-02T08:00:00+08:00")

    def state() -> tuple[str, Any, str]:
        body = product.get(A).body
        return body["status"], body["arrears"], body["balance"]["available"]

    arrears = {
        "since": "2025-03-02T08:00:00+08:00",
        "stops_at": "2025-03-03T08:00:00+08:00",
        "releases_at": "2025-04-02T08:00:00+08:00",
    }
    assert state() == ("active", arrears, "-2.00")
    product.now = at("2025-03-03T07:59:59+08:00")
    assert state()[0] == "active"
    product.now = at("2025-03-03T08:00:00+08:00")
    assert state() == ("stopped", arrears, "-2.00")
    assert product.top_up("acct-1", "1.99").status == 201
    assert state() == ("stopped", arrears, "-0.01")
    product.now = at("2025-04-02T07:59:59+08:00")
    assert state()[0] == "stopped"
    product.now = at("2025-04-02T08:00:00+08:00")
    assert state() == ("released", arrears, "-0.01")
    assert product.top_up("acct-1", "0.01").status == 201
    assert state() == ("active", None, "0.00")


def test_zero_is_no_arrears(product: Product) -> None:
    """A charge that takes the balance to exactly zero begins nothing."""
    product.open_account("acct-1", cash="3.00")
    product.report(events("acct-1", 10, NOW))
    product.move("2025-03-04T09:00:00+08:00")
    body = product.get(A).body
    assert (body["status"], body["arrears"], body["balance"]["available"]) == ("active", None, "0.00")


def test_any_fund_ends_arrears(product: Product) -> None:
    """The balance is the sum of the funds: a gift that covers negative cash ends arrears (D17, D21)."""
    product.open_account("acct-1")
    product.report([event("acct-1", "e-1", NOW)])
    product.move("2025-03-02T09:00:00+08:00")
    assert product.get(A).body["arrears"] is not None
    product.top_up("acct-1", "0.30", "gift")
    body = product.get(A).body
    assert body["arrears"] is None
    assert body["balance"] == {"available": "0.00", "cash": "-0.30", "income_transfer": "0.00", "gift": "0.30"}


def test_a_recovery_before_the_stop_leaves_no_stop(product: Product) -> None:
    """Paid within 24 hours the account was never stopped; later arrears begin anew with their own times."""
    product.open_account("acct-1")
    product.report([event("acct-1", "e-1", NOW)])
    product.move("2025-03-02T09:00:00+08:00")
    product.top_up("acct-1", "0.30")
    product.report([event("acct-1", "e-2", product.now.isoformat())])
    product.move("2025-03-03T09:00:00+08:00")
    body = product.get(A).body
    assert body["status"] == "active"
    assert body["arrears"]["since"] == "2025-03-03T08:00:00+08:00"
