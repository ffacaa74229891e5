"""Every endpoint of v1.2; fixed names come before ids."""

from __future__ import annotations

from pipeline.local.api import indexes
from pipeline.local.api.context import Endpoint
from pipeline.local.api.search import turn_search_page
from pipeline.local.api.v1_2 import classify, search, tasks, texts, videos

ENDPOINTS: tuple[Endpoint, ...] = (
    ("POST", "/indexes", indexes.create_index),
    ("GET", "/indexes", indexes.list_indexes),
    ("GET", "/indexes/{index_id}", indexes.show_index),
    ("PUT", "/indexes/{index_id}", indexes.rename_index),
    ("DELETE", "/indexes/{index_id}", indexes.delete_index),
    ("GET", "/indexes/{index_id}/videos", videos.list_videos),
    ("GET", "/indexes/{index_id}/videos/{video_id}", videos.show_video),
    ("PUT", "/indexes/{index_id}/videos/{video_id}", videos.change_video),
    ("DELETE", "/indexes/{index_id}/videos/{video_id}", videos.delete_video),
    ("GET", "/indexes/{index_id}/videos/{video_id}/transcription", videos.show_transcription),
    ("GET", "/indexes/{index_id}/videos/{video_id}/text-in-video", videos.show_text_in_video),
    ("GET", "/indexes/{index_id}/videos/{video_id}/logo", videos.refuse_logos),
    ("GET", "/indexes/{index_id}/videos/{video_id}/thumbnail", videos.show_thumbnail),
    ("POST", "/tasks", tasks.create_task),
    ("GET", "/tasks", tasks.list_tasks),
    ("POST", "/tasks/external-provider", tasks.create_external_task),
    ("GET", "/tasks/status", tasks.count_tasks),
    ("GET", "/tasks/{task_id}", tasks.show_task),
    ("DELETE", "/tasks/{task_id}", tasks.delete_task),
    ("POST", "/search", search.create_search),
    ("POST", "/search-v2", search.search_by_form),
    ("GET", "/search/{token}", turn_search_page),
    ("GET", "/search-v2/{token}", turn_search_page),
    ("POST", "/classify", classify.classify_videos),
    ("POST", "/classify/bulk", classify.classify_index),
    ("GET", "/classify/{token}", classify.turn_page),
    ("POST", "/gist", texts.gist),
    ("POST", "/summarize", texts.summarize),
    ("POST", "/generate", texts.generate),
)
