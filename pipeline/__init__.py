"""Reelmill: durable, exactly-once batch ingestion of video.

The map, from the top down: a part imports only what stands below it (``pyproject.toml`` holds the contracts).

===========================  ==========================================================================================
``__main__``                 ``python -m pipeline`` and the ``reelmill`` command
``cli``                      the typer application: names and help of all commands
``commands``                 one file per command: arguments in, one call of ``app``, an exit code out
``commands/index``           ``search``, ``ask``, ``classify``, ``indexes``, ``videos``
``commands/items``           ``list``, ``forget``
``commands/cluster``         ``work``, ``hosts``, ``import-state``
``commands/upkeep``          ``service``, ``prune``
``commands/shared``          common options, argument parsing, the frame around each command
``app``                      the composition root: the only package that sees everything
``app/wiring``               settings in, wired components out: run plan, platform, state folder; signals
``app/runs``                 ``run``, ``plan``, ``demo``, ``config check``: one ingestion from manifests to results
``app/operator``             ``status``, ``show``, ``doctor``, ``retry``, ``cancel``, ``platform``
``app/items``                ``list``, ``retry --again``, ``forget``: what is done with items by name
``app/cluster``              ``work``, ``hosts``, ``run --submit``, ``demo --hosts``
``app/asking``               ``ask``: one question across many videos, paid once
``app/index``                ``search``, ``classify``, ``indexes``, ``videos``: questions to a whole index
``app/gallery``              the page: the database in, its files out, as much as has changed
``app/gallery/making``       the page's blocks of videos, made by two processes at once
``app/account``              ``reconcile``: the account compared with the database
``app/upkeep``               ``service``, ``prune``: set up once, tidied now and then
``app/watch``                the night watch of a run: who is told what, and when
``present``                  values from ``views`` as JSON and the live display; stdout and stderr
``present/tables``           the tables of the commands, one file each
``present/tables/index``     those of the commands that ask an index, or many videos
``present/tables/items``     those of the commands for items
``engine``                   worker pool: claims due tasks, keeps leases by heartbeat, writes verdicts; circuit breaker
``ingest``                   what a run does with a video: job requests, the pay-once protocol, task data
``ingest/tasks``             the seven types of task: item, playlist, video, analysis, batch, indexing, publish
``ingest/windows``           questions about a part of a video: which parts, whose clock, what they make together
``ingest/ending``            what an analysis has cost by its end; cancelled here, cancelled at the platform
``ingest/transcripts``       what the platform heard: fetched where it has it, written as captions
``ingest/batches``           which analyses are asked by the batch, how they are packed, what each waits for
``store``                    where tasks, results and the ledger live: the encoding that every database shares
``store/sqlite``             the SQLite database: one file, named queries, schema migrations
``store/postgres``           the PostgreSQL database: the same port for several hosts
``store/postgres/handout``   which due task a host gets: by the table alone, or by PgQueuer
``store/transfer``           one kind of database copied into another
``provider``                 the client of the Twelve Labs API: uploads, the status board, inventory
``provider/http``            HTTP transport, retries of safe calls, rate limits
``provider/dialects``        the API as pure functions: request values out, response values in
``provider/dialects/v1_2``   API v1.2, the notebook's; frozen
``provider/dialects/v1_3``   API v1.3, the live one
``source``                   files and their identity, captions, thumbnails, preflight
``source/manifest``          manifests: text, CSV and JSONL into lines, lines into items
``source/youtube``           YouTube by way of yt-dlp in a process of its own
``source/youtube/worker``    the yt-dlp worker process and the pool that runs it
``source/youtube/throttle``  rate limit and circuit breaker of one site, shared by all runs of a machine
``source/youtube/storage``   downloaded files: folders, disk quota, cleanup
``sink``                     results on disk, whole or not at all
``gallery``                  the page over the results, opened from disk: its values, data files and shell
``budget``                   the price list and the spending limits
``service``                  texts that let a machine run us: systemd units, a cron line, a Containerfile
``watch``                    tells people and machines how a run went; each way has a time limit
``local``                    the local platform: an HTTP server that really reads the video; no account
``local/api``                its HTTP API: what both versions share
``local/api/http``           middleware, fault scripts, bodies, filters, pagination, responses
``local/api/v1_2``           endpoints of API v1.2
``local/api/v1_3``           endpoints of API v1.3
``local/jobs``               its background work: analysis, indexing, fetching
``local/analysis``           reading a video and answering questions about it
``local/analysis/extract``   pictures, shots, sound and captions of a file
``local/analysis/text``      sentences, chapters, measured moments and the summary
``local/analysis/answer``    answers: free text, and values that fit a JSON schema
``local/analysis/ranking``   search hits and classes, ranked by evidence
``local/analysis/plugins``   optional readers that need a program of their own
``local/analysis/plugins/meaning``  sentence vectors, by which a search finds meaning
``local/analysis/plugins/model``  a model of the user's own: chat, checks, answers written from evidence
``local/state``              its database, ledger and full-text index
``local/demo``               the demo's videos and their texts
``kit``                      the one import a job author needs
``money_views``              those about money: a plan, sums of the ledger
``views``                    the results of commands, and the contract of ``--json``; each room is loaded when needed
``view_json``                views as the JSON of ``--json``
``ports``                    the protocols between the parts
``config``                   the TOML file, its sections, and errors that name the key
``media``                    the one safe way to open a foreign media file; captions; what of a text is a title
``core``                     values, verdicts, the state machine, errors, time, text; everything may import it
===========================  ==========================================================================================
"""

__version__ = "0.1.0"
