"""Which address does what, and by which of the library's parameter types its parameters are checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sandbox import (
    accounts,
    balance,
    catalog,
    charges,
    clocks,
    credit_notes,
    customers,
    disputes,
    invoice_items,
    invoice_requests,
    payment_intents,
    payment_methods,
    previews,
    refunds,
    setup_intents,
    subscription_changes,
    subscription_items,
    subscription_starts,
    subscriptions,
    webhooks,
)
from sandbox.errors import StripeError, missing_param, no_such
from sandbox.store import COLUMNS, Doc
from sandbox.views import page, page_of_ids
from sandbox.world import World

Handler = Callable[..., Doc]
# Filters that must name something that exists.
REFERENCES = frozenset(("customer", "subscription", "invoice", "payment_intent", "charge"))


@dataclass(frozen=True)
class Route:
    """An endpoint. `is_list`: the handler has built the answer itself, expansions included."""

    method: str
    rule: str
    params: str
    handler: Handler
    is_list: bool = False


def retrieve(kind: str) -> Handler:
    """GET one object by id; a deleted customer or coupon is shown as such."""

    def handler(world: World, id: str, params: Doc) -> Doc:
        doc = world.need(kind, id)
        if doc.get("_", {}).get("gone"):
            raise no_such(kind, id)
        return doc

    return handler


def listing(
    kind: str, *filters: str, keep: Callable[[World, Doc, Doc], bool] | None = None, needs: str | None = None
) -> Handler:
    """GET a page of a kind, filtered by indexed columns (or equal fields) and by a predicate."""

    def handler(world: World, *ids: str, params: Doc) -> Doc:
        if needs and needs not in params:
            raise missing_param(needs)
        given = {name: params[name] for name in filters if params.get(name) not in (None, "all")}
        for name in REFERENCES & given.keys():
            if world.get(given[name]) is None:
                raise no_such(name, given[name], name)
        indexed = {name: value for name, value in given.items() if name in COLUMNS}

        def wanted(doc: Doc) -> bool:
            same = all(doc.get(name) == value for name, value in given.items() if name not in COLUMNS)
            return same and (keep is None or keep(world, doc, params))

        ids_found = world.store.ids(world.account, kind, **indexed)
        return page_of_ids(world, ids_found, params, world.path, world.get, wanted)

    return handler


def of_customer(kind: str, *filters: str) -> Handler:
    """GET a page of something of the customer in the URL."""

    def handler(world: World, customer: str, params: Doc) -> Doc:
        world.need("customer", customer)
        return listing(kind, "customer", *filters)(world, params={**params, "customer": customer})

    return handler


def _price_matches(world: World, price: Doc, params: Doc) -> bool:
    keys, recurring = params.get("lookup_keys"), params.get("recurring") or {}
    hash_ = price["recurring"] or {}
    return (not keys or price["lookup_key"] in keys) and all(
        hash_.get(name) == value for name, value in recurring.items()
    )


def _product_matches(world: World, product: Doc, params: Doc) -> bool:
    return not params.get("ids") or product["id"] in params["ids"]


def _subscription_matches(world: World, subscription: Doc, params: Doc) -> bool:
    """Without `status` cancelled ones are left out; `ended` and `all` are words of the list alone."""
    status = params.get("status")
    ended = subscription["status"] in subscriptions.ENDED
    right_status = {"all": True, "ended": ended, None: not ended}.get(
        status, subscription["status"] == status
    )
    prices = {item["price"]["id"] for item in subscription_items.items_of(subscription)}
    right_price = all(params[name] in prices for name in ("price", "plan") if params.get(name))
    return right_status and right_price and params.get("test_clock") in (None, subscription["test_clock"])


def _customer_matches(world: World, customer: Doc, params: Doc) -> bool:
    if customer.get("deleted"):
        return False
    return (
        params.get("email") in (None, customer["email"])
        and params.get("test_clock") == customer["test_clock"]
    )


def _event_matches(world: World, event: Doc, params: Doc) -> bool:
    types = params.get("types") or ([params["type"]] if params.get("type") else None)
    if types and not any(
        event["type"] == t or (t.endswith(".*") and event["type"].startswith(t[:-1])) for t in types
    ):
        return False
    if "delivery_success" in params:
        states = world.store.rows(
            "SELECT state FROM deliveries WHERE account = ? AND event = ?", world.account, event["id"]
        )
        return all(state in ("delivered", "handed") for (state,) in states) is params["delivery_success"]
    return True


def _invoice_matches(world: World, invoice: Doc, params: Doc) -> bool:
    return params.get("collection_method") in (None, invoice["collection_method"])


def _payment_matches(world: World, payment: Doc, params: Doc) -> bool:
    wanted = params.get("payment") or {}
    return wanted.get("payment_intent") in (None, payment["payment"]["payment_intent"])


def _item_matches(world: World, item: Doc, params: Doc) -> bool:
    return "pending" not in params or (item["invoice"] is None) == params["pending"]


def _transaction_matches(world: World, transaction: Doc, params: Doc) -> bool:
    return params.get("source") in (None, transaction["source"]) and params.get("currency") in (
        None,
        transaction["currency"],
    )


def _coupon_matches(world: World, coupon: Doc, params: Doc) -> bool:
    return not coupon.get("_", {}).get("gone")


def retrieve_plan(world: World, id: str, params: Doc) -> Doc:
    """GET the legacy view of a recurring price."""
    price = world.need("price", id)
    if price["recurring"] is None:
        raise no_such("plan", id)
    return catalog.plan_of(price)


def list_lines(world: World, invoice: str, params: Doc) -> Doc:
    """GET the lines of an invoice."""
    return page(world, list(reversed(invoice_requests.list_lines(world, invoice))), params, world.path)


def list_subscription_items(world: World, params: Doc) -> Doc:
    """GET the items of a subscription."""
    subscription = world.need("subscription", params["subscription"], "subscription")
    return page(world, list(reversed(subscription_items.items_of(subscription))), params, world.path)


def refund_of_charge(world: World, charge: str, params: Doc) -> Doc:
    """POST /v1/charges/:id/refunds."""
    return refunds.create(world, {**params, "charge": charge})


def _owned_transaction(world: World, customer: str, id: str, params: Doc) -> Doc:
    transaction = world.need("customer_balance_transaction", id)
    if transaction["customer"] != customer:
        raise StripeError(
            f"No such customer_balance_transaction: '{id}'", http=404, code="resource_missing", param="id"
        )
    return transaction


def _resource(
    kind: str, path: str, name: str, *filters: str, keep: Any = None, needs: str | None = None
) -> list[Route]:
    """Retrieve and list."""
    return [
        Route("GET", f"{path}/<id>", f"{name}RetrieveParams", retrieve(kind)),
        Route(
            "GET", path, f"{name}ListParams", listing(kind, *filters, keep=keep, needs=needs), is_list=True
        ),
    ]


ROUTES = [
    Route("GET", "/v1/account", "AccountRetrieveCurrentParams", accounts.retrieve),
    Route("GET", "/v1/accounts/<id>", "AccountRetrieveParams", accounts.retrieve),
    *_resource("product", "/v1/products", "Product", "active", keep=_product_matches),
    Route("POST", "/v1/products", "ProductCreateParams", catalog.create_product),
    Route("POST", "/v1/products/<id>", "ProductUpdateParams", catalog.update_product),
    Route("DELETE", "/v1/products/<id>", "ProductDeleteParams", catalog.delete_product),
    *_resource("price", "/v1/prices", "Price", "active", "product", "currency", "type", keep=_price_matches),
    Route("POST", "/v1/prices", "PriceCreateParams", catalog.create_price),
    Route("POST", "/v1/prices/<id>", "PriceUpdateParams", catalog.update_price),
    Route("GET", "/v1/plans/<id>", "PlanRetrieveParams", retrieve_plan),
    *_resource("coupon", "/v1/coupons", "Coupon", keep=_coupon_matches),
    Route("POST", "/v1/coupons", "CouponCreateParams", catalog.create_coupon),
    Route("POST", "/v1/coupons/<id>", "CouponUpdateParams", catalog.update_coupon),
    Route("DELETE", "/v1/coupons/<id>", "CouponDeleteParams", catalog.delete_coupon),
    *_resource("tax_rate", "/v1/tax_rates", "TaxRate", "active", "inclusive"),
    Route("POST", "/v1/tax_rates", "TaxRateCreateParams", catalog.create_tax_rate),
    Route("POST", "/v1/tax_rates/<id>", "TaxRateUpdateParams", catalog.update_tax_rate),
    *_resource("customer", "/v1/customers", "Customer", keep=_customer_matches),
    Route("POST", "/v1/customers", "CustomerCreateParams", customers.create),
    Route("POST", "/v1/customers/<id>", "CustomerUpdateParams", customers.update),
    Route("DELETE", "/v1/customers/<id>", "CustomerDeleteParams", customers.delete),
    Route(
        "GET",
        "/v1/customers/<id>/balance_transactions",
        "CustomerBalanceTransactionListParams",
        of_customer("customer_balance_transaction", "invoice"),
        is_list=True,
    ),
    Route(
        "POST",
        "/v1/customers/<id>/balance_transactions",
        "CustomerBalanceTransactionCreateParams",
        customers.create_balance_transaction,
    ),
    Route(
        "GET",
        "/v1/customers/<customer>/balance_transactions/<id>",
        "CustomerBalanceTransactionRetrieveParams",
        _owned_transaction,
    ),
    Route(
        "GET",
        "/v1/customers/<id>/payment_methods",
        "CustomerListPaymentMethodsParams",
        of_customer("payment_method", "type"),
        is_list=True,
    ),
    Route(
        "GET",
        "/v1/customers/<customer>/payment_methods/<id>",
        "CustomerRetrievePaymentMethodParams",
        payment_methods.retrieve_of_customer,
    ),
    *_resource("payment_method", "/v1/payment_methods", "PaymentMethod", "customer", "type"),
    Route("POST", "/v1/payment_methods", "PaymentMethodCreateParams", payment_methods.create),
    Route("POST", "/v1/payment_methods/<id>", "PaymentMethodUpdateParams", payment_methods.update),
    Route("POST", "/v1/payment_methods/<id>/attach", "PaymentMethodAttachParams", payment_methods.attach),
    Route("POST", "/v1/payment_methods/<id>/detach", "PaymentMethodDetachParams", payment_methods.detach),
    *_resource("setup_intent", "/v1/setup_intents", "SetupIntent", "customer", "payment_method"),
    Route("POST", "/v1/setup_intents", "SetupIntentCreateParams", setup_intents.create),
    Route("POST", "/v1/setup_intents/<id>", "SetupIntentUpdateParams", setup_intents.update),
    Route("POST", "/v1/setup_intents/<id>/confirm", "SetupIntentConfirmParams", setup_intents.confirm),
    Route("POST", "/v1/setup_intents/<id>/cancel", "SetupIntentCancelParams", setup_intents.cancel),
    Route(
        "GET",
        "/v1/setup_attempts",
        "SetupAttemptListParams",
        listing("setup_attempt", "setup_intent"),
        is_list=True,
    ),
    *_resource("payment_intent", "/v1/payment_intents", "PaymentIntent", "customer"),
    Route("POST", "/v1/payment_intents", "PaymentIntentCreateParams", payment_intents.create),
    Route("POST", "/v1/payment_intents/<id>", "PaymentIntentUpdateParams", payment_intents.update),
    Route("POST", "/v1/payment_intents/<id>/confirm", "PaymentIntentConfirmParams", payment_intents.confirm),
    Route("POST", "/v1/payment_intents/<id>/cancel", "PaymentIntentCancelParams", payment_intents.cancel),
    *_resource("charge", "/v1/charges", "Charge", "customer", "payment_intent"),
    Route("POST", "/v1/charges/<id>", "ChargeUpdateParams", charges.update),
    Route("POST", "/v1/charges/<id>/refunds", "RefundCreateParams", refund_of_charge),
    *_resource("refund", "/v1/refunds", "Refund", "charge", "payment_intent"),
    Route("POST", "/v1/refunds", "RefundCreateParams", refunds.create),
    Route("POST", "/v1/refunds/<id>", "RefundUpdateParams", refunds.update),
    Route("POST", "/v1/refunds/<id>/cancel", "RefundCancelParams", refunds.cancel),
    *_resource("dispute", "/v1/disputes", "Dispute", "charge", "payment_intent"),
    Route("POST", "/v1/disputes/<id>", "DisputeUpdateParams", disputes.update),
    Route("POST", "/v1/disputes/<id>/close", "DisputeCloseParams", disputes.close),
    Route("GET", "/v1/balance", "BalanceRetrieveParams", balance.retrieve_balance),
    *_resource(
        "balance_transaction",
        "/v1/balance_transactions",
        "BalanceTransaction",
        "type",
        keep=_transaction_matches,
    ),
    *_resource(
        "subscription",
        "/v1/subscriptions",
        "Subscription",
        "customer",
        "collection_method",
        keep=_subscription_matches,
    ),
    Route("POST", "/v1/subscriptions", "SubscriptionCreateParams", subscription_starts.create),
    Route("POST", "/v1/subscriptions/<id>", "SubscriptionUpdateParams", subscription_changes.update),
    Route("DELETE", "/v1/subscriptions/<id>", "SubscriptionCancelParams", subscription_changes.cancel),
    Route("POST", "/v1/subscriptions/<id>/resume", "SubscriptionResumeParams", subscription_changes.resume),
    Route(
        "GET",
        "/v1/subscription_items/<id>",
        "SubscriptionItemRetrieveParams",
        subscription_changes.retrieve_item,
    ),
    Route(
        "GET", "/v1/subscription_items", "SubscriptionItemListParams", list_subscription_items, is_list=True
    ),
    Route("POST", "/v1/subscription_items", "SubscriptionItemCreateParams", subscription_changes.create_item),
    Route(
        "POST",
        "/v1/subscription_items/<id>",
        "SubscriptionItemUpdateParams",
        subscription_changes.update_item,
    ),
    Route(
        "DELETE",
        "/v1/subscription_items/<id>",
        "SubscriptionItemDeleteParams",
        subscription_changes.delete_item,
    ),
    Route("POST", "/v1/invoices/create_preview", "InvoiceCreatePreviewParams", previews.create),
    *_resource(
        "invoice", "/v1/invoices", "Invoice", "customer", "subscription", "status", keep=_invoice_matches
    ),
    Route("POST", "/v1/invoices", "InvoiceCreateParams", invoice_requests.create),
    Route("POST", "/v1/invoices/<id>", "InvoiceUpdateParams", invoice_requests.update),
    Route("DELETE", "/v1/invoices/<id>", "InvoiceDeleteParams", invoice_requests.delete_draft),
    Route(
        "POST",
        "/v1/invoices/<id>/finalize",
        "InvoiceFinalizeInvoiceParams",
        invoice_requests.finalize_invoice,
    ),
    Route("POST", "/v1/invoices/<id>/pay", "InvoicePayParams", invoice_requests.pay),
    Route("POST", "/v1/invoices/<id>/void", "InvoiceVoidInvoiceParams", invoice_requests.void),
    Route(
        "POST",
        "/v1/invoices/<id>/mark_uncollectible",
        "InvoiceMarkUncollectibleParams",
        invoice_requests.mark_uncollectible,
    ),
    Route("POST", "/v1/invoices/<id>/send", "InvoiceSendInvoiceParams", invoice_requests.send),
    Route("GET", "/v1/invoices/<id>/lines", "InvoiceListLinesParams", list_lines, is_list=True),
    *_resource(
        "invoice_payment",
        "/v1/invoice_payments",
        "InvoicePayment",
        "invoice",
        "status",
        keep=_payment_matches,
    ),
    *_resource("invoiceitem", "/v1/invoiceitems", "InvoiceItem", "customer", "invoice", keep=_item_matches),
    Route("POST", "/v1/invoiceitems", "InvoiceItemCreateParams", invoice_items.create),
    Route("POST", "/v1/invoiceitems/<id>", "InvoiceItemUpdateParams", invoice_items.update),
    Route("DELETE", "/v1/invoiceitems/<id>", "InvoiceItemDeleteParams", invoice_items.delete),
    *_resource("credit_note", "/v1/credit_notes", "CreditNote", "customer", "invoice"),
    Route("POST", "/v1/credit_notes", "CreditNoteCreateParams", credit_notes.create),
    Route("POST", "/v1/credit_notes/<id>", "CreditNoteUpdateParams", credit_notes.update),
    Route("POST", "/v1/credit_notes/<id>/void", "CreditNoteVoidCreditNoteParams", credit_notes.void),
    *_resource("event", "/v1/events", "Event", keep=_event_matches),
    *_resource("webhook_endpoint", "/v1/webhook_endpoints", "WebhookEndpoint"),
    Route("POST", "/v1/webhook_endpoints", "WebhookEndpointCreateParams", webhooks.create_endpoint),
    Route("POST", "/v1/webhook_endpoints/<id>", "WebhookEndpointUpdateParams", webhooks.update_endpoint),
    Route("DELETE", "/v1/webhook_endpoints/<id>", "WebhookEndpointDeleteParams", webhooks.delete_endpoint),
    *_resource("test_helpers.test_clock", "/v1/test_helpers/test_clocks", "TestClock"),
    Route("POST", "/v1/test_helpers/test_clocks", "TestClockCreateParams", clocks.create),
    Route("POST", "/v1/test_helpers/test_clocks/<id>/advance", "TestClockAdvanceParams", clocks.advance),
    Route("DELETE", "/v1/test_helpers/test_clocks/<id>", "TestClockDeleteParams", clocks.delete),
]
