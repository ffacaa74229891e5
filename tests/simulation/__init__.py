"""Whole runs under virtual time with random accidents, all drawn from one seed.

The real program (feeder, engine, kinds, client, dialects, limits, sink) runs over a model of the vendor's platform behind
the HTTP border, a disk that remembers what a power failure leaves, and a database that checks every step. See
``world`` for what a seed goes through, ``watch`` and ``ledger`` for what must hold all the time, and replay one with::

    python -m tests.simulation --seed 1234 --verbose
    python -m tests.simulation --from 1 --seeds 10000
    python -m tests.simulation --from 1 --seeds 10000 --hosts 3

=============  ======================================================================================
``schedule``   seed -> manifests, settings, the platform's habits, accidents
``vendor``     the platform: what it accepts, remembers, shows and forgets (``vendor_v1_3``, ``vendor_v1_2``)
``wire``       httpx without sockets: where answers are late, lost, cut, refused
``watch``      a database that lets no forbidden step pass, and a disk on which nothing half-written is seen
``hosts``      several machines at a time over one database: what befalls one of them while the others go on
``world``      nights, lives, deaths, the operator; then calm, and the reckoning
``shrink``     fewer accidents with the same end
``money``      the same with spending limits, held against what the platform charged
=============  ======================================================================================
"""
