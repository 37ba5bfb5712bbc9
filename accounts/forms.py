"""What people fill in: opening an account, inviting, settings."""

from typing import Any, cast

from allauth.account.forms import SignupForm as AllauthSignupForm
from allauth.core import context
from django import forms
from django.conf import settings
from django.db import transaction
from django.forms.utils import flatatt
from django.http import HttpRequest, QueryDict
from django.urls import reverse
from django.utils import translation
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts import clock
from accounts.models import Account, Invitation, Member, Terms, User
from accounts.opening import Company, open_account
from accounts.places import country_choices, currency_choices, time_zone_choices

#: Where the invitation that brought someone here is remembered until they have signed up.
INVITATION_KEY = "accounts.invitation"


def pending_invitation(request: HttpRequest) -> Invitation | None:
    """The open invitation whose link this visitor followed, if any."""
    number = request.session.get(INVITATION_KEY)
    if number is None:
        return None
    return Invitation.objects.open_at(clock.now()).select_related("account").filter(pk=number).first()


class LongSelect(forms.Select):
    """A list of hundreds of choices, written in one go: a template for each would take 0.2 s a page."""

    def render(
        self, name: str, value: Any, attrs: dict[str, Any] | None = None, renderer: Any = None
    ) -> SafeString:
        chosen = str(value or "")
        options = format_html_join(
            "",
            '<option value="{}"{}>{}</option>',
            ((code, flatatt({"selected": str(code) == chosen}), label) for code, label in self.choices),
        )
        return format_html("<select{}>{}</select>", flatatt(self.build_attrs({"name": name}, attrs)), options)


class OpenAccountForm(forms.Form):
    """What an account is opened with, the terms and the start included."""

    company = forms.CharField(
        label=_("Company, or your own name"),
        max_length=200,
        widget=forms.TextInput(attrs={"autocomplete": "organization"}),
    )
    kind = forms.ChoiceField(
        label=_("This account is for"),
        choices=[("business", _("a business")), ("consumer", _("myself, as a private person"))],
        initial="business",
        widget=forms.RadioSelect,
        help_text=_("Private persons have further rights by law, which we apply without being asked."),
    )
    country = forms.ChoiceField(
        label=_("Country"),
        choices=lambda: [("", gettext("Choose…")), *country_choices()],
        widget=LongSelect,
        help_text=_("It decides which law applies."),
    )
    time_zone = forms.ChoiceField(
        label=_("Time zone"),
        choices=time_zone_choices,
        widget=LongSelect,
        help_text=_("Your days begin and end in it: deadlines, reminders, the last day of access."),
    )
    language = forms.ChoiceField(
        label=_("Language"), choices=settings.LANGUAGES, help_text=_("For pages, mails and receipts.")
    )
    currency = forms.ChoiceField(
        label=_("Currency"), choices=currency_choices, help_text=_("It stays the same for this account.")
    )
    accept_terms = forms.BooleanField(
        error_messages={"required": _("Without accepting the terms there can be no account.")}
    )
    immediate_start = forms.BooleanField(
        required=False,
        label=_("Start at once"),
        help_text=_(
            "For private persons only. I ask for the service to start before the period in which I can "
            "withdraw is over. If I then withdraw, I pay only for the days until I did. Without this I get "
            "everything back."
        ),
    )
    terms_version = forms.IntegerField(widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.terms = Terms.objects.in_force(clock.now())
        self.fields["language"].initial = translation.get_language()
        self.fields["time_zone"].initial = settings.COMPANY_TIME_ZONE
        self.fields["accept_terms"].label = format_html(
            '{} <a href="{}" target="_blank" rel="noopener">{}</a>',
            gettext("I have read and accept the terms:"),
            reverse("terms_version", args=[self.terms.version]),
            gettext("read them in plain words"),
        )
        self.fields["terms_version"].initial = self.terms.version

    def clean_terms_version(self) -> int:
        """What is accepted is what was shown: newer terms are shown before they are accepted."""
        shown: int = self.cleaned_data["terms_version"]
        if shown != self.terms.version:
            # The form comes back with the present version in it, so that the next try can pass.
            self.data = cast(QueryDict, self.data).copy()
            self.data[self.add_prefix("terms_version")] = str(self.terms.version)
            raise forms.ValidationError(
                gettext("The terms have changed since you opened this page. Please read the new ones.")
            )
        return shown

    def open_for(self, user: User) -> Account:
        """Open the account that this valid form describes."""
        fields = self.cleaned_data
        company = Company(
            name=fields["company"],
            country=fields["country"],
            time_zone=fields["time_zone"],
            language=fields["language"],
            currency=fields["currency"],
            kind=fields["kind"],
        )
        return open_account(
            company,
            owner=user,
            terms=self.terms,
            immediate_start=fields["immediate_start"],
            at=clock.now(),
        )


class SignupForm(OpenAccountForm, AllauthSignupForm):  # type: ignore[misc]
    """Sign-up: a person with an account of their own, or, after an invitation, the person alone."""

    name = forms.CharField(
        label=_("Your name"),
        max_length=120,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )
    field_order = ["email", "password1", "name"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.invitation = pending_invitation(context.request)
        super().__init__(*args, **kwargs)
        self.fields["email"].label = gettext("E-mail address")
        if self.invitation is None:
            return
        for name in set(self.fields) - {"email", "password1", "name", "language"}:
            del self.fields[name]
        self.fields["email"].initial = self.invitation.email
        self.fields["email"].widget.attrs["readonly"] = True

    def clean_email(self) -> str:
        email: str = super().clean_email()
        if self.invitation is not None and email != self.invitation.email:
            raise forms.ValidationError(
                gettext("This invitation is for %(email)s.") % {"email": self.invitation.email}
            )
        return email

    @transaction.atomic
    def save(self, request: HttpRequest) -> User:
        """The person, their account, its owner, terms and history: all of it or nothing."""
        user = cast(User, super().save(request))
        user.name = self.cleaned_data["name"]
        user.language = self.cleaned_data["language"]
        User.objects.filter(pk=user.pk).update(name=user.name, language=user.language)
        if self.invitation is None:
            self.open_for(user)
        return user


class InviteForm(forms.Form):
    """A seat for an address."""

    email = forms.EmailField(label=_("E-mail address"), max_length=254)
    role = forms.ChoiceField(label=_("Role"), choices=Member.Role.choices, initial=Member.Role.MEMBER)


class ApiKeyForm(forms.Form):
    """A key for one service."""

    name = forms.CharField(
        label=_("What is it for?"), max_length=80, help_text=_("So that you know later what to revoke.")
    )


class RoleForm(forms.Form):
    """Another role for a member."""

    role = forms.ChoiceField(label=_("Role"), choices=Member.Role.choices)


class AccountSettingsForm(forms.Form):
    """What an owner may change about the account, each with its effect."""

    name = forms.CharField(
        label=_("Company, or your own name"),
        max_length=200,
        help_text=_("It is on your invoices from now on."),
    )
    country = forms.ChoiceField(
        label=_("Country"),
        choices=country_choices,
        widget=LongSelect,
        help_text=_(
            "It decides which law applies from now on: how long you can withdraw, how long we keep invoices. "
            "What you have declared already keeps the rules of its day. The change goes into your history."
        ),
    )
    time_zone = forms.ChoiceField(
        label=_("Time zone"),
        choices=time_zone_choices,
        widget=LongSelect,
        help_text=_("Days begin and end in it from now on. Dates that you were given stay as they are."),
    )
    language = forms.ChoiceField(
        label=_("Language"),
        choices=settings.LANGUAGES,
        help_text=_("For mails to people who have not chosen their own."),
    )


class PersonForm(forms.ModelForm[User]):
    """What a person may change about themselves."""

    class Meta:
        model = User
        fields = ("name", "language")
        help_texts = {
            "name": _("Your team sees it."),
            "language": _("For pages and for mails to you."),
        }


class CodeForm(forms.Form):
    """A code that was mailed."""

    code = forms.CharField(
        label=_("Code"),
        max_length=20,
        widget=forms.TextInput(attrs={"autocomplete": "one-time-code", "class": "short"}),
    )
