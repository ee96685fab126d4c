"""Which warehouse: what belongs to one stays in it, and what is put together lies in the same one."""

from collections.abc import Iterable, Sequence

from dockbell.errors import Problem
from dockbell.store.database import Row, Transaction
from dockbell.warehouse.inputs.common import OfWarehouse
from dockbell.warehouse.rules.statuses import impossible
from dockbell.warehouse.store import places

FIRST = 1
"""The warehouse of whatever does not say one."""
GOODS_IN, RETURNS, PACKING, SHELF = "IN", "RETURN", "OUT", "PICK"
"""Location types: the first location of one is where things lie when nothing is said."""


def chosen_warehouse(tx: Transaction, new: OfWarehouse, problems: list[Problem]) -> int | None:
    """The warehouse that the document names by code, by id, or by both; None: it names none."""
    known = places.warehouses(tx)
    by_id = {int(row["id"]): code for code, row in known.items()}
    code, number = new.warehouse_code, new.warehouse_id
    there = ", ".join(f"{each} ({row['id']})" for each, row in known.items())
    if code is not None and code not in known:
        problems.append(Problem("warehouseCode", "warehouse", f"There is no warehouse {code!r}. There are: {there}."))
    elif number is not None and number not in by_id:
        problems.append(Problem("warehouseId", "warehouse", f"There is no warehouse {number}. There are: {there}."))
    elif code is not None and number is not None and by_id[number] != code:
        text = f"Warehouse {number} is {by_id[number]}, not {code}; write one of the two."
        problems.append(Problem("warehouseId", "warehouse", text))
    elif code is not None:
        return int(known[code]["id"])
    return number


def usual_place(tx: Transaction, warehouse_id: int, type_code: str) -> int:
    found = places.first_location(tx, warehouse_id, type_code)
    if found is None:
        raise impossible(
            f"Warehouse {places.warehouse(tx, warehouse_id)['code']} has no location of type {type_code}.",
            "Say the location.",
        )
    return found


def places_in(
    tx: Transaction,
    warehouse_id: int,
    type_code: str,
    wanted: Sequence[tuple[int | None, str]],
    problems: list[Problem],
) -> list[int]:
    """Each wanted location (id, field), or the usual one; one that is not there, or in another warehouse, is a problem."""
    at = places.locations(tx, [each for each, _ in wanted if each is not None])
    found = []
    for location_id, field in wanted:
        if location_id is None:
            found.append(usual_place(tx, warehouse_id, type_code))
        elif location_id not in at:
            problems.append(no_location(location_id, field))
        elif at[location_id]["warehouse_id"] != warehouse_id:
            problems.append(elsewhere(tx, at[location_id], warehouse_id, field))
        else:
            found.append(location_id)
    return found


def elsewhere(tx: Transaction, location: Row, warehouse_id: int, field: str) -> Problem:
    here = places.warehouse(tx, warehouse_id)["code"]
    text = f"Location {location['id']} {location['name']} is in warehouse {location['warehouse_code']}, not in {here}."
    return Problem(field, "other_warehouse", text)


def no_location(location_id: int, field: str) -> Problem:
    text = f"There is no location {location_id}; GET /api/v1/warehouses/{{warehouseId}}/locations."
    return Problem(field, "location", text)


def need_one_warehouse(tx: Transaction, done: str, rows: Iterable[Row], wanted: int | None = None) -> int:
    """The one warehouse all of them are in, which is the wanted one if one is wanted."""
    codes = {int(row["id"]): code for code, row in places.warehouses(tx).items()}
    found = {int(row["warehouse_id"]): str(row["number"]) for row in rows}
    if wanted is not None and set(found) - {wanted}:
        which = "; ".join(f"{number} is in {codes[each]}" for each, number in sorted(found.items()) if each != wanted)
        raise impossible(
            f"They cannot be {done} in warehouse {codes[wanted]}: {which}.", "Take those of one warehouse."
        )
    if len(found) > 1:
        which = "; ".join(f"{number} is in {codes[each]}" for each, number in sorted(found.items()))
        raise impossible(f"They cannot be {done}: they are in different warehouses: {which}.", "Make one for each.")
    return wanted or next(iter(found), FIRST)


def need_stays(tx: Transaction, which: str, location_id: int, warehouse_id: int) -> None:
    """What was promised to an order stays in the warehouse of that order."""
    location = places.locations(tx, [location_id])[location_id]
    if location["warehouse_id"] != warehouse_id:
        here = places.warehouse(tx, warehouse_id)["code"]
        raise impossible(
            f"{which} cannot be moved to {location['name']} in warehouse {location['warehouse_code']}: an order in {here} waits for it.",
            "Deallocate it first, or choose a location of that warehouse.",
        )


def need_unmoved(tx: Transaction, noun: str, row: Row, wanted: int | None) -> int:
    """The warehouse after a change: the one it had unless another is said; what is on a shipment stays where it is."""
    here = int(row["warehouse_id"])
    if wanted not in (None, here) and row["shipment_id"] is not None:
        raise impossible(
            f"{noun} {row['number']} cannot go to another warehouse: it is on shipment {row['shipment_id']}.",
            f"Leave it in {places.warehouse(tx, here)['code']}.",
        )
    return here if wanted is None else wanted
