"""The product's addresses, and one whose author forgot that accounts can be frozen."""

from django.http import HttpRequest, HttpResponse
from django.urls import path

from config.urls import urlpatterns as of_the_product


def forgotten(request: HttpRequest, account_id: str) -> HttpResponse:
    return HttpResponse("the product")


urlpatterns = [*of_the_product, path("a/<slug:account_id>/forgotten/", forgotten)]
