"""The demo's example customers: one for each state, made by the product's own verbs at the sandbox."""

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from allauth.account.models import EmailAddress
from django.contrib.auth.models import Group

from accounts import clock
from accounts.events import By
from accounts.models import Account, Member, Terms, User
from accounts.notices import send_due_notices
from accounts.opening import Company, open_account
from accounts.terms import publish_terms
from billing import outgoing
from billing.checkout import start_checkout
from billing.dunning_sweep import run_dunning
from billing.models import Customer, Plan, Subscription
from billing.pauses import start_pause
from billing.provider_clocks import turn_test_clocks
from billing.stripe_api import calling
from billing.subscriptions import start_trial
from billing.sync import sync_everything
from billing.trial_sweep import run_trials
from config.demo.cards import card_number
from config.demo.password import PASSWORD
from offboarding.confirmations import confirm_cancellation
from offboarding.declarations import declare_cancellation
from offboarding.models import Cancellation, Ending, ExitReason
from offboarding.surveys import save_survey


@dataclass(frozen=True)
class Example:
    """One login of the demo and what it shows."""

    email: str
    about: str
    make: Callable[["Workshop"], None]


class Workshop:
    """Makes one example: a person, an account, what is paid, at moments of the past."""

    def __init__(self, email: str, now: dt.datetime) -> None:
        self.email, self.now = email, now

    def ago(self, days: int) -> dt.datetime:
        """That many days before now."""
        return self.now - dt.timedelta(days=days)

    def open(self, name: str, *, days_ago: int, **company: str) -> Account:
        """A person with the demo's password and an account of theirs, opened then."""
        owner = make_person(self.email, language=company.get("language", "en"))
        facts = {
            "country": "ES",
            "time_zone": "Europe/Madrid",
            "language": "en",
            "currency": "EUR",
            "kind": "business",
        }
        account = open_account(
            Company(name=name, **(facts | company)),
            owner=owner,
            terms=Terms.objects.in_force(self.now),
            immediate_start=True,
            at=self.ago(days_ago),
        )
        settle(account, at=self.ago(days_ago))
        return account

    def pay(self, account: Account, plan: str, *, at: dt.datetime) -> Subscription:
        """Subscribe on the pay page's own path, as of `at`, and bring the provider's clock to now."""
        by = By.customer(owner_of(account))
        checkout = start_checkout(account, Plan.objects.get(code=plan), by=by, at=at)
        confirm_form(checkout.client_secret)
        settle(account, at=at)
        self.advance(account)
        return (
            Subscription.objects.select_related("plan", "account__terms")
            .live()
            .exclude(provider_id=None)
            .get(account=account)
        )

    def advance(self, account: Account) -> None:
        """Turn the customer's test clock to now, as the provider allows: one interval at a time."""
        customer = Customer.objects.select_related("account").get(account=account)
        turn_test_clocks([customer.test_clock], self.now)
        settle(account, at=self.now)

    def leave(
        self, account: Account, ending: str, *, at: dt.datetime, confirms: bool = False
    ) -> Cancellation:
        """Declare, and take the last step where asked to."""
        owner = owner_of(account)
        account.refresh_from_db()
        cancellation = declare_cancellation(account, ending, by=By.customer(owner), at=at, user=owner)
        settle(account, at=at)
        if confirms:
            confirm_cancellation(
                cancellation, quote_id=cancellation.quote.public_id, by=By.customer(owner), at=at, user=owner
            )
        settle(account, at=self.now)
        return cancellation


def make_person(email: str, **columns: Any) -> User:
    """A person whose address is verified, with the demo's password."""
    user = User.objects.create_user(email, PASSWORD, **columns)
    EmailAddress.objects.create(user=user, email=user.email, primary=True, verified=True)
    return user


def owner_of(account: Account) -> User:
    """The account's first owner."""
    return (
        Member.objects.owners().filter(account=account).select_related("user").order_by("pk")[:1].get().user
    )


def confirm_form(client_secret: str) -> None:
    """What a browser does with the card form."""
    intent = client_secret.partition("_secret_")[0]
    with calling() as stripe:
        typed: Any = {"number": card_number(), "exp_month": 12, "exp_year": 2034, "cvc": "123"}
        card = stripe.v1.payment_methods.create(params={"type": "card", "card": typed}).id
        service: Any = stripe.v1.setup_intents if intent.startswith("seti_") else stripe.v1.payment_intents
        service.confirm(intent, params={"payment_method": card, "return_url": "https://example.com/"})


def settle(account: Account, *, at: dt.datetime) -> None:
    """Send what is owed to the provider and to people, and read what came of it, until nothing moves."""
    customer = Customer.objects.select_related("account").filter(account=account).first()
    if customer:
        sync_everything(customer, at=at)
    for _ in range(20):
        if not outgoing.send_due_instructions(at=at) + send_due_notices(at=at):
            break
        if customer:
            sync_everything(customer, at=at)


# --- The examples -----------------------------------------------------------------------------


def _paying(shop: Workshop) -> None:
    account = shop.open("Olive & Co", days_ago=40)
    shop.pay(account, "team-monthly", at=shop.ago(20))


def _fresh(shop: Workshop) -> None:
    account = shop.open("Taller Norte", days_ago=5, language="es")
    shop.pay(account, "team-monthly", at=shop.ago(3))


def _annual(shop: Workshop) -> None:
    account = shop.open("Harbour Books", days_ago=100, country="IE", time_zone="Europe/Dublin")
    shop.pay(account, "team-yearly", at=shop.ago(90))


def _consumer(shop: Workshop) -> None:
    account = shop.open("Marta Ruiz", days_ago=6, kind="consumer", language="es")
    shop.pay(account, "solo-monthly", at=shop.ago(5))


def _trial(shop: Workshop) -> None:
    account = shop.open("Fern Studio", days_ago=4)
    start_trial(
        account, Plan.objects.get(code="solo-trial"), by=By.customer(owner_of(account)), at=shop.ago(4)
    )
    settle(account, at=shop.ago(4))


def begin_trial(shop: Workshop, name: str, *, days_ago: int) -> None:
    """A trial that began then, taken through its days by the sweep."""
    account = shop.open(name, days_ago=days_ago)
    start_trial(
        account, Plan.objects.get(code="solo-trial"), by=By.customer(owner_of(account)), at=shop.ago(days_ago)
    )
    # At eleven by day, whenever the demo is started: reminders do not go out at night.
    for day in range(days_ago - 1, 0, -1):
        moment = shop.ago(day).replace(hour=10, minute=0, second=0, microsecond=0)
        run_trials(at=moment)
        settle(account, at=moment)


def _trial_over(shop: Workshop) -> None:
    begin_trial(shop, "Cedar Lab", days_ago=18)


def _trial_frozen(shop: Workshop) -> None:
    begin_trial(shop, "Silent Mill", days_ago=34)


def _free(shop: Workshop) -> None:
    shop.open("Quiet Garden", days_ago=200)


def _past_due(shop: Workshop) -> None:
    fall_due(shop, "Late Bakery")


def _to_confirm(shop: Workshop) -> None:
    fall_due(shop, "Careful Bakery", card="pm_card_authenticationRequired")


def fall_due(shop: Workshop, name: str, **card: str) -> Account:
    """An account whose renewal of the last days was refused; it is in grace."""
    account = shop.open(name, days_ago=60)
    # As of a week before today the card is still good; the renewal a few days later meets a bad one.
    Workshop(shop.email, shop.ago(8)).pay(account, "solo-monthly", at=shop.ago(33))
    break_card(account, **card)
    shop.advance(account)
    return account


def _blocked(shop: Workshop) -> None:
    fall_silent(shop, "Night Bakery")


def fall_silent(shop: Workshop, name: str) -> Account:
    """An account whose invoice stayed unpaid until access went off."""
    account = shop.open(name, days_ago=70)
    # The renewal meets a bad card nine to twelve days ago, seen a day later; each day took its step.
    Workshop(shop.email, shop.ago(13)).pay(account, "solo-monthly", at=shop.ago(40))
    break_card(account)
    for days in range(12, -1, -1):
        today = Workshop(shop.email, shop.ago(days))
        today.advance(account)
        run_dunning(at=today.now)
        settle(account, at=today.now)
    return account


def break_card(account: Account, card: str = "pm_card_chargeCustomerFail") -> None:
    """From the next charge on the bank refuses: a card that can be saved and not be charged."""
    customer = Customer.objects.get(account=account)
    with calling() as stripe:
        method = stripe.v1.payment_methods.attach(card, params={"customer": customer.provider_id})
        stripe.v1.customers.update(
            customer.provider_id, params={"invoice_settings": {"default_payment_method": method.id}}
        )
        stripe.v1.subscriptions.update(
            str(Subscription.objects.live().exclude(provider_id=None).get(account=account).provider_id),
            params={"default_payment_method": method.id},
        )


def _paused(shop: Workshop) -> None:
    account = shop.open("Winter Hut", days_ago=80)
    subscription = shop.pay(account, "solo-monthly", at=shop.ago(10))
    start_pause(subscription, 2, by=By.customer(owner_of(account)), at=shop.now)
    settle(account, at=shop.now)


def _leaving(shop: Workshop) -> None:
    account = shop.open("Blue Kiosk", days_ago=70)
    shop.pay(account, "solo-monthly", at=shop.ago(12))
    shop.leave(account, Ending.STOP_RENEWING, at=shop.now)


def _last_step(shop: Workshop) -> None:
    account = shop.open("Paper Boat", days_ago=70)
    shop.pay(account, "team-monthly", at=shop.ago(16))
    cancellation = shop.leave(account, Ending.STOP_NOW, at=shop.now)
    # With an answer that something could help with: the offer beside "no, continue".
    too_dear = {"reason": ExitReason.objects.filter(offer=ExitReason.Offer.PLAN).first()}
    save_survey(cancellation, too_dear, by=By.customer(owner_of(account)), at=shop.now)


def _free_days(shop: Workshop) -> None:
    account = shop.open("Second Look", days_ago=70)
    shop.pay(account, "team-monthly", at=shop.ago(18))
    shop.leave(account, Ending.FREE_DAYS, at=shop.now, confirms=True)


def _left(shop: Workshop) -> None:
    account = shop.open("Old Harbour", days_ago=70)
    shop.pay(account, "team-monthly", at=shop.ago(19))
    shop.leave(account, Ending.STOP_NOW, at=shop.now, confirms=True)


def _team(shop: Workshop) -> None:
    account = shop.open("Five Together", days_ago=50)
    for name, role in (("bea", "billing"), ("mo", "member"), ("olga", "owner")):
        person = make_person(f"{name}@five.example", name=name.capitalize())
        Member.objects.create(account=account, user=person, role=role, joined_at=shop.ago(30))
    shop.pay(account, "team-monthly", at=shop.ago(22))


EXAMPLES = (
    Example("paying@olive.example", "pays monthly, day 20 of the period", _paying),
    Example("fresh@taller.example", "paid three days ago: a full refund is due (Spanish)", _fresh),
    Example("annual@harbour.example", "pays yearly", _annual),
    Example("marta@persona.example", "a private person inside the EU withdrawal period (Spanish)", _consumer),
    Example("trial@fern.example", "on a trial without a card", _trial),
    Example("grace@cedar.example", "the trial is over, everything is still on", _trial_over),
    Example("frozen@mill.example", "the trial ran out: access is off", _trial_frozen),
    Example("free@garden.example", "on the free plan", _free),
    Example("late@bakery.example", "the last payment failed; access is on for some days more", _past_due),
    Example("confirm@bakery.example", "the bank wants the last payment confirmed (3-D Secure)", _to_confirm),
    Example("night@bakery.example", "an invoice was not paid in time: access is off until it is", _blocked),
    Example("paused@hut.example", "agreed on a pause", _paused),
    Example("leaving@kiosk.example", "has stopped renewing", _leaving),
    Example("laststep@boat.example", "chose to stop now; the last step is open", _last_step),
    Example("freedays@look.example", "took the free days; the refund is kept", _free_days),
    Example("left@old.example", "has left; the data is still there", _left),
    Example("ana@five.example", "owner of a team (also bea@, mo@ and olga@five.example)", _team),
)

STAFF = (
    ("support@good-terms.example", "support", "support desk, in the admin"),
    ("finance@good-terms.example", "finance", "finance, in the admin"),
)
ADMIN = ("admin@good-terms.example", "everything, in the admin")

PLANS: tuple[tuple[str, dict[str, Any]], ...] = (
    (
        "free",
        {
            "name_en": "Free",
            "name_es": "Gratis",
            "amount": 0,
            "summary_en": "For one project, for ever.",
            "summary_es": "Para un proyecto, para siempre.",
        },
    ),
    (
        "solo-monthly",
        {
            "name_en": "Solo",
            "name_es": "Individual",
            "amount": 1200,
            "summary_en": "For one person.",
            "summary_es": "Para una persona.",
        },
    ),
    (
        "team-monthly",
        {
            "name_en": "Team",
            "name_es": "Equipo",
            "amount": 2900,
            "summary_en": "For everybody you work with.",
            "summary_es": "Para todas las personas con las que trabajas.",
        },
    ),
    (
        "team-yearly",
        {
            "name_en": "Team, yearly",
            "name_es": "Equipo, anual",
            "amount": 29000,
            "interval": "year",
            "summary_en": "Twelve months for the price of ten.",
            "summary_es": "Doce meses al precio de diez.",
        },
    ),
    (
        "solo-trial",
        {
            "name_en": "Starter",
            "name_es": "Inicial",
            "amount": 1200,
            "trial_days": 14,
            "summary_en": "For one person who begins.",
            "summary_es": "Para una persona que empieza.",
        },
    ),
)


def make_company(now: dt.datetime) -> None:
    """Terms, plans with their prices at the provider, staff."""
    terms = Terms.objects.create(version=1, in_force_from=now - dt.timedelta(days=400))
    publish_terms(terms, by=By("system"), at=now - dt.timedelta(days=400))
    for code, columns in PLANS:
        price = make_price(code, columns) if columns["amount"] else ""
        Plan.objects.create(code=code, currency="EUR", provider_price=price, **columns)
    for email, group, _about in STAFF:
        make_person(email, is_staff=True).groups.add(Group.objects.get_or_create(name=group)[0])
    admin = User.objects.create_superuser(ADMIN[0], PASSWORD)
    EmailAddress.objects.create(user=admin, email=admin.email, primary=True, verified=True)


def make_price(code: str, columns: dict[str, Any]) -> str:
    """A product and its price at the provider."""
    with calling() as stripe:
        product = stripe.v1.products.create(
            params={"name": columns["name_en"], "metadata": {"good_terms_plan": code}}
        )
        price = stripe.v1.prices.create(
            params={
                "product": product.id,
                "unit_amount": columns["amount"],
                "currency": "eur",
                "recurring": {"interval": columns.get("interval", "month")},
            }
        )
    return str(price.id)


def make_examples() -> Iterator[Example]:
    """Make everything, yielding each example when it is there."""
    now = clock.now()
    make_company(now)
    for example in EXAMPLES:
        example.make(Workshop(example.email, now))
        yield example


def logins() -> list[dict[str, str]]:
    """Who can sign in, for the starter to print."""
    rows = (
        [(e.email, e.about) for e in EXAMPLES] + [(email, about) for email, _group, about in STAFF] + [ADMIN]
    )
    return [{"email": email, "password": PASSWORD, "about": about} for email, about in rows]
