"""The receiver that shows what arrives: to a browser as a page, to everyone else as JSON, and it answers as told."""

from dockbell.testing.inspector import Inspector
from tests.support.asgi import Api

PAGE = [("accept", "text/html,application/xhtml+xml")]


async def test_what_came_is_shown_newest_first_and_escaped():
    inspector = Inspector()
    api = Api(inspector)
    await api.post("/one", {"name": "<script>alert(1)</script>"})
    await api.post("/two?a=<b>", b"no JSON \xff")
    shown = (await api.get("/")).document["received"]
    assert [each["path"] for each in shown] == ["/two?a=<b>", "/one"]
    page = await api.get("/", headers=PAGE)
    text = page.body.decode()
    assert "<script>" not in text
    assert "&lt;script&gt;" in text
    assert text.index("/two") < text.index("/one")
    assert "default-src 'none'" in page.headers["content-security-policy"]


async def test_it_answers_as_it_was_told_by_curl_or_by_a_button():
    inspector = Inspector()
    api = Api(inspector)
    assert (await api.put("/answer/500", None)).document == {"answer": 500, "slow": False}
    assert (await api.post("/hook", {})).status == 500
    assert (await api.post("/answer/410", b"", content_type=None)).status == 303
    assert (await api.post("/hook", {})).status == 410
    await api.put("/answer/999", None)
    assert inspector.answer == 410
    await api.put("/answer/slow", None)
    assert inspector.slow
    assert [each.answered for each in inspector.received] == [500, 410]
