"""The endings as cards, as an account and whoever acts for it can choose them now."""

import datetime as dt
from typing import Any

from accounts.models import Account, Member
from offboarding import wording
from offboarding.doing_nothing import read_nothing
from offboarding.models import Ending
from offboarding.outcomes import decide_outcome, default_ending, is_now_like_renewing, later_refund
from offboarding.quotes import Shown, leaving_terms
from offboarding.situation import Situation, Start

ORDER = (Ending.STOP_RENEWING, Ending.STOP_NOW, Ending.FREE_DAYS, Ending.CLOSE_DELETE)


def show_endings(
    account: Account, member: Member, facts: Situation, *, at: dt.datetime, chosen: str = "", tag: str = ""
) -> dict[str, Any]:
    """What a page of endings shows, measured at `at`; `chosen`: the one that is on record, with its `tag`.

    Who is past due finds the way out at once first. Of two that do the same the one with a step less stays.
    """
    rules = leaving_terms(account.terms)
    mark = Shown(at, facts.fingerprint()).sign(account)
    order = sorted(
        ORDER, key=lambda e: (facts.start == Start.PAST_DUE and e != Ending.STOP_NOW, ORDER.index(e))
    )
    outcomes = [decide_outcome(rules, facts, ending) for ending in order]
    offered = [o for o in outcomes if o.is_offered and (o.ending != Ending.CLOSE_DELETE or member.is_owner)]
    chosen = chosen if chosen in [o.ending for o in offered] else ""
    if chosen != Ending.STOP_NOW and is_now_like_renewing(rules, facts):
        offered = [o for o in offered if o.ending != Ending.STOP_NOW]
    default = chosen or default_ending(rules, facts)
    nothing = None if chosen else read_nothing(account, facts)
    later = later_refund(rules, facts)
    not_offered = [(wording.title(o.ending), wording.why_not(o)) for o in outcomes if not o.is_offered]
    if not member.is_owner:
        not_offered.append((wording.title(Ending.CLOSE_DELETE), wording.why_not_yours(_owners(account))))
    return {
        "choices": [
            wording.card(
                o,
                facts,
                is_default=o.ending == default,
                mark=mark,
                tag=tag if o.ending == chosen else "",
                later=later,
                nothing=nothing,
            )
            for o in offered
        ],
        "not_offered": not_offered if facts.start != Start.ENDED else [],
        "nothing": wording.if_nothing(nothing) if nothing else "",
        "start": facts.start,
        "facts": facts,
    }


def _owners(account: Account) -> list[str]:
    seats = account.members.owners().select_related("user")
    return [seat.user.name or seat.user.email for seat in seats]
