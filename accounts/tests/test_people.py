"""Who is in the team, and who may change that."""

import datetime as dt

import pytest
from django.test import Client
from django.urls import reverse

from accounts import people
from accounts.errors import NotAllowed, TooMany, WrongState
from accounts.models import Account, Event, Invitation, Member, Notice
from accounts.tests.worlds import NOON, PASSWORD, make_account, make_member, make_user, owner_of

pytestmark = pytest.mark.django_db

DAY = dt.timedelta(days=1)


def invite(account, email="eva@example.com", role="member", *, at=NOON, by=None):
    return people.invite_member(account, email, role, by_user=by or owner_of(account), at=at)


def kinds_of(account):
    return list(Event.objects.filter(account_ref=account.public_id).values_list("kind", flat=True))


def test_an_invitation_is_mailed_recorded_and_good_for_fourteen_days():
    account = make_account()
    offered = invite(account, " Eva@Example.com ")
    notice = Notice.objects.get()

    assert offered.email == "eva@example.com"
    assert offered.expires_at == NOON + 14 * DAY
    assert (notice.kind, notice.address) == ("invitation", "eva@example.com")
    assert kinds_of(account) == ["member.invited"]


def test_the_history_holds_no_address_and_no_name():
    account = make_account()
    offered = invite(account)
    people.accept_invitation(offered, user=make_user("eva@example.com", name="Eva"), at=NOON)

    for event in Event.objects.all():
        assert "eva" not in str(event.facts).lower()


def test_inviting_again_replaces_the_open_invitation():
    account = make_account()
    first, second = invite(account), invite(account, role="owner", at=NOON + DAY)
    first.refresh_from_db()

    assert first.withdrawn_at == NOON + DAY
    assert list(Invitation.objects.open_at(NOON + DAY)) == [second]


def test_a_member_is_not_invited_again():
    account = make_account()
    seat = make_member(account)

    with pytest.raises(WrongState):
        invite(account, seat.user.email.upper())


def test_a_day_has_room_for_twenty_invitations():
    account = make_account()
    for number in range(people.INVITATIONS_A_DAY):
        invite(account, f"p{number}@example.com")

    with pytest.raises(TooMany):
        invite(account, "one-more@example.com", at=NOON + DAY - dt.timedelta(seconds=1))
    assert invite(account, "one-more@example.com", at=NOON + DAY)


@pytest.mark.parametrize("role", ["member", "billing"])
def test_only_owners_invite_withdraw_change_and_remove(role):
    account = make_account()
    offered, seat, other = invite(account), make_member(account, role), make_member(account)
    attempts = [
        lambda: invite(account, "x@example.com", by=seat.user),
        lambda: people.withdraw_invitation(offered, by_user=seat.user, at=NOON),
        lambda: people.change_role(other, "owner", by_user=seat.user, at=NOON),
        lambda: people.remove_member(other, by_user=seat.user, at=NOON),
    ]

    for attempt in attempts:
        with pytest.raises(NotAllowed):
            attempt()


def test_an_owner_of_another_account_is_nobody_here():
    account, stranger = make_account(), owner_of(make_account())
    seat = make_member(account)

    with pytest.raises(NotAllowed):
        people.remove_member(seat, by_user=stranger, at=NOON)


def test_joining_is_recorded_and_the_owners_are_told():
    account = make_account()
    make_member(account, "billing")
    eva = make_user("eva@example.com")
    seat = people.accept_invitation(invite(account, role="billing"), user=eva, at=NOON)
    notice = Notice.objects.get(kind="member_joined")

    assert (seat.role, seat.joined_at) == ("billing", NOON)
    assert notice.user == owner_of(account)
    assert kinds_of(account) == ["member.invited", "member.joined"]


@pytest.mark.parametrize("at", [NOON + 14 * DAY, NOON + 30 * DAY])
def test_an_expired_invitation_opens_nothing(at):
    account = make_account()
    offered = invite(account)

    with pytest.raises(WrongState):
        people.accept_invitation(offered, user=make_user("eva@example.com"), at=at)
    assert Member.objects.count() == 1


def test_an_account_that_was_left_is_joined_by_nobody_a_frozen_one_by_who_will_pay():
    eva, left, frozen = make_user("eva@example.com"), make_account(), make_account()
    offers = [invite(left, role="billing"), invite(frozen, role="billing")]
    Account.objects.filter(pk=left.pk).update(state="closed", closed_at=NOON)
    Account.objects.filter(pk=frozen.pk).update(state="frozen")

    with pytest.raises(WrongState):
        people.accept_invitation(offers[0], user=eva, at=NOON)
    assert people.accept_invitation(offers[1], user=eva, at=NOON).role == "billing"


def test_a_withdrawn_invitation_opens_nothing_and_is_not_mailed():
    account = make_account()
    offered = invite(account)
    people.withdraw_invitation(offered, by_user=owner_of(account), at=NOON)

    assert Notice.objects.get().status == "dropped"
    with pytest.raises(WrongState):
        people.accept_invitation(offered, user=make_user("eva@example.com"), at=NOON)
    with pytest.raises(WrongState):
        people.withdraw_invitation(offered, by_user=owner_of(account), at=NOON)


def test_an_unverified_address_proves_nothing():
    account, eva = make_account(), make_user("eva@example.com")
    eva.emailaddress_set.update(verified=False)

    with pytest.raises(NotAllowed):
        people.accept_invitation(invite(account), user=eva, at=NOON)


def test_accepting_twice_is_joining_once():
    account, eva = make_account(), make_user("eva@example.com")
    offered = invite(account)
    people.accept_invitation(offered, user=eva, at=NOON)

    with pytest.raises(WrongState):
        people.accept_invitation(offered, user=eva, at=NOON)
    assert account.members.filter(user=eva).count() == 1


def test_who_left_can_come_back():
    account, eva = make_account(), make_user("eva@example.com")
    seat = people.accept_invitation(invite(account), user=eva, at=NOON)
    people.leave_team(seat, at=NOON)
    again = people.accept_invitation(invite(account, at=NOON + DAY), user=eva, at=NOON + DAY)

    assert again.pk != seat.pk
    assert account.members.current().filter(user=eva).get() == again


def test_a_role_changes_with_its_history():
    account = make_account()
    seat = make_member(account)
    people.change_role(seat, "billing", by_user=owner_of(account), at=NOON)
    event = Event.objects.get()
    seat.refresh_from_db()

    assert seat.role == "billing"
    assert event.facts == {"before": "member", "after": "billing"}
    assert event.subject == seat.user.public_id


def test_the_same_role_again_is_no_event():
    account = make_account()
    people.change_role(make_member(account), "member", by_user=owner_of(account), at=NOON)

    assert not Event.objects.exists()


def test_the_last_owner_stays():
    account = make_account()
    seat = account.members.get()

    with pytest.raises(NotAllowed):
        people.change_role(seat, "member", by_user=seat.user, at=NOON)
    with pytest.raises(NotAllowed):
        people.leave_team(seat, at=NOON)


def test_one_of_two_owners_may_go():
    account = make_account()
    other = make_member(account, "owner")
    people.leave_team(other, at=NOON)

    assert account.members.owners().count() == 1
    assert kinds_of(account) == ["member.left"]


def test_who_is_removed_is_told_and_keeps_the_sign_in():
    account = make_account()
    seat = make_member(account)
    people.remove_member(seat, by_user=owner_of(account), at=NOON)
    notice = Notice.objects.get()
    seat.user.refresh_from_db()

    assert (notice.kind, notice.user) == ("removed", seat.user)
    assert seat.user.is_active
    with pytest.raises(WrongState):
        people.remove_member(seat, by_user=owner_of(account), at=NOON)


def test_owners_do_not_remove_themselves():
    account = make_account()
    make_member(account, "owner")

    with pytest.raises(NotAllowed):
        people.remove_member(account.members.get(user=owner_of(account)), by_user=owner_of(account), at=NOON)


class TestPages:
    """The same over HTTP, with a fresh sign-in where rights move."""

    @pytest.fixture
    def account(self):
        return make_account(owner=make_user("owner@example.com", password=PASSWORD))

    def signed_in_long_ago(self):
        """Signed in, but not lately: rights do not move without asking again."""
        client = Client()
        client.post(reverse("account_login"), {"login": "owner@example.com", "password": PASSWORD})
        session = client.session
        session["account_authentication_methods"] = [{"method": "password", "at": 0}]
        session.save()
        return client

    def fresh(self):
        client = Client()
        client.post(reverse("account_login"), {"login": "owner@example.com", "password": PASSWORD})
        return client

    def test_an_owner_invites_from_the_page(self, account):
        url = reverse("invite", args=[account.public_id])
        self.fresh().post(url, {"email": "eva@example.com", "role": "billing"})

        assert Invitation.objects.get().role == "billing"

    @pytest.mark.parametrize("wrong", [{"email": "eva"}, {"role": "god"}])
    def test_what_is_wrong_is_said_on_the_page(self, account, wrong):
        fields = {"email": "eva@example.com", "role": "member"} | wrong
        response = self.fresh().post(reverse("invite", args=[account.public_id]), fields)

        assert response.status_code == 422
        assert list(response.context["form"].errors) == list(wrong)

    def test_a_role_changes_after_a_fresh_sign_in_only(self, account):
        seat = make_member(account)
        url = reverse("change_role", args=[account.public_id, seat.user.public_id])
        stale = self.signed_in_long_ago().post(url, {"role": "owner"})
        seat.refresh_from_db()
        assert seat.role == "member"
        assert stale["Location"].startswith(reverse("account_reauthenticate"))
        client = self.fresh()
        client.post(reverse("account_reauthenticate"), {"password": PASSWORD})
        client.post(url, {"role": "owner"})
        seat.refresh_from_db()

        assert seat.role == "owner"

    def test_what_was_sent_before_the_sign_in_goes_through_after_it(self, account):
        seat, client = make_member(account), self.signed_in_long_ago()
        url = reverse("remove_member", args=[account.public_id, seat.user.public_id])
        asked = client.post(url)
        client.post(asked["Location"], {"password": PASSWORD}, follow=True)
        seat.refresh_from_db()

        assert seat.left_at is not None

    def test_looking_removes_nobody(self, account):
        seat = make_member(account)
        url = reverse("remove_member", args=[account.public_id, seat.user.public_id])
        self.fresh().get(url)
        seat.refresh_from_db()

        assert seat.left_at is None

    def test_the_last_owner_is_told_what_to_do_instead(self, account):
        client = self.fresh()
        url = reverse("leave_team", args=[account.public_id])

        assert '<button class="button danger"' not in client.get(url).content.decode()
        client.post(url)
        assert account.members.owners().count() == 1

    def test_a_member_leaves_with_one_press(self, account):
        seat, client = make_member(account), Client()
        client.force_login(seat.user)
        client.post(reverse("leave_team", args=[account.public_id]))
        seat.refresh_from_db()

        assert seat.left_at is not None

    def test_members_see_the_team_and_no_forms(self, account):
        seat, client = make_member(account), Client()
        client.force_login(seat.user)
        page = client.get(reverse("people", args=[account.public_id])).content.decode()

        assert "owner@example.com" in page
        assert reverse("invite", args=[account.public_id]) not in page
