"""What is wrong with this fleet, and what is to be done? Each check looks on its own, in bounded time, whatever the others find.

finding: what a check says · patient: what is known of the fleet before any check · machine, log, chain: the checks ·
examination: all of them, at once.
"""
