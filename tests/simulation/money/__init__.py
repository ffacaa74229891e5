"""The spending limits, held beside the platform's own ledger, over random schedules.

Runs follow each other within a minute or over the end of a day or of a month, with limits for the run, the day and the
month; processes die at paid calls, answers are lost or come minutes later, the clock jumps by up to forty days. At every
paid call that the platform takes:

- what it has charged for calls **sent** by this run, on this day and in this month (UTC, by the clock of the machine that
  sent them) is not above the limit. A call whose answer was lost, and which is made again because nobody can tell, counts
  where that was decided; so does one that is on its way at midnight, for at most five seconds;
- it has charged no more than our ledger holds.

The platform charges as it likes up to what a request allows (``max_tokens``), and that is reserved. In every eighth
schedule it counts more tokens than it was allowed to: then only that excess, told in the log, may be above the limit. API v1.2
has no such most (there what is expected is reserved), and a lost state folder takes its ledger with it: neither is shown here.

What waits for money stands in the one lane that a spent budget closes: elsewhere nothing would ever end its wait.

In the end, call by call: what was charged stands in the ledger, and what a death has left reserved is freed or counted,
never both.

    python -m tests.simulation.money --seeds 1000
"""
