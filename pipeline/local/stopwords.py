"""English words that carry no subject of their own."""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: left out of stems, phrases and queries
STOP_WORDS = _words("""
a about above actually after again against all almost along already also although always am among an and another any
anyone anything are aren't around as at away back be became because become been before began begin being below best
better between big both but by call called came can can't cannot cause come comes could couldn't course did didn't
different do does doesn't doing don't done down during each either else end enough even ever every everyone everything
exactly example far few find first for form found from full gave get gets getting give given go goes going gone gonna
good got great had has hasn't have haven't having he he's hence her here here's hers herself him himself his how
however i i'd i'll i'm i've if important in instead into is isn't it it's its itself just keep kind knew know last
later least left less let let's like likely little ll long look looking lot made make makes making many may maybe me
mean means might mine more most mostly much must my myself near need needs never new next no nobody none nor not
nothing now of off often oh ok okay on once one ones only onto or other others our ours out over own part people
perhaps place please point possible pretty probably put quite rather re real really right said same saw say saying
says second see seem seems seen several shall she should show shown simply since small so some somehow someone
something sometimes soon sort start still stuff such sure take taken tell than thank thanks that that's the their
theirs them themselves then there there's these they they'd they'll they're they've thing things think third this
those though three through thus time times to today together told too took toward towards true turn two under until up
upon us use used uses using usually ve very want wants was wasn't way ways we we'd we'll we're we've well went were
weren't what what's whatever when where whether which while who who's whole whom whose why will with within without
won't word words work would wouldn't yeah yes yet you you'd you'll you're you've your yours yourself hello hi welcome
video uh um hey four five six seven eight nine ten hundred thousand early late low high able basically literally bit
idea question answer try trying talk understand happens happen happened main explain explained somewhat certain
especially therefore including include includes
""")
#: determiners: what follows them names something
DETERMINERS = _words("a an the this that these those its their our your his her each every some any no of")
