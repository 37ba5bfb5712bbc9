"""Forms of leaving."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from offboarding.models import ExitReason, ExitSurvey


class SurveyForm(forms.ModelForm[ExitSurvey]):
    """The exit survey: every answer may be left out."""

    class Meta:
        model = ExitSurvey
        fields = (
            "reason",
            "problem",
            "expectation",
            "usage",
            "change",
            "wants_call",
            "call_when",
            "wants_news",
        )
        widgets = {
            "reason": forms.RadioSelect,
            "usage": forms.RadioSelect,
            "problem": forms.Textarea(attrs={"rows": 3}),
            "expectation": forms.Textarea(attrs={"rows": 3}),
            "change": forms.Textarea(attrs={"rows": 3}),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        reason = self.fields["reason"]
        assert isinstance(reason, forms.ModelChoiceField)
        reason.queryset = ExitReason.objects.filter(is_active=True)
        reason.empty_label = None
        usage = self.fields["usage"]
        assert isinstance(usage, forms.TypedChoiceField)
        usage.choices = ExitSurvey.Usage.choices
        self.fields["call_when"].help_text = _("A day and a time, and a number if we are to phone you.")

    def answers(self) -> dict[str, Any]:
        """What was answered, by column."""
        return dict(self.cleaned_data)


class ConfirmForm(forms.Form):
    """The last step: which quote was shown, and whether the days to fetch the data are given up."""

    quote = forms.CharField(widget=forms.HiddenInput, max_length=26)
    when = forms.ChoiceField(
        label=_("When shall the data be deleted?"),
        choices=(("later", ""), ("soon", "")),
        initial="later",
        widget=forms.RadioSelect,
        required=False,
    )
