"""Who reaches which address: one line for each, or the build fails.

`gated`: for people of the account while its access is on. `way_out`: for them at any time (pay, data, leave,
come back). `anyone`, `person` (who signed in), `staff`, `machine` (with a proof of its own) and `link` (who
has an unguessable address) name no account in the address.

Of an address that names an account also: the least role, and what is posted to it. A new address is added
here with the thought behind it: may somebody see this who has not paid?
"""

from dataclasses import dataclass, field
from typing import Any, Literal

Door = Literal["gated", "way_out", "anyone", "person", "staff", "machine", "link"]
Role = Literal["member", "payer", "owner"]


@dataclass(frozen=True)
class Line:
    """One address: its door, and for those of an account the least role and what a POST brings along."""

    door: Door
    role: Role = "member"
    methods: tuple[str, ...] = ("get",)
    sent: dict[str, Any] = field(default_factory=dict)


GET, POST, BOTH = ("get",), ("post",), ("get", "post")


def gated(role: Role, methods: tuple[str, ...] = GET, /, **sent: Any) -> Line:
    return Line("gated", role, methods, sent)


def way_out(role: Role, methods: tuple[str, ...] = GET, /, **sent: Any) -> Line:
    return Line("way_out", role, methods, sent)


ANYONE, PERSON, MACHINE, LINK = Line("anyone"), Line("person"), Line("machine"), Line("link")

#: By the beginning of the route, for what libraries and the demo bring along.
BY_PREFIX: dict[str, Line] = {
    "admin/": Line("staff"),
    "accounts/": PERSON,
    "mail/": MACHINE,
    "demo/": ANYONE,
}

TABLE: dict[str, Line] = {
    "healthz": ANYONE,
    "readyz": ANYONE,
    "home": ANYONE,
    "set_language": Line("anyone", methods=POST),
    "terms": ANYONE,
    "terms_version": ANYONE,
    "terms_difference": ANYONE,
    "stripe_webhook": Line("machine", methods=POST),
    "access_check": MACHINE,
    "invitation": LINK,
    "receipt": LINK,
    "undo": LINK,
    "more_time_by_link": LINK,
    "pay_link": LINK,
    "pay_link_start": Line("link", methods=POST),
    "pay_link_confirm": Line("link", methods=POST),
    "pay_link_bank": LINK,
    "pay_link_done": LINK,
    "confirm_by_code": PERSON,
    "user_settings": PERSON,
    "account_list": PERSON,
    "account_new": PERSON,
    "join": Line("person", methods=POST),
    # --- what is used while access is on
    "account_overview": gated("member"),
    "account_history": gated("member"),
    "account_settings": gated("owner", BOTH),
    "people": gated("member"),
    "invite": gated("owner", POST, email="new@example.com", role="member"),
    "withdraw_invitation": gated("owner", POST),
    "change_role": gated("owner", POST, role="billing"),
    "remove_member": gated("owner", BOTH),
    "keys": gated("owner"),
    "key_new": gated("owner", POST, name="x"),
    "key_revoke": gated("owner", POST),
    # --- to go alone
    "leave_team": way_out("member", BOTH),
    # --- to pay
    "billing_overview": way_out("payer"),
    "more_time": way_out("payer", BOTH),
    "end_pause": way_out("payer", POST),
    "plans": way_out("payer"),
    "choose_plan": way_out("payer", POST, plan="other"),
    "pay": way_out("payer"),
    "pay_start": way_out("payer", POST),
    "pay_known": way_out("payer", POST),
    "pay_done": way_out("payer"),
    "card": way_out("payer"),
    "card_start": way_out("payer", POST),
    "invoices": way_out("payer"),
    "invoice": way_out("payer"),
    "invoice_pay": way_out("payer"),
    "invoice_pay_start": way_out("payer", POST),
    "invoice_pay_known": way_out("payer", POST),
    "invoice_bank": way_out("payer"),
    "choose_day": way_out("payer", BOTH),
    # --- to leave, and to come back
    "leave": way_out("payer"),
    "choose_ending": way_out("payer", POST, ending="stop_renewing"),
    "keep_data": way_out("owner", POST),
    "leaving": way_out("payer"),
    "leaving_survey": way_out("payer", BOTH),
    "leaving_offer": way_out("payer", BOTH),
    "leaving_confirm": way_out("payer", BOTH),
    "leaving_claim": way_out("payer", BOTH),
    "leaving_keep": way_out("payer", POST),
    "come_back": way_out("payer", BOTH),
    # --- to fetch what is one's own
    "exports": way_out("member"),
    "export_request": way_out("member", POST),
    "export_download": way_out("member"),
}

#: What the active owner gets where it is not a page or the way to the next one, and why.
OTHERWISE: dict[tuple[str, str], tuple[int, str]] = {
    ("end_pause", "post"): (404, "no pause was agreed"),
    ("keep_data", "post"): (404, "nothing is going to be deleted"),
    ("export_download", "get"): (404, "the download is still being made"),
    ("pay_start", "post"): (409, "there is a subscription already"),
}
