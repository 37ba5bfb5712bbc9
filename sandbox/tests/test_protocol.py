"""Keys, parameters, pages, idempotency and planned faults, as the client meets them."""

import http.client
import json
import threading
import time
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
import stripe

from sandbox.tests.conftest import Account


def raw(account: Account, method: str, path: str, body: str = "", **headers: str) -> tuple[int, Any, Any]:
    """A request without the library: (status, answer, headers)."""
    connection = http.client.HTTPConnection(urlsplit(account.base).netloc, timeout=10)
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    connection.request(
        method, path, body or None, {"Authorization": f"Bearer {account.key}", **kind, **headers}
    )
    answer = connection.getresponse()
    content = json.loads(answer.read())
    connection.close()
    return answer.status, content, answer.headers


@pytest.mark.parametrize("key", ["sk_live_0123456789abcdefghij", "sk_test_short", "nonsense"])
def test_a_key_of_another_kind_is_refused(account: Account, key: str) -> None:
    status, answer, _ = raw(account, "GET", "/v1/balance", Authorization=f"Bearer {key}")

    assert (status, answer["error"]["type"]) == (401, "invalid_request_error")
    assert answer["error"]["message"].startswith("Invalid API Key provided: ")
    assert key not in answer["error"]["message"]


def test_a_missing_key_is_refused(account: Account) -> None:
    status, answer, _ = raw(account, "GET", "/v1/balance", Authorization="")

    assert status == 401
    assert answer["error"]["message"].startswith("You did not provide an API key.")


def test_each_key_is_an_account_of_its_own(account: Account, other: Account) -> None:
    customer = account.make_customer(card=None)

    with pytest.raises(stripe.InvalidRequestError) as refused:
        other.v1.customers.retrieve(customer)

    assert (refused.value.http_status, refused.value.code) == (404, "resource_missing")
    assert str(refused.value.user_message) == f"No such customer: '{customer}'"
    assert other.v1.customers.list().data == []


def test_an_unknown_address_is_answered_and_logged(account: Account) -> None:
    status, answer, _ = raw(account, "GET", "/v1/quotes")

    assert status == 404
    assert answer["error"]["message"].startswith("Unrecognized request URL (GET: /v1/quotes).")
    assert account.control("GET", "/requests")["requests"][-1]["path"] == "/v1/quotes"


@pytest.mark.parametrize(
    ("given", "message", "code", "param"),
    [
        ("foo=1", "Received unknown parameter: foo", "parameter_unknown", "foo"),
        ("a=1&b=2", "Received unknown parameters: a, b", "parameter_unknown", "a"),
        ("items[0][b]=1", "Received unknown parameter: items[0][b]", "parameter_unknown", "items[0][b]"),
        ("trial_period_days=x", "Invalid integer: x", "parameter_invalid_integer", "trial_period_days"),
        ("cancel_at_period_end=1", "Invalid boolean: 1", None, "cancel_at_period_end"),
        ("collection_method=post",
         "Invalid collection_method: must be one of charge_automatically or send_invoice", None,
         "collection_method"),
        ("items=1", "Invalid array", None, "items"),
        ("items[0][price]=p", "Missing required param: customer.", "parameter_missing", "customer"),
        ("customer=c", "No such customer: 'c'", "resource_missing", "customer"),
    ],
)  # fmt: skip
def test_bad_parameters_are_refused_in_stripes_words(
    account: Account, given: str, message: str, code: str | None, param: str
) -> None:
    status, answer, _ = raw(account, "POST", "/v1/subscriptions", given)

    error = answer["error"]
    assert (status, error["message"], error.get("code"), error["param"]) == (400, message, code, param)


def test_an_empty_string_unsets_only_what_can_be_unset(account: Account) -> None:
    customer = account.make_customer(card=None, description="x", metadata={"a": "1", "b": "2"})

    account.v1.customers.update(customer, {"description": "", "metadata": {"a": ""}})
    status, answer, _ = raw(account, "POST", "/v1/refunds", "charge=")

    seen = account.v1.customers.retrieve(customer)
    assert (seen.description, seen.metadata.to_dict()) == (None, {"b": "2"})
    assert (status, answer["error"]["code"]) == (400, "parameter_invalid_empty")


def test_pages_go_both_ways(account: Account) -> None:
    ids = [account.v1.products.create({"name": str(n)}).id for n in range(5)][::-1]

    first = account.v1.products.list({"limit": 2})
    second = account.v1.products.list({"limit": 2, "starting_after": ids[1]})
    back = account.v1.products.list({"limit": 2, "ending_before": ids[3]})

    assert [p.id for p in first.data] == ids[:2]
    assert first.has_more
    assert first.url == "/v1/products"
    assert [p.id for p in second.data] == ids[2:4]
    assert [p.id for p in back.data] == ids[1:3]
    assert [p.id for p in account.v1.products.list({"limit": 2}).auto_paging_iter()] == ids
    assert account.v1.products.list({"created": {"gt": int(time.time()) + 5}}).data == []


def test_a_list_of_something_unknown_is_refused(account: Account) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        account.v1.invoices.list({"customer": "cus_x"})

    assert (refused.value.http_status, refused.value.code, refused.value.param) == (
        400,
        "resource_missing",
        "customer",
    )


def test_expansion_reaches_into_lists_and_refuses_what_is_no_reference(account: Account) -> None:
    subscription = account.subscribe(account.make_customer(), account.make_price())

    listed = account.v1.subscriptions.list(
        {"expand": ["data.latest_invoice.confirmation_secret", "data.customer"]}
    )

    assert listed.data[0].latest_invoice.id == subscription.latest_invoice.id
    assert listed.data[0].customer.email == "ada@example.com"
    with pytest.raises(stripe.InvalidRequestError, match="cannot be expanded"):
        account.v1.subscriptions.retrieve(subscription.id, {"expand": ["nonsense"]})


# Idempotency


def test_a_repeated_key_replays_the_first_answer(account: Account) -> None:
    given = {"email": "a@example.com"}

    first = account.v1.customers.create(given, {"idempotency_key": "k"})
    again = account.v1.customers.create(given, {"idempotency_key": "k"})

    assert again.id == first.id
    assert again.last_response.headers["Idempotent-Replayed"] == "true"
    assert again.last_response.headers["Original-Request"] == first.last_response.headers["Request-Id"]
    assert len(account.v1.customers.list().data) == 1


def test_a_key_belongs_to_its_parameters_and_its_address(account: Account) -> None:
    account.v1.customers.create({"email": "a@example.com"}, {"idempotency_key": "k"})

    with pytest.raises(stripe.IdempotencyError, match="same parameters"):
        account.v1.customers.create({"email": "b@example.com"}, {"idempotency_key": "k"})
    with pytest.raises(stripe.IdempotencyError, match="same endpoint"):
        account.v1.products.create({"name": "x"}, {"idempotency_key": "k"})


def test_an_error_of_the_execution_is_stored_and_one_of_validation_is_not(account: Account) -> None:
    status, _, headers = raw(account, "POST", "/v1/refunds", "charge=ch_x", **{"Idempotency-Key": "a"})
    again, _, replayed = raw(account, "POST", "/v1/refunds", "charge=ch_x", **{"Idempotency-Key": "a"})
    bad, _, _ = raw(account, "POST", "/v1/customers", "foo=1", **{"Idempotency-Key": "b"})
    good, _, fresh = raw(account, "POST", "/v1/customers", "name=1", **{"Idempotency-Key": "b"})

    assert (status, headers.get("Idempotent-Replayed")) == (400, None)
    assert (again, replayed.get("Idempotent-Replayed")) == (400, "true")
    assert (bad, good, fresh.get("Idempotent-Replayed")) == (400, 200, None)


def test_a_key_is_forgotten_after_a_day(account: Account) -> None:
    first = account.v1.customers.create({}, {"idempotency_key": "k"})

    account.control("POST", "/idempotency/age", {"hours": 23.9})
    same = account.v1.customers.create({}, {"idempotency_key": "k"})
    account.control("POST", "/idempotency/age", {"hours": 0.2})
    new = account.v1.customers.create({}, {"idempotency_key": "k"})

    assert same.id == first.id
    assert new.id != first.id


def test_a_request_under_way_holds_its_key(account: Account) -> None:
    account.control("POST", "/faults", {"faults": [{"kind": "slow", "seconds": 0.5, "path": "/customers"}]})
    slow = threading.Thread(
        target=raw, args=(account, "POST", "/v1/customers", "name=x"), kwargs={"Idempotency-Key": "k"}
    )
    slow.start()
    time.sleep(0.2)

    status, answer, headers = raw(account, "POST", "/v1/customers", "name=x", **{"Idempotency-Key": "k"})
    slow.join()
    later, _, replayed = raw(account, "POST", "/v1/customers", "name=x", **{"Idempotency-Key": "k"})

    assert (status, answer["error"]["code"]) == (409, "idempotency_key_in_use")
    assert headers["Stripe-Should-Retry"] == "true"
    assert (later, replayed["Idempotent-Replayed"]) == (200, "true")


def test_parallel_identical_requests_have_one_effect(account: Account) -> None:
    statuses: list[int] = []

    def create() -> None:
        statuses.append(raw(account, "POST", "/v1/customers", "name=x", **{"Idempotency-Key": "k"})[0])

    threads = [threading.Thread(target=create) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert set(statuses) <= {200, 409}
    assert len(account.v1.customers.list().data) == 1


# Faults


@pytest.mark.parametrize(
    ("kind", "error", "created"),
    [
        ("drop_before", stripe.APIConnectionError, 0),
        ("drop_after", stripe.APIConnectionError, 1),
        ("500_before", stripe.APIError, 0),
        ("500_after", stripe.APIError, 1),
        ("429", stripe.RateLimitError, 0),
        ("409", stripe.APIError, 0),
    ],
)
def test_a_planned_fault_hits_once(account: Account, kind: str, error: type, created: int) -> None:
    account.control(
        "POST", "/faults", {"faults": [{"kind": kind, "method": "POST", "path": "^/v1/customers$"}]}
    )

    with pytest.raises(error):
        account.v1.customers.create({"name": "x"})

    assert len(account.v1.customers.list().data) == created
    account.v1.customers.create({"name": "y"})
    assert account.control("GET", "/faults")["faults"][0]["used"] == 1
    assert [r["fault"] for r in account.control("GET", "/requests")["requests"] if r["fault"]] == [kind]


def test_after_a_lost_answer_the_key_tells_what_happened(account: Account) -> None:
    account.control("POST", "/faults", {"faults": [{"kind": "drop_after"}]})
    with pytest.raises(stripe.APIConnectionError):
        account.v1.customers.create({"name": "x"}, {"idempotency_key": "k"})

    again = account.v1.customers.create({"name": "x"}, {"idempotency_key": "k"})

    assert again.last_response.headers["Idempotent-Replayed"] == "true"
    assert [c.id for c in account.v1.customers.list().data] == [again.id]


def test_a_500_after_the_effect_is_stored_under_its_key(account: Account) -> None:
    account.control("POST", "/faults", {"faults": [{"kind": "500_after"}]})

    for _ in range(2):
        with pytest.raises(stripe.APIError):
            account.v1.customers.create({"name": "x"}, {"idempotency_key": "k"})

    assert len(account.v1.customers.list().data) == 1


def test_the_nth_call_can_be_chosen(account: Account) -> None:
    account.control("POST", "/faults", {"faults": [{"kind": "500_before", "path": "/products", "nth": 2}]})

    statuses = [raw(account, "POST", "/v1/products", urlencode({"name": n}))[0] for n in range(3)]

    assert statuses == [200, 500, 200]


def test_a_reset_forgets_this_account_alone(account: Account, other: Account) -> None:
    account.make_customer(card=None)
    other.make_customer(card=None)

    account.control("POST", "/reset")

    assert account.v1.customers.list().data == []
    assert len(other.v1.customers.list().data) == 1
