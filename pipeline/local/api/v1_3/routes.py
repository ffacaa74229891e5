"""Every endpoint of v1.3; fixed names come before ids."""

from __future__ import annotations

from pipeline.local.api import indexes
from pipeline.local.api.context import Endpoint
from pipeline.local.api.search import turn_search_page
from pipeline.local.api.v1_3 import analyze, assets, batches, indexed, multipart, search

ENDPOINTS: tuple[Endpoint, ...] = (
    ("POST", "/assets/multipart-uploads", multipart.open_session),
    ("GET", "/assets/multipart-uploads", multipart.list_sessions),
    ("GET", "/assets/multipart-uploads/{upload_id}", multipart.show_session),
    ("POST", "/assets/multipart-uploads/{upload_id}", multipart.report_chunks),
    ("POST", "/assets/multipart-uploads/{upload_id}/presigned-urls", multipart.create_urls),
    ("POST", "/assets", assets.create_asset),
    ("GET", "/assets", assets.list_assets),
    ("GET", "/assets/{asset_id}", assets.show_asset),
    ("DELETE", "/assets/{asset_id}", assets.delete_asset),
    ("PATCH", "/assets/{asset_id}/user-metadata", assets.merge_metadata),
    ("PUT", "/assets/{asset_id}/user-metadata", assets.replace_metadata),
    ("DELETE", "/assets/{asset_id}/user-metadata", assets.remove_metadata),
    ("GET", "/assets/{asset_id}/transcription", assets.show_transcription),
    ("GET", "/assets/{asset_id}/indexed-assets", indexed.list_asset_indexes),
    ("POST", "/analyze", analyze.analyze),
    ("POST", "/analyze/tasks", analyze.create_task),
    ("GET", "/analyze/tasks", analyze.list_tasks),
    ("GET", "/analyze/tasks/{task_id}", analyze.show_task),
    ("DELETE", "/analyze/tasks/{task_id}", analyze.delete_task),
    ("POST", "/analyze/tasks/{task_id}/cancel", analyze.cancel_task),
    ("POST", "/analyze/batches", batches.create_batch),
    ("GET", "/analyze/batches", batches.list_batches),
    ("GET", "/analyze/batches/{batch_id}", batches.show_batch),
    ("DELETE", "/analyze/batches/{batch_id}", batches.delete_batch),
    ("GET", "/analyze/batches/{batch_id}/results", batches.list_results),
    ("POST", "/analyze/batches/{batch_id}/cancel", batches.cancel_batch),
    ("POST", "/indexes", indexes.create_index),
    ("GET", "/indexes", indexes.list_indexes),
    ("GET", "/indexes/{index_id}", indexes.show_index),
    ("PUT", "/indexes/{index_id}", indexes.rename_index),
    ("DELETE", "/indexes/{index_id}", indexes.delete_index),
    ("POST", "/indexes/{index_id}/indexed-assets", indexed.index_asset),
    ("GET", "/indexes/{index_id}/indexed-assets", indexed.list_indexed),
    ("GET", "/indexes/{index_id}/indexed-assets/{video_id}", indexed.show_indexed),
    ("PATCH", "/indexes/{index_id}/indexed-assets/{video_id}", indexed.change_indexed),
    ("DELETE", "/indexes/{index_id}/indexed-assets/{video_id}", indexed.delete_indexed),
    ("GET", "/indexes/{index_id}/videos", indexed.list_videos),
    ("GET", "/indexes/{index_id}/videos/{video_id}", indexed.show_video),
    ("PATCH", "/indexes/{index_id}/videos/{video_id}", indexed.change_indexed),
    ("DELETE", "/indexes/{index_id}/videos/{video_id}", indexed.delete_indexed),
    ("POST", "/search", search.create_search),
    ("GET", "/search/{token}", turn_search_page),
    ("GET", "/tasks", indexed.refuse_tasks),
    ("POST", "/tasks", indexed.refuse_tasks),
    ("GET", "/tasks/{rest:path}", indexed.refuse_tasks),
    ("POST", "/tasks/{rest:path}", indexed.refuse_tasks),
    ("DELETE", "/tasks/{rest:path}", indexed.refuse_tasks),
)
