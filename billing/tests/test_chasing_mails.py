"""The mails about an unpaid invoice, read in a row as the customer reads them."""

import os
import re
from pathlib import Path

import pytest
from django.core import mail

from billing.tests.chasing import failing_account, pass_days
from billing.tests.worlds import make_plan

# What is proven here is what is said: one database is enough.
pytestmark = [pytest.mark.django_db, pytest.mark.once]

BLOCK = {"en": "18 April 2026", "es": "18 de abril de 2026"}
END = {"en": "22 April 2026", "es": "22 de abril de 2026"}
#: What is not so: it can be paid afterwards, too; a code is no reason; a link has words.
UNTRUE = re.compile(
    r"last day to pay|último día para pagar|\b0 d|generic_decline|insufficient_funds|lost_card"
)
SUBJECTS = {
    ("en", "insufficient_funds", "freeze"): [
        "Your payment of €29.00 did not go through",
        "Access ends in 4 days: €29.00 is still unpaid",
        "Access ends tomorrow: €29.00 is still unpaid",
        "Today is the last day: access ends at 23:59 CEST",
        "Access is off: €29.00 is unpaid",
        "Access stays off: €29.00 could not be charged this time either",
        "Our last reminder: €29.00 is unpaid",
        "We have stopped trying; your account stays frozen",
    ],
    ("es", "insufficient_funds", "cancel"): [
        "Tu pago de 29,00 € no se completó",
        "El acceso termina en 4 días: quedan 29,00 € por pagar",
        "El acceso termina mañana: quedan 29,00 € por pagar",
        "Hoy es el último día: el acceso termina a las 23:59 CEST",
        "El acceso está cerrado: quedan por pagar 29,00 €",
        "El acceso sigue cerrado: tampoco esta vez se han podido cobrar 29,00 €",
        "Tu suscripción termina hoy si no se pagan 29,00 €",
        "Tu suscripción ha terminado: no se pagó la factura",
    ],
    ("en", "lost_card", "keep"): [
        "Your payment of €29.00 did not go through",
        "Access ends in 4 days: €29.00 is still unpaid",
        "Access ends tomorrow: €29.00 is still unpaid",
        "Today is the last day: access ends at 23:59 CEST",
        "Access is off: €29.00 is unpaid",
        "Access stays off: €29.00 is still unpaid",
        "Our last reminder: €29.00 is unpaid",
        "A person will write to you about your invoice",
    ],
    ("es", "authentication_required", "free_plan"): [
        "Confirma tu pago de 29,00 €",
        "El acceso termina en 4 días: falta que confirmes el pago de 29,00 €",
        "El acceso termina mañana si no confirmas el pago de 29,00 €",
        "Hoy es el último día: el acceso termina a las 23:59 CEST",
        "El acceso está cerrado: quedan por pagar 29,00 €",
        "El acceso sigue cerrado hasta que confirmes el pago de 29,00 €",
        "Tu plan termina hoy si no se pagan 29,00 €",
        "Tu cuenta pasa al plan gratis",
    ],
}


def keep_to_look_at(name):
    """For whoever wants to see them: `MAILS_TO=FOLDER` writes each mail there as a page."""
    for number, message in enumerate(mail.outbox, start=1):
        if folder := os.environ.get("MAILS_TO"):
            Path(folder, f"{name}-{number:02}.html").write_text(message.alternatives[0][0])


@pytest.mark.parametrize(("language", "decline", "ends"), SUBJECTS)
def test_each_mail_says_more_than_the_one_before_with_every_date(noon, language, decline, ends):
    make_plan(amount=0)
    account = failing_account(noon, decline, language=language, dunning_end=ends)
    pass_days(noon, account, 12)
    keep_to_look_at(f"{decline}-{language}")
    series = mail.outbox[1:]  # the receipt of the month before is the first

    assert [message.subject.replace("\xa0", " ") for message in series] == SUBJECTS[language, decline, ends]
    assert [m.subject for m in series if UNTRUE.search(m.subject + m.body)] == []
    assert [m.subject for m in series[:4] if BLOCK[language] not in m.body] == []
    assert [m.subject for m in series[:7] if END[language] not in m.body] == []
    assert [BLOCK[language] in m.body for m in series[4:7]] == [True, False, False]
    assert [m.subject for m in series if re.search(r">https?://", m.alternatives[0][0])] == []
