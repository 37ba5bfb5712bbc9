"""Forms of billing."""

from django import forms
from django.utils.translation import gettext_lazy as _


class MoreTimeForm(forms.Form):
    """What someone needs more time for; the answer may be left out."""

    text = forms.CharField(
        label=_("What are you trying to do?"),
        help_text=_("A sentence is enough. It helps us to help you, and you can leave it out."),
        max_length=2000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 4}),
    )
