"""Inputs and steps that several nouns have."""

import base64

from dockbell.warehouse.act import Act, Document
from dockbell.warehouse.actions import files
from dockbell.warehouse.inputs.common import read
from dockbell.warehouse.inputs.floor import NewFile
from dockbell.warehouse.pages import choices
from dockbell.warehouse.pages.noun import Input, Step, dig

OWNER = Input("goodsOwnerId", "Goods owner", "ids", choices.owners)
WAREHOUSE = Input("warehouseCode", "Warehouse", "choice", choices.warehouses)
ARTICLE = Input("articleNumber", "Article number", "suggest", choices.article_numbers)
COUNT = Input("numberOfItems", "Number of items", "number")


def file_step(noun: files.Noun, id_path: str) -> Step:
    """Attach a text: forms carry no bytes, and a label or a note is enough to cause the event."""

    def attach(act: Act, document: Document, typed: Document) -> None:
        content = base64.b64encode(typed.pop("text", "").encode()).decode()
        file = {**typed, "mimeType": "text/plain", "fileDataBase64": content}
        files.put_file(act, noun, int(dig(document, id_path)), read(NewFile, file))

    return Step(
        "file",
        "Attach a file",
        attach,
        inputs=(
            Input("fileName", "File name", required=True, value=lambda _: "note.txt"),
            Input("text", "Text", "area"),
        ),
    )
