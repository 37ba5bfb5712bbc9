"""The published terms, for anyone: a version in plain sentences, and what changed between two."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from accounts import clock
from accounts.models import Terms
from accounts.terms import difference, sentences

#: Older versions stay readable at their address; the list stays short.
LISTED = 20


@require_safe
def current_terms(request: HttpRequest) -> HttpResponse:
    """The version in force now."""
    try:
        terms = Terms.objects.in_force(clock.now())
    except Terms.DoesNotExist as error:
        raise Http404 from error
    return _show(request, terms)


@require_safe
def terms_version(request: HttpRequest, version: int) -> HttpResponse:
    """Any published version: past, present or announced."""
    return _show(request, get_object_or_404(Terms.objects.published(), version=version))


def _show(request: HttpRequest, terms: Terms) -> HttpResponse:
    at = clock.now()
    versions = list(Terms.objects.published().order_by("-in_force_from", "-version")[:LISTED])
    current = next((other for other in versions if other.in_force_from <= at), None)
    context = {
        "terms": terms,
        "sections": sentences(terms),
        "versions": versions,
        "is_current": terms == current,
        "is_announced": terms.in_force_from > at,
        "current": current,
    }
    return render(request, "terms/terms.html", context)


@require_safe
def terms_difference(request: HttpRequest, old: int, new: int) -> HttpResponse:
    """Each rule that differs, with both sentences."""
    published = Terms.objects.published()
    before = get_object_or_404(published, version=old)
    after = get_object_or_404(published, version=new)
    context = {"old": before, "new": after, "differences": difference(before, after)}
    return render(request, "terms/difference.html", context)
