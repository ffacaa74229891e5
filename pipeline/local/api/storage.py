"""What presigned addresses hand out: whole assets, single pictures. The signature is the key."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import FileResponse, Response

from pipeline.local.analysis.protocol import AnalysisCrashed, AnalysisRefused
from pipeline.local.api.context import ApiContext
from pipeline.local.api.index_lookup import find_source_asset, find_video
from pipeline.local.errors import missing


async def download_asset(context: ApiContext, request: Request, asset_id: str) -> Response:
    """Hand out a completed asset's bytes."""
    context.check_signature(request, f"assets/{asset_id}")
    path = context.state.blob(asset_id)
    if not path.exists():
        raise missing("asset", asset_id)
    return FileResponse(path, media_type="application/octet-stream")


async def show_thumbnail(context: ApiContext, request: Request, video_id: str, at: int) -> Response:
    """Decode the picture at a time, thousandths of a second, of a video."""
    context.check_signature(request, f"thumbnails/{video_id}/{at}")
    asset = await context.read(lambda db: find_source_asset(db, find_video(db, video_id)))
    try:
        picture = await context.work.picture(asset, at / 1000)
    except (AnalysisRefused, AnalysisCrashed):
        raise missing("picture", video_id) from None
    return Response(picture, media_type="image/jpeg")
